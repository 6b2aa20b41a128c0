"""The loop of multiply-adds that the machine's peak is measured with."""

import ctypes
import re

import numpy as np
import pytest

from clearprop.backends.native import Native
from clearprop.backends.native.jit import compile_text, translate
from clearprop.backends.native.peak import measure_peak, peak_text
from clearprop.errors import SettingsError


def targets():
    names = []
    for name in ("avx512", "avx2", "neon", "baseline"):
        try:
            names.append(Native(name).target)
        except SettingsError:
            continue
    return names


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_the_loop_is_executed_and_holds_nothing_else(target):
    code = compile_text(peak_text(target), target)
    out = np.zeros(12 * target.lanes(4), np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(code.address)(3, out.ctypes.data)
    np.testing.assert_array_equal(out, 0.875)  # 0 -> 1/2 -> 3/4 -> 7/8
    if target.name in ("avx512", "avx2"):
        _, assembly = translate(peak_text(target), target)
        assert len(re.findall(r"vfmadd\w+ps", assembly)) == 12
        assert "call" not in assembly


def test_peak_is_plausible():
    one = measure_peak(1, 2)
    assert 0.5 < one < 2000
    assert measure_peak(2, 2) > 0.3 * one
