"""The text form reads back to the same program, and says at which line it does not."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearprop import ops
from clearprop.errors import ProgramError
from clearprop.grad import derive
from clearprop.ir import DTYPES, Batch, Node, Note, Program, Type, Value, parse, to_text
from clearprop.testing import random_program


def bits(attribute: Any) -> Any:
    """A form in which attributes are equal only if they are the same: NaN, -0.0, True and Batch included."""
    if isinstance(attribute, tuple):
        return tuple(bits(item) for item in attribute)
    if isinstance(attribute, Program):
        return form(attribute)
    return type(attribute).__name__, repr(attribute)


def form(program: Program) -> Any:
    nodes = [
        (node.op, [v.name for v in node.inputs], {k: bits(a) for k, a in node.attrs.items()},
         [(v.name, v.type, v.note) for v in node.outputs])
        for node in program.nodes
    ]  # fmt: skip
    inputs = [(v.name, v.type, v.note) for v in program.inputs]
    return program.name, inputs, nodes, [(name, v.name) for name, v in program.outputs]


def assert_round_trip(program: Program) -> None:
    text = to_text(program)
    again = parse(text)
    assert form(again) == form(program)
    assert to_text(again) == text


WORDS = ("n", "inf", "nan", "true", "false", "program", "input", "return", "n.z", "inf.z", "nan_2", "n2", "e5", "xé")
names = st.sampled_from(WORDS) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,6}", fullmatch=True)
dims = st.integers(0, 10**6) | st.integers(1, 1000).map(Batch)
types = st.builds(Type, st.sampled_from(DTYPES), st.lists(dims, max_size=3).map(tuple))
notes = st.builds(Note, st.text(max_size=5), st.text(max_size=5))
numbers = st.floats() | st.integers() | st.booleans() | st.text(max_size=8) | st.integers(1, 99).map(Batch)
attributes = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=6)


@st.composite
def programs(draw: st.DrawFn, depth: int = 1) -> Program:
    unused = iter(draw(st.lists(names, unique=True, min_size=8, max_size=8)))
    values = [Value(next(unused), draw(types), draw(notes)) for _ in range(draw(st.integers(1, 2)))]
    inputs, nodes = tuple(values), []
    attribute = attributes | programs(depth - 1) if depth else attributes
    for _ in range(draw(st.integers(0, 3))):
        used = draw(st.lists(st.sampled_from(values), max_size=3))
        attrs = draw(st.dictionaries(names, attribute, max_size=3))
        outputs = tuple(Value(next(unused), draw(types), draw(notes)) for _ in range(draw(st.integers(1, 2))))
        nodes.append(Node(draw(names), tuple(used), attrs, outputs))
        values.extend(outputs)
    outputs_ = draw(st.lists(st.tuples(names, st.sampled_from(values)), max_size=3, unique_by=lambda o: o[0]))
    return Program(draw(names), inputs, tuple(nodes), tuple(outputs_))


@given(programs())
def test_any_program_survives_the_round_trip(program: Program) -> None:
    assert_round_trip(program)


@given(st.integers(0, 10_000))
def test_random_and_derived_programs_survive_the_round_trip(seed: int) -> None:
    program = random_program(seed, steps=3)
    assert_round_trip(program)
    assert_round_trip(derive(program, ["x", "W", "b"]))


def special(attribute: Any) -> Program:
    out = Value("y", Type("float32", (Batch(12), 3)), Note('a "layer"', "z"))
    return Program("p", (), (Node("op", (), {"a": attribute}, (out,)),), ())


@pytest.mark.parametrize(
    "attribute",
    [
        math.nan, math.inf, -math.inf, -0.0, 0.0, 1e-300, 5e-324, 1e22, -1.5e-7, 0.1, True, False, 0, -1, 10**30,
        "", 'quote " back \\ slash', "line\nbreak\ttab", "π 😀 \u2028", "n", Batch(), Batch(2), Batch(123),
        (), (1,), ((),), (1, 2.0, True, "x", Batch()), ((1, (2,)), -math.inf), special(1), (special((special(2.0),)),),
    ],
    ids=repr,
)  # fmt: skip
def test_an_attribute_survives_the_round_trip(attribute: Any) -> None:
    assert_round_trip(special(attribute))


def test_the_text_of_a_small_program() -> None:
    def logistic(x: ops.Tensor, W: ops.Tensor) -> ops.Tensor:
        with ops.current_builder().at(layer="dense1"):
            return ops.label(ops.sigmoid(ops.label(x @ W, "z")), "a")

    program = ops.trace(logistic, {"x": Type("float32", (Batch(), 2)), "W": Type("float32", (2, 1))}, "logistic")
    assert to_text(program) == (
        "program logistic {\n"
        "  input x: float32[n, 2]\n"
        "  input W: float32[2, 1]\n"
        '  dense1.z: float32[n, 1] @("dense1", "z") = matmul(x, W)\n'
        '  dense1.a: float32[n, 1] @("dense1", "a") = sigmoid(dense1.z)\n'
        "  return result = dense1.a\n"
        "}\n"
    )
    assert_round_trip(program)


HEAD = "program p {\n  input x: float32[n, 2]\n"
WRONG = {
    "no program": ("x", "line 1 .*expected 'program'"),
    "empty": ("", "line 1 "),
    "not closed": (HEAD, "line 3 "),
    "a strange mark": (HEAD + "  $\n}\n", r"line 3 .*near '\$'"),
    "two inputs of one name": (HEAD + "  input x: float32[]\n  return r = x\n}\n", "line 3 .*'x' is assigned twice"),
    "a value assigned twice": (HEAD + "  y: float32[] = f(x)\n  y: float32[] = f(x)\n}\n", "line 4 .*'y' is assigned"),
    "an unknown name": (HEAD + "  y: float32[] = f(\n    q)\n}\n", "line 4 .*'q' is not"),
    "an unknown name returned": (HEAD + "\n\n  return r = q\n}\n", "line 5 .*'q' is not"),
    "a use of itself": (HEAD + "  y: float32[] = f(y)\n}\n", "line 3 .*'y' is not"),
    "an unknown dtype": (HEAD + "  y: float16[] = f(x)\n}\n", "line 3 .*a dtype, one of .*near 'float16"),
    "a negative dimension": (HEAD + "  y: float32[-1] = f(x)\n}\n", "line 3 .*a dimension"),
    "a dimension that is no integer": (HEAD + "  y: float32[1.5] = f(x)\n}\n", "line 3 .*a dimension"),
    "a true dimension": (HEAD + "  y: float32[true] = f(x)\n}\n", "line 3 .*a dimension"),
    "an empty batch": (HEAD + "  y: float32[0n] = f(x)\n}\n", "line 3 .*positive multiple of n"),
    "no attribute value": (HEAD + "  y: float32[] = f(x; a=)\n}\n", "line 3 .*an attribute value"),
    "an unquoted string": (HEAD + "  y: float32[] = f(x; a=b)\n}\n", "line 3 .*an attribute value"),
    "a bad escape": (HEAD + '  y: float32[] = f(x; a="\\q")\n}\n', "line 3 .*JSON"),
    "a line break in a string": (HEAD + '  y: float32[] = f(x; a="b\nc")\n}\n', "line 3 .*JSON"),
    "an unquoted note": (HEAD + "  y: float32[] @(a, b) = f(x)\n}\n", "line 3 .*a string"),
    "no equals sign": (HEAD + "  y: float32[] f(x)\n}\n", "line 3 .*expected '='"),
    "something after the end": (HEAD + "  return r = x\n}\nprogram", "line 5 .*the end of the text"),
    "an error in a nested program": (
        HEAD + "  y: float32[] = f(x; body=program q {\n    return r = x\n  })\n}\n",
        "line 4 .*'x' is not",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_the_text_is_refused_with_its_line(name: str) -> None:
    text, message = WRONG[name]
    with pytest.raises(ProgramError, match=message):
        parse(text)


@given(st.integers(0, 10_000), st.data())
def test_damaged_text_raises_nothing_but_program_error(seed: int, data: st.DataObject) -> None:
    text = to_text(random_program(seed % 7, steps=2))
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 5)))
    with contextlib.suppress(ProgramError):
        parse(text[:start] + data.draw(st.text(max_size=3)) + text[stop:])
