"""The native backend against the reference: every primitive, random programs and training steps, every width."""

import numpy as np
import pytest
from native_steps import CASES, TARGETS_HERE, programs

from clearprop import ops
from clearprop.backends.native import Native
from clearprop.errors import ShapeError
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type
from clearprop.ops import PRIMITIVES, Operand
from clearprop.passes import optimize
from clearprop.testing import check_agreement, check_primitive, check_program, check_special_values, random_program

SIZES = (0, 1, 2, 7, 33, 64)
N = Batch()


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_primitive(name: str, target: str) -> None:
    backend = Native(target)
    assert check_primitive(name, backend) > 0
    check_special_values(name, backend)


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("seed", range(12))
def test_random_program(seed: int, target: str) -> None:
    dtype = ("float64", "float32")[seed % 2]
    program = random_program(seed, dtype=dtype)
    assert check_program(program, Native(target), sizes=(1, 2, 7, 33))
    assert check_program(optimize(program), Native(target), sizes=(1, 2, 7, 33))


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("seed", range(4))
def test_derived_random_program(seed: int, target: str) -> None:
    # float64: in float32 the derivative of a saturated tanh loses all digits in either backend
    program = optimize(derive(random_program(seed), ["x", "W", "b"], of="loss"))
    assert check_program(program, Native(target), sizes=(1, 2, 7, 33))


def operands(program: Program) -> dict[str, Operand]:
    """Where a step's inputs are drawn: second moments are positive, rates and decays in their ranges."""
    ranges = {"beta1": (0.8, 0.9), "beta2": (0.9, 0.99), "epsilon": (1e-8, 1e-7)}
    result = {}
    for value in program.inputs:
        if value.type.dtype.startswith("float"):
            low, high = (0.0, 1.0) if value.name.endswith(".v") else (-1.0, 1.0)
            if value.name in ranges or "rate" in value.name:
                low, high = ranges.get(value.name, (0.1, 0.4))
            result[value.name] = Operand(value.type.shape, low, high, value.type.dtype)
    return result


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_training(case: str, dtype: str, target: str) -> None:
    for program in programs(case, dtype).values():
        assert check_program(program, Native(target), sizes=SIZES, operands=operands(program)) >= len(SIZES) - 1


@pytest.mark.parametrize("target", TARGETS_HERE)
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (13, 5, 37), (64, 3, 10), (17, 129, 31), (33, 2, 65), (40, 7, 96)]
)
def test_products_in_every_layout(m: int, k: int, n: int, target: str) -> None:
    rng = np.random.default_rng(m)
    for turn_first in (False, True):
        for turn_second in (False, True):
            first, second = (k, m) if turn_first else (m, k), (n, k) if turn_second else (k, n)

            def product(x: ops.Tensor, y: ops.Tensor, a: bool = turn_first, b: bool = turn_second) -> ops.Tensor:
                return (ops.permute_dims(x) if a else x) @ (ops.permute_dims(y) if b else y)

            program = ops.trace(product, {"x": Type("float32", first), "y": Type("float32", second)})
            x, y = (rng.normal(size=shape).astype("float32") for shape in (first, second))
            check_agreement(Native(target), program, {"x": x, "y": y}, 0)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_reductions_over_every_choice_of_axes(target: str) -> None:
    for axes in [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
        for reduce in (ops.sum, ops.max):
            program = ops.trace(
                lambda x, reduce=reduce, axes=axes: reduce(ops.tanh(x), axes), {"x": Type("float32", (N, 5, 19))}
            )
            assert check_program(program, Native(target), sizes=(1, 2, 7))


def test_softmax_inside_of_elementwise_work() -> None:
    def write(x: ops.Tensor, y: ops.Tensor) -> dict[str, ops.Tensor]:
        p = ops.softmax(ops.exp(x) * y)
        return {"p": p, "turned": ops.permute_dims(p), "rows": ops.sum(p * x, 1), "columns": ops.sum(p, 0)}

    program = ops.trace(write, {"x": Type("float32", (N, 11)), "y": Type("float32", (N, 11))})
    for sizes in (SIZES,):
        assert check_program(program, Native(), sizes=sizes)
        assert check_program(optimize(program), Native(), sizes=sizes)


@pytest.mark.parametrize("target", TARGETS_HERE)
def test_a_column_beside_short_rows_and_in_them(target: str) -> None:
    # the rows go in lanes; a column that is gathered for its own work is used again inside of the loop over a row
    def write(x: ops.Tensor, y: ops.Tensor) -> dict[str, ops.Tensor]:
        column, total = x[:, 1:2], ops.sum(y, 1, keepdims=True)
        return {"total": total, "column": column * 2.0, "all": y * column + total}

    types = {"x": Type("float32", (N, 5)), "y": Type("float32", (N, 3))}
    assert check_program(ops.trace(write, types), Native(target), sizes=SIZES)


def test_an_output_may_be_an_input_a_constant_or_the_same_twice() -> None:
    def write(x: ops.Tensor) -> dict[str, ops.Tensor]:
        y = x + 1.0
        table, line = (ops.constant(np.arange(size), "float32") for size in (3.0, 6.0))
        flat = ops.reshape(x, (Batch(2), 3))
        shaped = {"flat": flat, "flat_y": ops.reshape(y, (6, N)), "shaped_table": ops.reshape(line, (2, 3))}
        return {"x": x, "y": y, "z": y, "table": table, "n": x[:, :1], **shaped}

    assert check_program(ops.trace(write, {"x": Type("float32", (N, 6))}), Native(), sizes=SIZES)


def test_a_wrong_input_is_refused() -> None:
    run = Native().compile(ops.trace(lambda x: -x, {"x": Type("float32", (N, 2))}))
    with pytest.raises(ShapeError, match="missing"):
        run({})
    with pytest.raises(ShapeError, match="must be float32"):
        run({"x": np.zeros((3, 2))})
    with pytest.raises(ShapeError, match="must be float32"):
        run({"x": np.zeros((3, 1), np.float32)})


@pytest.mark.parametrize("index", [5, -6])
def test_an_index_out_of_range_is_an_error_and_not_a_crash(index: int) -> None:
    types = {"x": Type("float32", (5, 2)), "i": Type("int64", (N,))}
    run = Native().compile(ops.trace(ops.take, types))
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    with pytest.raises(IndexError):
        run({"x": x, "i": np.array([0, index])})
    np.testing.assert_array_equal(run({"x": x, "i": np.array([0, -1])})["result"], x[[0, -1]])
