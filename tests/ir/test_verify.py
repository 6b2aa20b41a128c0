"""The verifier finds every way to break the rules of the representation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from clearprop import ops
from clearprop.errors import ProgramError
from clearprop.ir import Batch, Node, Program, Type, Value, verify
from clearprop.ops import rule_of

F = Type("float32", (Batch(), 3))
X = Value("x", F)
Y = Value("y", F)
Z = Value("z", F)
GOOD = Program("good", (X,), (Node("exp", (X,), {}, (Y,)), Node("add", (X, Y), {}, (Z,))), (("out", Z),))


def with_node(*nodes: Node) -> Program:
    return replace(GOOD, nodes=(*GOOD.nodes, *nodes))


def value(name: str, type_: Type = F) -> Value:
    return Value(name, type_)


VIOLATIONS: dict[str, tuple[Program, str]] = {
    "assigned twice by name": (with_node(Node("exp", (X,), {}, (value("y"),))), "y is assigned twice"),
    "the same value assigned twice": (with_node(Node("exp", (X,), {}, (Y,))), "y is assigned twice"),
    "an input assigned": (with_node(Node("exp", (Z,), {}, (X,))), "x is assigned twice"),
    "two inputs of one name": (replace(GOOD, inputs=(X, value("x"))), "x is assigned twice"),
    "used before it is assigned": (replace(GOOD, nodes=GOOD.nodes[::-1]), "add uses y, which is not assigned"),
    "used by the node that assigns it": (
        replace(GOOD, nodes=(Node("exp", (Y,), {}, (Y,)),)),
        "exp uses y, which is not assigned",
    ),
    "a value of another program": (
        with_node(Node("exp", (value("x"),), {}, (value("w"),))),
        "exp uses x, .* kept from another trace",
    ),
    "an output that is not assigned": (replace(GOOD, outputs=(("out", value("q")),)), "output out uses q"),
    "an output of another program": (replace(GOOD, outputs=(("out", value("z")),)), "output out uses z"),
    "two outputs of one name": (replace(GOOD, outputs=(("out", Z), ("out", Y))), "two outputs share a name"),
    "a wrong shape": (
        with_node(Node("exp", (X,), {}, (value("w", F.with_shape((3,))),))),
        r"exp gives float32\[n, 3\], but w is declared float32\[3\]",
    ),
    "a wrong dtype": (with_node(Node("exp", (X,), {}, (value("w", F.with_dtype("float64")),))), "but w is declared"),
    "too many results": (with_node(Node("exp", (X,), {}, (value("v"), value("w")))), "but v, w is declared"),
    "no result": (with_node(Node("exp", (X,), {}, ())), "nothing is declared"),
    "inputs that the rule refuses": (with_node(Node("exp", (X, Y), {}, (value("w"),))), "exp -> w: .*1 input"),
    "refused, with no result": (with_node(Node("exp", (X, Y), {}, ())), "exp -> nothing"),
    "an unknown operation": (with_node(Node("explode", (X,), {}, (value("w"),))), "no primitive named 'explode'"),
    "a missing attribute": (
        with_node(Node("sum", (X,), {}, (value("w", Type("float32")),))),
        r"sum takes the attributes \(axis\), received \(\)",
    ),
    "an attribute too many": (
        with_node(Node("exp", (X,), {"base": 2}, (value("w"),))),
        r"exp takes the attributes \(\), received \(base\)",
    ),
    "a bad value name": (with_node(Node("exp", (X,), {}, (value("two words"),))), "'two words' is not a name"),
    "an empty value name": (with_node(Node("exp", (X,), {}, (value(""),))), "'' is not a name"),
    "a value name with a digit first": (with_node(Node("exp", (X,), {}, (value("2x"),))), "'2x' is not a name"),
    "a value name that ends in a newline": (replace(GOOD, inputs=(value("x\n"),)), "is not a name"),
    "a bad input name": (replace(GOOD, inputs=(value("x-y"),), nodes=(), outputs=()), "'x-y' is not a name"),
    "a bad output name": (replace(GOOD, outputs=(("the result", Z),)), "'the result' is not a name"),
    "a bad program name": (replace(GOOD, name="my program"), "'my program' is not a name"),
}


def test_a_good_program_passes() -> None:
    verify(GOOD, rule_of)
    verify(replace(GOOD, outputs=(("a", X), ("b", X), ("c", Z))), rule_of)


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_found(name: str) -> None:
    program, message = VIOLATIONS[name]
    with pytest.raises(ProgramError, match=message):
        verify(program, rule_of)


def test_a_tensor_kept_from_another_trace_is_found() -> None:
    kept = []
    ops.trace(lambda x: kept.append(x) or ops.exp(x), {"x": F})  # type: ignore[func-returns-value]
    program = ops.trace(lambda x: x + kept[0], {"x": F})
    with pytest.raises(ProgramError, match="another trace"):
        verify(program, rule_of)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "dtype": (lambda: Type("float16"), "unknown dtype 'float16'"),
    "negative": (lambda: Type("float32", (-1,)), "non-negative integer or the batch, received -1"),
    "bool": (lambda: Type("float32", (True,)), "received True"),
    "float": (lambda: Type("float32", (2.0,)), "received 2.0"),  # type: ignore[arg-type]
    "batch": (lambda: Batch(0), "positive scale"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_type_refuses(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ProgramError, match=message):
        make()


def test_a_node_is_frozen() -> None:
    with pytest.raises(TypeError):
        GOOD.nodes[0].attrs["a"] = 1  # type: ignore[index]


def test_looking_up_names_says_which_there_are() -> None:
    assert GOOD.input("x") is X
    assert GOOD.output("out") is Z
    with pytest.raises(ProgramError, match="no input 'y'; its inputs are x"):
        GOOD.input("y")
    with pytest.raises(ProgramError, match="no output 'x'; its outputs are out"):
        GOOD.output("x")
    assert [v.name for v in GOOD.values()] == ["x", "y", "z"]
    assert replace(GOOD, outputs=(("a", Y), ("b", Z))).with_outputs("b").output_names == ("b",)
