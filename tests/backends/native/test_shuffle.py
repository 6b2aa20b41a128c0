"""The order of an epoch by machine code is that of `randomness.shuffled`."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from native_steps import TARGETS_HERE

from clearprop.backends.native.shuffle import shuffle_code, stream_numbers
from clearprop.backends.native.targets import TARGETS
from clearprop.randomness import shuffle_key, shuffled


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1000, 70_000])
def test_the_order_is_that_of_the_formula(n, target):
    code = shuffle_code(TARGETS[target])
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(code.address)
    for seed, epoch in ((0, 0), (0, 1), (1, 0), (2**70, 2**32 + 3)):
        key = shuffle_key(seed)
        order, numbers = np.full(n + 2, -7), stream_numbers(key)
        function(n, order[1:].ctypes.data, numbers.ctypes.data, epoch)
        np.testing.assert_array_equal(order[1:-1], shuffled(n, key, epoch))
        assert order[0] == order[-1] == -7
