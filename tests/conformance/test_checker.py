"""The comparison of backends is itself checked: the reference agrees with itself, and no planted fault passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from clearprop import ops
from clearprop.backends.protocol import Array, Arrays
from clearprop.backends.reference import Reference, ReferenceExecutable
from clearprop.grad import derive
from clearprop.ir import Batch, Program, Type
from clearprop.ops import PRIMITIVES, Operand
from clearprop.testing import check_agreement, check_primitive, check_program, check_special_values, random_program

Fault = Callable[[dict[str, Array], dict[str, Array], int], dict[str, Array]]


class Faulty:
    """The reference backend, with a fault in what it does after the evaluation."""

    name = "faulty"

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def compile(self, program: Program) -> FaultyExecutable:
        return FaultyExecutable(program, self.fault)


class FaultyExecutable:
    def __init__(self, program: Program, fault: Fault) -> None:
        self.program, self.fault, self.calls = program, fault, 0

    def __call__(self, inputs: Arrays) -> dict[str, Array]:
        self.calls += 1
        return self.fault(ReferenceExecutable(self.program)(inputs), dict(inputs), self.calls)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_the_reference_agrees_with_itself(name: str) -> None:
    assert check_primitive(name, Reference()) >= 2
    special = check_special_values(name, Reference())
    floats = any(operand.dtype == "float" for operand in PRIMITIVES[name].examples[0].operands)
    assert (special > 0) == (PRIMITIVES[name].elementwise and floats)


def each(change: Callable[[Array], Any]) -> Fault:
    return lambda outputs, inputs, calls: {name: np.asarray(change(array)) for name, array in outputs.items()}


def last_of_many(array: Array) -> Array:
    """A fault in the rest of a vector loop: the last of more than 16 rows is not computed."""
    if array.ndim and array.shape[0] > 16 and array.shape[0] % 16:
        array[-1] = 0
    return array


def write_back(outputs: dict[str, Array], inputs: dict[str, Array], calls: int) -> dict[str, Array]:
    for array in inputs.values():
        if array.dtype.kind == "f":
            array[...] = array + 1
    return outputs


FAULTS: dict[str, tuple[Fault, str]] = {
    "a wrong sign": (each(lambda a: -a), r"result\[.*\] is .*; expected .* differ"),
    "a wrong last place or two": (each(lambda a: a * a.dtype.type(1 + 3e-5)), r"result\[.*\] is"),
    "float64 for float32": (each(lambda a: a.astype(np.float64)), r"result is float64.*; expected float32"),
    "another shape": (each(lambda a: a[..., None]), r"result is float32\(.*\); expected"),
    "NaN": (each(lambda a: a * np.nan), "is np.float32.nan."),
    "a forgotten rest": (each(last_of_many), r"n = (17|31|65).*\[(16|30|64), 0\] is .*0\.0"),
    "a wrong empty batch": (each(lambda a: a if a.size else np.zeros((1, 3), a.dtype)), r"n = 0: result is"),
    "another name": (lambda o, i, c: dict(zip(["out"], o.values(), strict=True)), "outputs are out; expected result"),
    "an input changed": (write_back, "the input x0 was changed"),
    "an input handed out": (lambda o, i, c: {"result": i["x0"]} if c else o, "shares memory with the input x0"),
    "not the same twice": (lambda o, i, c: {n: a + np.float32(0.01 * (c % 3 == 2)) for n, a in o.items()},
                           "not the same bits again"),
    "strides ignored": (
        lambda o, i, c: o if i["x0"].flags.c_contiguous else {n: a + np.float32(1) for n, a in o.items()},
        "from strided inputs, result"),
    "a list": (lambda o, i, c: {n: a.tolist() for n, a in o.items()}, "result is list; expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    fault, message = FAULTS[name]
    with pytest.raises(AssertionError, match=message):
        check_primitive("exp", Faulty(fault))


SPECIAL: dict[str, tuple[str, Callable[[Array], Any]]] = {
    "NaN is lost": ("exp", lambda a: np.nan_to_num(a, nan=0.0, posinf=np.inf, neginf=-np.inf)),
    "infinity is lost": ("exp", lambda a: np.where(np.isinf(a), np.finfo(a.dtype).max, a).astype(a.dtype)),
    "the sign of zero is lost": ("negative", lambda a: a + a.dtype.type(0)),
    "subnormals are zero": (
        "abs", lambda a: np.where(np.abs(a) < np.finfo(a.dtype).tiny, a.dtype.type(0), a).astype(a.dtype)),
    "infinity for NaN": ("subtract", lambda a: np.where(np.isnan(a), np.inf, a).astype(a.dtype)),
}  # fmt: skip


@pytest.mark.parametrize("name", SPECIAL)
def test_a_planted_fault_at_special_values_is_found(name: str) -> None:
    operation, change = SPECIAL[name]
    with pytest.raises(AssertionError, match="result"):
        check_special_values(operation, Faulty(each(change)))


@pytest.mark.parametrize("operation", ["less", "equal"])
def test_a_wrong_comparison_with_nan_is_found(operation: str) -> None:
    def negated(outputs: dict[str, Array], inputs: dict[str, Array], calls: int) -> dict[str, Array]:
        unordered = np.isnan(inputs["x0"]) | np.isnan(inputs["x1"])
        return {name: np.asarray(array | unordered) for name, array in outputs.items()}

    check_primitive(operation, Faulty(negated))
    with pytest.raises(AssertionError):
        check_special_values(operation, Faulty(negated))


def test_programs_are_compared() -> None:
    for seed in range(5):
        program = derive(random_program(seed, dtype="float32"), ["x", "W", "b"])
        assert check_program(program, Reference(), sizes=(1, 2, 17)) == 3
        with pytest.raises(AssertionError, match=rf"random{seed}\(x: .*n = 17"):
            check_program(program, Faulty(each(lambda a: a * np.float32(1.01))), sizes=(17,))


def test_inputs_are_drawn_from_where_it_is_asked() -> None:
    seen: list[Mapping[str, Array]] = []

    def look(outputs: dict[str, Array], inputs: dict[str, Array], calls: int) -> dict[str, Array]:
        seen.append(inputs)
        return outputs

    program = ops.trace(lambda x, k: ops.take(x, k), {"x": Type("float64", (9,)), "k": Type("int64", (Batch(),))})
    operands = {"x": Operand((9,), 5, 6, "float64"), "k": Operand((Batch(),), 8, 9, "int64")}
    assert check_program(program, Faulty(look), sizes=(4,), operands=operands) == 1
    assert np.all((seen[0]["x"] >= 5) & (seen[0]["x"] < 6))
    np.testing.assert_array_equal(seen[0]["k"], [8, 8, 8, 8])


def test_given_inputs_are_compared() -> None:
    program = ops.trace(lambda x: ops.exp(x), {"x": Type("float64", (2,))})
    inputs = {"x": np.array([1.0, np.nan])}
    check_agreement(Reference(), program, inputs, 1)
    with pytest.raises(AssertionError):
        check_agreement(Faulty(each(lambda a: a + 1e-9)), program, inputs, 1)
