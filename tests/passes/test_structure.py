"""Each pass on structure: the program before, the program after, as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clearprop import ops
from clearprop.ir import Batch, Note, Program, Type, parse, to_text, verify
from clearprop.ops import Tensor, rule_of
from clearprop.ops.tensor import emit
from clearprop.passes import PASSES, dedupe, drop_dead, fold_constants, optimize, simplify

N = Batch()
X = Type("float32", (N, 3))


def program(text: str) -> Program:
    """A program with the inputs x, y: float32[n, 3], c: bool[n, 3] and k: int32[]."""
    inputs = "input x: float32[n, 3] input y: float32[n, 3] input c: bool[n, 3] input k: int32[]"
    result = parse(f"program p {{ {inputs} {text} }}")
    verify(result, rule_of)
    return result


def body(of: Program) -> list[str]:
    """The nodes and outputs as text, without types."""
    lines = [line.strip() for line in to_text(of).splitlines()[1:-1] if "input" not in line]
    return [f"{line.split(':')[0]} = {line.split(' = ')[1]}" if ":" in line else line for line in lines]


def number(value: str, dtype: str = "float32", shape: str = "n, 3", name: str = "one") -> str:
    dims = f"({shape},)"
    return (
        f'{name}_scalar: {dtype}[] = constant(; dtype="{dtype}", shape=(), value={value}) '
        f"{name}: {dtype}[{shape}] = broadcast_to({name}_scalar; shape={dims}) "
    )


def call(op: str, inputs: str, attrs: str = "", type_: str = "float32[n, 3]") -> str:
    return f"z: {type_} = {op}({inputs}{'; ' + attrs if attrs else ''}) return r = z"


ROW = "float32[3, n]"
GONE: dict[str, str] = {
    "x * 1": number("1.0") + call("multiply", "x, one"),
    "1 * x": number("1.0") + call("multiply", "one, x"),
    "x / 1": number("1.0") + call("divide", "x, one"),
    "x ** 1": number("1.0") + call("power", "x, one"),
    "x - 0": number("0.0") + call("subtract", "x, one"),
    "-(-x)": "a: float32[n, 3] = negative(x) " + call("negative", "a"),
    "where(c, x, x)": call("where", "c, x, x"),
    "where(true, x, y)": number("true", "bool") + call("where", "one, x, y"),
    "where(false, y, x)": number("false", "bool") + call("where", "one, y, x"),
    "a reshape to the same": call("reshape", "x", "shape=(n, 3)"),
    "a reshape and back": "a: float32[3n] = reshape(x; shape=(3n,)) " + call("reshape", "a", "shape=(n, 3)"),
    "a transpose to the same": call("permute_dims", "x", "axes=(0, 1)"),
    "a transpose and back": f"a: {ROW} = permute_dims(x; axes=(1, 0)) " + call("permute_dims", "a", "axes=(1, 0)"),
    "a broadcast to the same": call("broadcast_to", "x", "shape=(n, 3)"),
    "a slice of everything": call("slice", "x", "start=(0, 0), stop=(n, 3), step=(1, 1)"),
    "a conversion to the same": call("astype", "x", 'dtype="float32"'),
    "stop_gradient": call("stop_gradient", "x"),
    "all of it": number("1.0") + "a: float32[n, 3] = multiply(x, one) b: float32[n, 3] = negative(a) "
    "d: float32[n, 3] = negative(b) e: float32[n, 3] = stop_gradient(d) " + call("divide", "e, one"),
}  # fmt: skip


@pytest.mark.parametrize("name", GONE)
def test_simplify_gives_back_the_input(name: str) -> None:
    before = program(GONE[name])
    after = simplify(before)
    verify(after, rule_of)
    assert after.output("r") is after.input("x")
    assert body(drop_dead(after)) == ["return r = x"]


def test_simplify_takes_a_double_negation_away() -> None:
    after = simplify(program("a: bool[n, 3] = logical_not(c) " + call("logical_not", "a", type_="bool[n, 3]")))
    assert after.output("r") is after.input("c")


KEPT: dict[str, str] = {
    "x + 0, because -0.0 + 0 is 0.0": number("0.0") + call("add", "x, one"),
    "0 + x": number("0.0") + call("add", "one, x"),
    "x + -0.0": number("-0.0") + call("add", "x, one"),
    "x * 0, because inf * 0 is NaN": number("0.0") + call("multiply", "x, one"),
    "x - -0.0, because -0.0 - -0.0 is 0.0": number("-0.0") + call("subtract", "x, one"),
    "0 - x, because 0 - 0 is not -0.0": number("0.0") + call("subtract", "one, x"),
    "1 / x": number("1.0") + call("divide", "one, x"),
    "1 ** x": number("1.0") + call("power", "one, x"),
    "x ** 0": number("0.0") + call("power", "x, one"),
    "x * -1": number("-1.0") + call("multiply", "x, one"),
    "x * NaN": number("nan") + call("multiply", "x, one"),
    "x - x, because inf - inf is NaN": call("subtract", "x, x"),
    "x / x": call("divide", "x, x"),
    "x == x, because NaN is not NaN": call("equal", "x, x", type_="bool[n, 3]"),
    "maximum(x, x)": call("maximum", "x, x"),
    "where(c, x, y)": call("where", "c, x, y"),
    "exp(log(x))": "a: float32[n, 3] = log(x) " + call("exp", "a"),
    "-(x), not (-x)": "a: float32[n, 3] = exp(x) " + call("negative", "a"),
    "times a row that is not all ones":
    "a: float32[3] = constant(; dtype=\"float32\", shape=(3,), value=(1.0, 1.0, 2.0,)) "
    "one: float32[n, 3] = broadcast_to(a; shape=(n, 3,)) " + call("multiply", "x, one"),
    "times the batch": number("n") + call("multiply", "x, one"),
    "a slice of a part": call("slice", "x", "start=(0, 1), stop=(n, 3), step=(1, 1)", "float32[n, 2]"),
    "a slice with steps": call("slice", "x", "start=(0, 0), stop=(n, 3), step=(1, 2)", "float32[n, 2]"),
    "a transpose": call("permute_dims", "x", "axes=(1, 0)", ROW),
    "a conversion": call("astype", "x", 'dtype="float64"', "float64[n, 3]"),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_optimize_keeps(name: str) -> None:
    before = program(KEPT[name])
    assert to_text(optimize(before)) == to_text(before)


CHANGED: dict[str, tuple[str, list[str]]] = {
    "two reshapes become one": (
        "a: float32[3n] = reshape(x; shape=(3n,)) " + call("reshape", "a", "shape=(n, 1, 3)", "float32[n, 1, 3]"),
        ["z = reshape(x; shape=(n, 1, 3,))", "return r = z"],
    ),
    "two broadcasts become one": (
        "a: float32[1, n, 3] = broadcast_to(x; shape=(1, n, 3)) "
        + call("broadcast_to", "a", "shape=(2, n, 3)", "float32[2, n, 3]"),
        ["z = broadcast_to(x; shape=(2, n, 3,))", "return r = z"],
    ),
    "two transposes become one": (
        "a: float32[1, n, 3] = reshape(x; shape=(1, n, 3)) "
        "b: float32[n, 3, 1] = permute_dims(a; axes=(1, 2, 0)) "
        + call("permute_dims", "b", "axes=(1, 0, 2)", "float32[3, n, 1]"),
        ["a = reshape(x; shape=(1, n, 3,))", "z = permute_dims(a; axes=(2, 1, 0,))", "return r = z"],
    ),
    "numbers are worked out": (
        number("0.0") + "a: float32[n, 3] = cos(one) b: float32[n, 3] = add(a, a) " + call("multiply", "x, b"),
        [
            'constant_2 = constant(; dtype="float32", shape=(), value=2.0)',
            "b = broadcast_to(constant_2; shape=(n, 3,))",
            "z = multiply(x, b)",
            "return r = z",
        ],
    ),
    "a number worked out to one is gone": (
        number("0.0") + "a: float32[n, 3] = exp(one) " + call("multiply", "x, a"),
        ["return r = x"],
    ),
    "a number worked out to one is gone while another use of its origin stays": (
        number("0.0") + "a: float32[n, 3] = exp(one) b: float32[n, 3] = multiply(x, a) " + call("add", "b, one"),
        [
            'one_scalar = constant(; dtype="float32", shape=(), value=0.0)',
            "one = broadcast_to(one_scalar; shape=(n, 3,))",
            "z = add(x, one)",
            "return r = z",
        ],
    ),
    "a choice that is known": (
        number("2.0") + number("3.0", name="two") + "a: bool[n, 3] = less(one, two) " + call("where", "a, x, y"),
        ["return r = x"],
    ),
    "the same twice is done once": (
        "a: float32[n, 3] = exp(x) b: float32[n, 3] = exp(x) " + call("add", "a, b"),
        ["a = exp(x)", "z = add(a, a)", "return r = z"],
    ),
    "the same through the same is done once": (
        "a: float32[n, 3] = exp(x) b: float32[n, 3] = exp(x) d: float32[n, 3] = sin(a) e: float32[n, 3] = sin(b) "
        + call("add", "d, e"),
        ["a = exp(x)", "d = sin(a)", "z = add(d, d)", "return r = z"],
    ),
    "in another order it is not the same": (
        "a: float32[n, 3] = subtract(x, y) b: float32[n, 3] = subtract(y, x) " + call("multiply", "a, b"),
        ["a = subtract(x, y)", "b = subtract(y, x)", "z = multiply(a, b)", "return r = z"],
    ),
    "with another attribute it is not the same": (
        "a: float32[3] = sum(x; axis=(0,)) b: float32[n] = sum(x; axis=(1,)) return a = a return b = b",
        ["a = sum(x; axis=(0,))", "b = sum(x; axis=(1,))", "return a = a", "return b = b"],
    ),
    "0.0 and -0.0 are not the same": (
        number("0.0") + number("-0.0", name="two") + "a: float32[n, 3] = add(x, one) b: float32[n, 3] = add(x, two) "
        "return a = a return b = b",
        [
            'one_scalar = constant(; dtype="float32", shape=(), value=0.0)',
            "one = broadcast_to(one_scalar; shape=(n, 3,))",
            'two_scalar = constant(; dtype="float32", shape=(), value=-0.0)',
            "two = broadcast_to(two_scalar; shape=(n, 3,))",
            "a = add(x, one)",
            "b = add(x, two)",
            "return a = a",
            "return b = b",
        ],
    ),
    "what no output needs is dropped": (
        "a: float32[n, 3] = exp(x) b: float32[n, 3] = sin(a) d: float32[n, 3] = cos(x) return r = d",
        ["d = cos(x)", "return r = d"],
    ),
    "an output of an output": (
        "a: float32[n, 3] = exp(x) b: float32[n, 3] = exp(x) return r = a return s = b return t = x",
        ["a = exp(x)", "return r = a", "return s = a", "return t = x"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_optimize_changes(name: str) -> None:
    before, after = CHANGED[name]
    optimized = optimize(program(before))
    verify(optimized, rule_of)
    assert body(optimized) == after
    assert optimized.input_names == ("x", "y", "c", "k")


def test_random_bits_of_one_stream_are_drawn_once() -> None:
    def function(key: Tensor, step: Tensor) -> dict[str, Tensor]:
        draws = [ops.random_bits(key, step, stream, (4,)) for stream in (0, 0, 1)]
        return dict(zip("abc", draws, strict=True))

    types = {"key": Type("uint32", (2,)), "step": Type("int64")}
    after = dedupe(ops.trace(function, types))
    assert after.output("a") is after.output("b")
    assert after.output("a") is not after.output("c")


FOLDED: dict[str, tuple[Callable[[], Tensor], Any]] = {
    "float32 rounds as float32": (lambda: ops.constant(0.1, "float32") * 3.0, "0.30000001192092896"),
    "float64": (lambda: ops.constant(0.1, "float64") * 3.0, "0.30000000000000004"),
    "an overflow": (lambda: ops.exp(ops.constant(1e3, "float32")), "inf"),
    "a NaN": (lambda: ops.log(ops.constant(-1.0, "float32")), "nan"),
    "a division by zero": (lambda: ops.constant(-1.0, "float32") / 0.0, "-inf"),
    "a negative zero": (lambda: -ops.constant(0.0, "float32"), "-0.0"),
    "a comparison": (lambda: ops.constant(1.0, "float32") < 2.0, "true"),
    "an integer": (lambda: ops.constant(2**31 - 1, "int32") + 1, str(-(2**31))),
    "a conversion": (lambda: ops.astype(ops.constant(-1.7, "float32"), "int32"), "-1"),
    "a shift": (lambda: emit("bitwise_right_shift", ops.constant(256, "uint32"), ops.constant(8, "uint32")), "1"),
}


@pytest.mark.parametrize("name", FOLDED)
def test_numbers_are_worked_out_as_the_program_would(name: str) -> None:
    function, expected = FOLDED[name]
    after = drop_dead(fold_constants(ops.trace(lambda: function(), {})))
    (node,) = after.nodes
    assert node.op == "constant"
    assert f"value={expected})" in to_text(after)


def test_what_is_not_elementwise_is_not_worked_out() -> None:
    before = ops.trace(lambda: ops.sum(ops.constant([1.0, 2.0], "float32")), {})
    assert to_text(fold_constants(before)) == to_text(before)


def test_a_replaced_value_keeps_its_name_and_note() -> None:
    def function(x: Tensor) -> Tensor:
        with ops.current_builder().at(layer="dense1"):
            return ops.label(ops.permute_dims(ops.permute_dims(x[..., None], (1, 2, 0)), (1, 2, 0)), "z")

    after = optimize(ops.trace(function, {"x": X}))
    assert after.output("result").name == "dense1.z"
    assert after.output("result").note == Note("dense1", "z")


def test_drop_dead_of_a_lean_program_is_the_program() -> None:
    lean = program(call("exp", "x"))
    assert drop_dead(lean) is lean


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.name)
def test_a_pass_leaves_its_program_alone(step: Any) -> None:
    before = program(CHANGED["numbers are worked out"][0])
    text = to_text(before)
    step.run(before)
    assert to_text(before) == text
    assert step.ensures
