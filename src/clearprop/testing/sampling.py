"""Arrays and programs for the examples in the records of primitives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from clearprop.ir import Attribute, Batch, Node, Program, Type, Value, is_float, resolve_shape
from clearprop.ops import Example, OpDef, Operand, Tensor, primitive, trace
from clearprop.ops.rules import FLOATS
from clearprop.ops.tensor import emit_all

Array = np.ndarray[Any, Any]
Subject = str | OpDef | Callable[..., Tensor | dict[str, Tensor]]
"""What an example is tried on: a primitive, by name or record, or a function of tensors."""

_DISTANCE = 0.1
_MOST_DRAWS = 10_000


def operand_type(operand: Operand, dtype: str) -> Type:
    """Return the type of an operand, with `dtype` for "float"."""
    return Type(dtype if operand.dtype == "float" else operand.dtype, operand.shape)


def draw_example(example: Example, rng: np.random.Generator, n: int, dtype: str) -> list[Array]:
    """Draw an array for each operand of an example, for batches of n.

    Values of operands that ask to be distinct differ from each other over the whole example.
    """
    distinct = [operand for operand in example.operands if operand.distinct]
    count = sum(int(np.prod(resolve_shape(operand.shape, n))) for operand in distinct)
    taken: list[float] = []
    return [draw_operand(operand, rng, n, dtype, taken, count) for operand in example.operands]


def draw_operand(
    operand: Operand,
    rng: np.random.Generator,
    n: int,
    dtype: str,
    taken: list[float] | None = None,
    count: int | None = None,
) -> Array:
    """Draw an array for one operand.

    Args:
        operand: where to draw from.
        rng: the source of randomness.
        n: the batch size.
        dtype: float32 or float64, for operands that take either.
        taken: for a distinct operand, the values drawn before; the new ones are appended.
        count: how many distinct values there will be in all (the size of this operand, when None).
    """
    type_ = operand_type(operand, dtype)
    shape = resolve_shape(operand.shape, n)
    if type_.dtype == "bool":
        # any byte but 0 is true, and half of them are 0
        return np.asarray(rng.integers(0, 2, shape) * rng.integers(1, 256, shape), np.uint8).view(np.bool_)
    if not type_.dtype.startswith("float"):
        return rng.integers(int(operand.low), int(operand.high), shape, dtype=type_.dtype)
    size = int(np.prod(shape))
    seen = [] if taken is None else taken
    gap = 0.25 * (operand.high - operand.low) / max(size if count is None else count, 1)
    values = []
    for _ in range(size):
        value = _draw_number(operand, rng, np.asarray(seen), gap)
        values.append(value)
        if operand.distinct:
            seen.append(value)
    return np.asarray(values, type_.dtype).reshape(shape)


def _draw_number(operand: Operand, rng: np.random.Generator, seen: Array, gap: float) -> float:
    for _ in range(_MOST_DRAWS):
        value = float(rng.uniform(operand.low, operand.high))
        near = any(abs(value - kink) < _DISTANCE for kink in operand.avoid)
        if not near and not (operand.distinct and np.any(np.abs(seen - value) < gap)):
            return value
    raise ValueError(f"no value of {operand} is far enough from {operand.avoid} and from those drawn before")


def draw_inputs(
    program: Program, rng: np.random.Generator, n: int, operands: Mapping[str, Operand] | None = None
) -> dict[str, Array]:
    """Draw an array for each input of a program; an input without an operand is drawn from -2..2, or 0..2."""
    inputs = {}
    for value in program.inputs:
        integer = value.type.dtype.startswith(("int", "uint"))
        default = Operand(value.type.shape, 0 if integer else -2, 3 if integer else 2, value.type.dtype)
        operand = (operands or {}).get(value.name, default)
        inputs[value.name] = draw_operand(operand, rng, n, value.type.dtype)
    return inputs


def example_program(subject: Subject, example: Example, dtype: str) -> Program:
    """Return the program `result = subject(x0, x1, ...; attributes)` for an example; further results are numbered."""
    name, function = called(subject)
    types = {f"x{i}": operand_type(operand, dtype) for i, operand in enumerate(example.operands)}
    attrs = example_attrs(example, dtype)
    return trace(lambda *inputs: function(*inputs, **attrs), types, name)


def example_attrs(example: Example, dtype: str) -> dict[str, Attribute]:
    """Return the attributes of an example, with bodies of loops that compute in this float dtype."""
    return {key: _cast(item, dtype) if isinstance(item, Program) else item for key, item in example.attrs.items()}


def _cast(body: Program, dtype: str) -> Program:
    """Return a program with this dtype in the place of every float dtype."""
    new: dict[Value, Value] = {}
    for value in body.values():
        new[value] = Value(value.name, value.type.with_dtype(dtype) if is_float(value.type) else value.type)
    nodes = []
    for node in body.nodes:
        attrs = {key: dtype if str(item) in FLOATS else item for key, item in node.attrs.items()}
        nodes.append(
            Node(node.op, tuple(map(new.__getitem__, node.inputs)), attrs, tuple(new[v] for v in node.outputs))
        )
    inputs = tuple(new[value] for value in body.inputs)
    return Program(body.name, inputs, tuple(nodes), tuple((name, new[value]) for name, value in body.outputs))


def called(subject: Subject) -> tuple[str, Callable[..., Tensor | dict[str, Tensor]]]:
    """Return the subject's name and the function that writes it into a trace."""
    if callable(subject):
        return getattr(subject, "__name__", "function").replace("<lambda>", "function"), subject
    name = subject if isinstance(subject, str) else subject.name
    primitive(name)
    return name, lambda *inputs, **attrs: _results(emit_all(name, inputs, attrs))


def _results(results: Sequence[Tensor]) -> Tensor | dict[str, Tensor]:
    if len(results) == 1:
        return results[0]
    return {f"result{i + 1 if i else ''}": tensor for i, tensor in enumerate(results)}


def has_batch(program: Program) -> bool:
    """Tell whether any type of the program has the batch dimension n."""
    return any(isinstance(dim, Batch) for value in program.values() for dim in value.type.shape)
