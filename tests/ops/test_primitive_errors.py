"""Wrong inputs and attributes are refused with a message that says what came."""

from __future__ import annotations

from typing import Any

import pytest

from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Batch, Type
from clearprop.ops import PRIMITIVES, OpDef, primitive
from clearprop.ops.record import register

N = Batch()
F = Type("float32", (N, 3))
F64 = Type("float64", (N, 3))
B = Type("bool", (N, 3))
I = Type("int64", (N,))  # noqa: E741
W1 = {"stride": (1,), "dilation": (1,)}
KEY, STEP = Type("uint32", (2,)), Type("int64")


def f(*shape: Any) -> Type:
    return Type("float32", shape)


REFUSED: list[tuple[str, list[Type], dict[str, Any], str]] = [
    ("exp", [I], {}, r"exp needs a dtype of float32, float64, received int64\[n\]"),
    ("exp", [B], {}, "exp needs a dtype"),
    ("add", [F, F64], {}, r"one type, received float32\[n, 3\] and float64\[n, 3\]"),
    ("add", [F, f(3)], {}, "one type"),
    ("add", [B, B], {}, "add needs a dtype"),
    ("divide", [I, I], {}, "divide needs a dtype"),
    ("power", [I, I], {}, "power needs a dtype"),
    ("less", [F, F64], {}, "one type"),
    ("logical_not", [F], {}, "logical_not needs a dtype of bool"),
    ("logical_and", [B, F], {}, "one type"),
    ("bitwise_right_shift", [F, F], {}, "needs a dtype of int32"),
    ("where", [F, F, F], {}, "where needs a bool condition"),
    ("where", [B, F, F64], {}, "where needs .* one type and shape"),
    ("where", [Type("bool", (3,)), F, F], {}, "where needs"),
    ("astype", [F], {"dtype": "float16"}, "unknown dtype 'float16'"),
    ("astype", [F], {"dtype": 3}, "unknown dtype 3"),
    ("constant", [], {"value": (1, 2, 3), "dtype": "float32", "shape": (2,)}, r"3 number\(s\) do not fill .*\(2,\)"),
    ("constant", [], {"value": 1, "dtype": "float32", "shape": (N,)}, "do not fill"),
    ("constant", [], {"value": 1, "dtype": "half", "shape": ()}, "unknown dtype 'half'"),
    ("constant", [F], {"value": 1, "dtype": "float32", "shape": ()}, r"takes 0 input\(s\), received 1"),
    ("arange", [], {"size": -1, "dtype": "int64"}, "non-negative integer or n, received -1"),
    ("arange", [], {"size": 1.5, "dtype": "int64"}, "received 1.5"),
    ("take", [F, F], {}, "integer indices, received float32"),
    ("take", [Type("float32"), I], {}, "rows to pick from"),
    ("scatter_add", [I, f(4, 3)], {"size": 5}, "one row an index"),
    ("scatter_add", [F, F], {"size": 5}, "integer indices"),
    ("scatter_add", [I, I], {"size": 5}, "needs a float tensor"),
    ("scatter_add", [I, F], {"size": -5}, "received -5"),
    ("random_bits", [STEP, KEY], {"stream": 0, "shape": ()}, r"a key uint32\[2\] and a step int64\[\]"),
    ("random_bits", [KEY, STEP], {"stream": -1, "shape": ()}, "the stream is an integer"),
    ("random_bits", [KEY, STEP], {"stream": 2**32, "shape": ()}, "the stream is an integer"),
    ("random_bits", [KEY, STEP], {"stream": 0, "shape": 3}, "a shape is a tuple"),
    ("reshape", [F], {"shape": (N, 4)}, r"cannot reshape \(n, 3\) to \(n, 4\): the numbers of elements differ"),
    ("reshape", [F], {"shape": (3,)}, "numbers of elements differ"),
    ("reshape", [F], {"shape": (N, N)}, "numbers of elements differ"),
    ("permute_dims", [F], {"axes": (0,)}, "needs all of its 2 axes"),
    ("permute_dims", [F], {"axes": (0, 0)}, "must be distinct"),
    ("permute_dims", [F], {"axes": (0, 2)}, r"lie in 0\.\.1"),
    ("permute_dims", [F], {"axes": (0, -1)}, r"lie in 0\.\.1"),
    ("broadcast_to", [F], {"shape": (3,)}, r"cannot broadcast \(n, 3\) to \(3,\)"),
    ("broadcast_to", [F], {"shape": (N, 4)}, "do not broadcast: 3 is not 4"),
    ("broadcast_to", [f(2)], {"shape": (N,)}, "2 is not n"),
    ("concat", [], {"axis": 0}, "at least one"),
    ("concat", [F, F64], {"axis": 0}, "differ elsewhere"),
    ("concat", [F, f(N, 4)], {"axis": 0}, "differ elsewhere"),
    ("concat", [F, f(4, 3)], {"axis": 0}, "mix the batch n with a fixed length"),
    ("concat", [F, F], {"axis": 2}, r"lie in 0\.\.1"),
    ("slice", [F], {"start": (0,), "stop": (3,), "step": (1,)}, "needs 2 starts"),
    ("slice", [F], {"start": (0, 0), "stop": (N, 4), "step": (1, 1)}, "0:4:1 .* a dimension of length 3"),
    ("slice", [F], {"start": (0, 2), "stop": (N, 1), "step": (1, 1)}, "slice 2:1:1 does not lie"),
    ("slice", [F], {"start": (0, 0), "stop": (2, 3), "step": (1, 1)}, "0:2:1 .* a dimension of length n"),
    ("slice", [F], {"start": (0, 0), "stop": (N, 3), "step": (2, 1)}, "slice 0:n:2 does not lie"),
    ("slice", [F], {"start": (0, 0), "stop": (N, 3), "step": (1, 0)}, "slice 0:3:0 does not lie"),
    ("slice", [F], {"start": (0, -1), "stop": (N, 3), "step": (1, 1)}, "received -1"),
    ("split", [F], {"parts": 2, "axis": 1}, "dimension 1 of .* cannot be cut into 2 equal parts"),
    ("split", [F], {"parts": 3, "axis": 0}, "dimension 0 of .* cannot be cut into 3 equal parts"),
    ("pad", [F], {"low": (0,), "high": (0, 0), "interior": (0, 0)}, "needs 2 numbers"),
    ("pad", [F], {"low": (1, 0), "high": (0, 0), "interior": (0, 0)}, "mixes the batch n with numbers"),
    ("pad", [F], {"low": (0, 0), "high": (0, 0), "interior": (1, 0)}, "mixes the batch n with numbers"),
    ("pad", [F], {"low": (0, -1), "high": (0, 0), "interior": (0, 0)}, "received -1"),
    ("sum", [B], {"axis": (0,)}, "sum needs a float tensor, received bool"),
    ("sum", [F], {"axis": (2,)}, r"axes \(2,\) must be distinct and lie in 0\.\.1"),
    ("sum", [F], {"axis": (1, 1)}, "must be distinct"),
    ("max", [f(2, 0)], {"axis": (1,)}, "no largest of no elements"),
    ("matmul", [F, F], {}, "the columns of the first, 3, must be as many as the rows of the second, n"),
    ("matmul", [F, f(3)], {}, "two stacks of matrices"),
    ("matmul", [F, Type("float64", (3, 2))], {}, "of one dtype"),
    ("matmul", [f(2, 3, 3), f(1, 3, 3)], {}, "two stacks of matrices"),
    ("matmul", [Type("int64", (2, 2)), Type("int64", (2, 2))], {}, "matmul needs a float tensor"),
    ("flip", [F], {"axes": (2,)}, r"lie in 0\.\.1"),
    ("windows", [F], {"axes": (1,), "size": (4,), **W1}, "spans 4 elements does not fit into a length of 3"),
    ("windows", [F], {"axes": (1,), "size": (2,), "stride": (1,), "dilation": (3,)}, "spans 4 elements"),
    ("windows", [F], {"axes": (0,), "size": (1,), **W1}, "do not slide along the batch n"),
    ("windows", [F], {"axes": (1,), "size": (0,), **W1}, r"size is 1 positive integer\(s\), .* received \(0,\)"),
    ("windows", [F], {"axes": (1,), "size": (2,), "stride": (1, 1), "dilation": (1,)}, "stride is 1 positive"),
    ("overlap_add", [f(N, 2, 2)], {"axes": (1,), "length": (4,), **W1}, r"\(4,\) have \(3,\) places"),
    ("overlap_add", [f(N, 2, 2)], {"axes": (0, 1), "length": (3,), **W1}, "2 axes need as many lengths"),
    ("overlap_add", [f(N, 2, N)], {"axes": (1,), "length": (3,), **W1}, "the size of the windows is 1 positive"),
    ("conv", [f(N, 5, 2), f(3, 3, 4)], W1, "x has 2 channels and w takes 3"),
    ("conv", [f(N, 5, 2), f(3, 2, 0)], W1, "at least one channel and one output"),
    ("conv", [f(N, 5), f(5, 4)], W1, r"x \(n, \*lengths, channels\)"),
    ("conv", [f(N, 5, 2), Type("float64", (3, 2, 4))], W1, "of one dtype"),
    ("conv", [f(N, 2, 2), f(3, 2, 4)], W1, "spans 3 elements does not fit into a length of 2"),
    ("conv", [f(N, 5, 2), f(3, 2, 4)], {"stride": (0,), "dilation": (1,)}, "stride is 1 positive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "types", "attrs", "message"), REFUSED)
def test_wrong_inputs_are_refused(name: str, types: list[Type], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        primitive(name).types(types, attrs)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_a_wrong_number_of_inputs_is_refused(name: str) -> None:
    if name == "concat":
        return
    operation: OpDef = PRIMITIVES[name]
    example = operation.examples[0]
    with pytest.raises(ShapeError, match=rf"{name} .*received {len(example.operands) + 1}"):
        operation.types([F] * (len(example.operands) + 1), example.attrs)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_wrong_attribute_names_are_refused(name: str) -> None:
    operation = PRIMITIVES[name]
    with pytest.raises(ShapeError, match=f"{name} takes the attributes .*received .*colour"):
        operation.types([], {"colour": 1})


def test_two_primitives_of_one_name_are_refused() -> None:
    with pytest.raises(ProgramError, match="there is a primitive named 'exp' already"):
        register(PRIMITIVES["exp"])


def test_an_unknown_primitive_is_refused_with_those_there_are() -> None:
    with pytest.raises(ProgramError, match="no primitive named 'convolve'; there are abs, add, "):
        primitive("convolve")


def test_every_refusal_has_a_primitive() -> None:
    assert {name for name, *_ in REFUSED} <= set(PRIMITIVES)
