"""One loop over the nodes of a program, each evaluated by its record's NumPy meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from clearprop.backends.protocol import Array, Arrays
from clearprop.backends.stepping import PlainStep
from clearprop.errors import ShapeError
from clearprop.ir import Attribute, Batch, Node, Program, Value, resolve_shape
from clearprop.ops import primitive
from clearprop.ops.reductions import check_empty_batch


class ReferenceExecutable:
    """A program evaluated node by node with NumPy; every intermediate value can be looked at."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __call__(self, inputs: Arrays) -> dict[str, Array]:
        """Return the outputs by name, as new arrays; the inputs are left untouched.

        Raises:
            ShapeError: an input is missing, or has another shape or dtype than the program says.
            IndexError: an index of `take` or `scatter_add` is out of range.
        """
        values = dict(self._run(inputs))
        return {name: np.array(values[value]) for name, value in self.program.outputs}

    def inspect(self, inputs: Arrays, *, denormal: bool = True) -> dict[str, Array]:
        """Return every value of the program by name, in the order of assignment, inputs first.

        With `denormal=False` floats nearer to zero than the smallest normal one count as zero, as in native steps.
        """
        return {value.name: array for value, array in self._run(inputs, denormal)}

    def _run(self, inputs: Arrays, denormal: bool = True) -> Iterator[tuple[Value, Array]]:
        n = batch_size(self.program, inputs)
        if n == 0:
            check_empty_batch(self.program)
        values: dict[Value, Array] = {}
        with np.errstate(all="ignore"):
            for value in self.program.inputs:
                given = _checked_input(value, inputs, n)
                values[value] = given if denormal else _flushed(given)
                yield value, values[value]
            for node in self.program.nodes:
                try:
                    results = _evaluate(node, [values[value] for value in node.inputs], n)
                except IndexError as error:
                    raise IndexError(f"{self.program.name}: an index of {node.op} is out of range: {error}") from error
                if not denormal:
                    results = [_flushed(result) for result in results]
                values.update(zip(node.outputs, results, strict=True))
                yield from zip(node.outputs, results, strict=True)


def _flushed(array: Array) -> Array:
    """Return an array with zeros in place of denormal numbers."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.abs(array) < np.finfo(array.dtype).smallest_normal, array.dtype.type(0), array)


class Reference:
    """The reference backend."""

    name = "reference"

    def compile(self, program: Program) -> ReferenceExecutable:
        """Return the program ready to be evaluated; there is nothing to compile."""
        return ReferenceExecutable(program)

    def compile_step(self, program: Program) -> PlainStep:
        """Return a training step that is evaluated once a batch."""
        return PlainStep(self.compile(program))

    def explain(self, program: Program, *, step: bool = False) -> dict[str, str]:
        """Return nothing: the program runs as it is."""
        return {}


def _evaluate(node: Node, inputs: Sequence[Array], n: int) -> list[Array]:
    attrs = {key: resolve(value, n) for key, value in node.attrs.items()}
    result = primitive(node.op).evaluate(*inputs, **attrs)
    results = result if isinstance(result, tuple) else (result,)
    return [np.asarray(array, value.type.dtype) for array, value in zip(results, node.outputs, strict=True)]


def resolve(attribute: Attribute, n: int) -> Any:
    """Put the batch size in for n; a body becomes a function of arrays."""
    if isinstance(attribute, Batch):
        return attribute.scale * n
    if isinstance(attribute, Program):
        return partial(_call, attribute, n)
    return tuple(resolve(item, n) for item in attribute) if isinstance(attribute, tuple) else attribute


def _call(body: Program, n: int, *inputs: Array) -> tuple[Array, ...]:
    values = dict(zip(body.inputs, inputs, strict=True))
    for node in body.nodes:
        values.update(zip(node.outputs, _evaluate(node, [values[value] for value in node.inputs], n), strict=True))
    return tuple(values[value] for _, value in body.outputs)


def batch_size(program: Program, inputs: Arrays) -> int:
    """Return the n that the given arrays imply (0 for a program without a batch)."""
    for value in program.inputs:
        for axis, dim in enumerate(value.type.shape):
            if isinstance(dim, Batch) and value.name in inputs:
                shape = np.shape(inputs[value.name])
                return int(shape[axis]) // dim.scale if axis < len(shape) else 0
    return 0


def _checked_input(value: Value, inputs: Arrays, n: int) -> Array:
    if value.name not in inputs:
        raise ShapeError(f"the input {value.name} ({value.type}) is missing; received {', '.join(inputs)}")
    array = np.asarray(inputs[value.name])
    expected = resolve_shape(value.type.shape, n)
    if array.shape != expected or array.dtype != value.type.dtype:
        received = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
        raise ShapeError(f"the input {value.name} must be {value.type} with n = {n}, received {received}")
    return array
