"""What every backend does at the edges: indices out of range, empty batches, whose arrays the outputs are."""

from __future__ import annotations

import numpy as np
import pytest

from clearprop import ops
from clearprop.compile import compile_program
from clearprop.errors import ShapeError
from clearprop.ir import Batch, Type
from clearprop.losses import BinaryCrossEntropy, CrossEntropy, SquaredError, cost

N = Batch()
pytestmark = pytest.mark.parametrize("backend", ["reference", "native"])
ROWS = np.arange(10, dtype=np.float32).reshape(5, 2)


def gather(backend):
    types = {"x": Type("float32", (5, 2)), "i": Type("int64", (N,))}
    return compile_program(ops.trace(ops.take, types, "lookup"), backend)


def scatter(backend):
    types = {"i": Type("int32", (N,)), "rows": Type("float32", (N, 2))}
    return compile_program(ops.trace(lambda i, rows: ops.scatter_add(i, rows, 5), types, "addition"), backend)


def test_negative_indices_count_from_the_end(backend):
    np.testing.assert_array_equal(gather(backend)({"x": ROWS, "i": np.array([-1, -5, 4])})["result"], ROWS[[4, 0, 4]])
    added = scatter(backend)({"i": np.array([-1, 4, -5], np.int32), "rows": ROWS[:3]})["result"]
    np.testing.assert_array_equal(added, [ROWS[2], [0, 0], [0, 0], [0, 0], ROWS[0] + ROWS[1]])


@pytest.mark.parametrize("index", [5, -6, 2**31 - 1, -(2**31)])
def test_an_index_out_of_range_names_the_program(backend, index):
    with pytest.raises(IndexError, match=r"lookup: an index of .*take.* is out of range"):
        gather(backend)({"x": ROWS, "i": np.array([0, index])})
    with pytest.raises(IndexError, match=r"addition: an index of .*scatter_add.* is out of range"):
        scatter(backend)({"i": np.array([0, index], np.int32), "rows": ROWS[:2]})


def test_no_indices_are_never_out_of_range(backend):
    assert gather(backend)({"x": ROWS, "i": np.zeros(0, np.int64)})["result"].shape == (0, 2)
    none = scatter(backend)({"i": np.zeros(0, np.int32), "rows": ROWS[:0]})["result"]
    np.testing.assert_array_equal(none, np.zeros((5, 2)))


def test_the_largest_of_an_empty_batch(backend):
    x = Type("float32", (N, 3))
    for axis in (0, (0, 1)):
        run = compile_program(ops.trace(lambda x, axis=axis: ops.max(x, axis), {"x": x}, "top"), backend)
        with pytest.raises(ShapeError, match=r"top: max of float32\[n, 3\] over axes .* no largest of no elements"):
            run({"x": np.zeros((0, 3), np.float32)})
        assert run({"x": np.ones((1, 3), np.float32)})["result"].max() == 1
    rows = compile_program(ops.trace(lambda x: ops.max(x, 1), {"x": x}), backend)
    assert rows({"x": np.zeros((0, 3), np.float32)})["result"].shape == (0,)


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy(), SquaredError()])
def test_a_loss_over_no_rows_is_nan(backend, loss):
    y = Type("int64", (N,)) if isinstance(loss, CrossEntropy) else Type("float32", (N, 3))
    types = {"output": Type("float32", (N, 3)), "y": y}
    run = compile_program(ops.trace(lambda output, y: cost(loss.per_sample(output, y), None), types), backend)
    arrays = {"output": np.zeros((0, 3), np.float32), "y": np.zeros((0, 3)[: y.rank], y.dtype)}
    assert np.isnan(run(arrays)["result"])


def test_outputs_are_new_arrays(backend):
    def write(x):
        return {"itself": x, "turned": ops.reshape(x, (3, N)), "sum": x + 0.0, "again": x + 0.0}

    run = compile_program(ops.trace(write, {"x": Type("float32", (N, 3))}), backend)
    x = np.ones((2, 3), np.float32)
    first, second = run({"x": x}), run({"x": x})
    arrays = [x, *first.values(), *second.values()]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[:i])
