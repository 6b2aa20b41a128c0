"""The gradient check: derived derivatives against differences of the reference backend's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from clearprop.backends.reference import Reference
from clearprop.grad import derive, replay
from clearprop.ir import Program, Value, is_float, resolve_shape, verify
from clearprop.ops import Example, Tensor, placeholder, rule_of, sum, trace, tracing
from clearprop.testing.sampling import Array, Subject, called, draw_example, has_batch, operand_type

TOLERANCE = 1e-7
_STEP = 1e-3
_SMALLEST = 1e-4


@dataclass(frozen=True)
class GradientReport:
    """What a gradient check found.

    Attributes:
        name: what was checked.
        errors: for (order, input), the largest difference between the derived and the numeric derivative,
            relative to the largest element of either; the worst over all batch sizes.
    """

    name: str
    errors: Mapping[tuple[int, str], float]

    @property
    def worst(self) -> float:
        """The largest relative error; 0 if there was nothing to differentiate."""
        return max(self.errors.values(), default=0.0)


def check_vjp(
    subject: Subject,
    example: Example,
    order: int = 2,
    sizes: Sequence[int] = (1, 3),
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> GradientReport:
    """Check the derivative of a primitive, or of a function of tensors, on an example.

    The function is reduced to the scalar sum(result * weights) with random weights, which are an input too (one for
    each of several results),
    so that order 2 also checks that the derivative is linear in the cotangent.

    Args:
        subject: a primitive, by name or record, or a function of tensors and the example's attributes.
        example: the operands and attributes; float operands are float64 here.
        order: 1, or 2 to check the derivative's own derivative as well.
        sizes: the batch sizes to try, if there is a batch dimension.
        seed: of the values, the weights and the directions.
        tolerance: the largest relative error allowed.

    Raises:
        AssertionError: a derivative is wrong; the message names the input, the element and both numbers.
    """
    name, function = called(subject)
    types = {f"x{i}": operand_type(operand, "float64") for i, operand in enumerate(example.operands)}
    plain = trace(lambda *inputs: function(*inputs, **example.attrs), types, name)
    results = {name: value.type for name, value in plain.outputs if is_float(value.type)}
    if not results or not any(is_float(type_) for type_ in types.values()):
        return GradientReport(name, {})
    weights = {name.replace("result", "weights"): type_ for name, type_ in results.items()}

    def weighted(*inputs: Tensor) -> Tensor:
        given = function(*inputs[: len(types)], **example.attrs)
        named = given if isinstance(given, dict) else {"result": given}
        parts = [sum(named[key] * weight) for key, weight in zip(results, inputs[len(types) :], strict=True)]
        return reduce(add, parts)

    program = trace(weighted, types | weights, name)
    errors: dict[tuple[int, str], float] = {}
    for n in sizes if has_batch(program) else sizes[:1]:
        rng = np.random.default_rng(seed)
        inputs = dict(zip(types, draw_example(example, rng, n, "float64"), strict=True))
        for weight, type_ in weights.items():
            inputs[weight] = rng.uniform(0.5, 1.5, resolve_shape(type_.shape, n))
        report = check_gradient(program, inputs, None, order, seed, tolerance)
        for key, error in report.errors.items():
            errors[key] = max(error, errors.get(key, 0.0))
    return GradientReport(name, errors)


def check_gradient(
    program: Program,
    inputs: Mapping[str, Array],
    wrt: Sequence[str] | None = None,
    order: int = 1,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> GradientReport:
    """Check the gradient of a program's first output, a float64 scalar, at given inputs.

    Order 2 checks the gradient of (gradient times a random direction), and so on.

    Raises:
        AssertionError: a derivative is wrong.
        ValueError: an input to differentiate is not float64, in which differences mean nothing.
    """
    program = program.with_outputs(program.output_names[0])
    floats = [value.name for value in program.inputs if is_float(value.type)]
    wrt = floats if wrt is None else list(wrt)
    narrow = [name for name in wrt if program.input(name).type.dtype != "float64"]
    if narrow:
        raise ValueError(f"differences need float64 to mean anything; {', '.join(narrow)} of {program.name} is not")
    rng = np.random.default_rng(seed)
    inputs = dict(inputs)
    errors: dict[tuple[int, str], float] = {}
    for k in range(1, order + 1):
        derived = derive(program, wrt)
        verify(derived, rule_of)
        gradients = Reference().compile(derived)(inputs)
        for name in wrt:
            numeric = _differences(program, inputs, name)
            errors[k, name] = _compare(program.name, k, name, gradients[f"grad.{name}"], numeric, tolerance)
        if k < order:
            program, added = _directional(derived, wrt, k)
            for value in added:
                inputs[value.name] = rng.uniform(-1.0, 1.0, np.shape(inputs[value.name.partition(".")[2]]))
    return GradientReport(program.name, errors)


def _directional(derived: Program, wrt: Sequence[str], order: int) -> tuple[Program, list[Value]]:
    """Return the scalar program sum(gradient * direction), and the inputs for the direction that it adds."""
    with tracing(derived.name) as builder:
        tensors = {value: placeholder(value.name, value.type) for value in derived.inputs}
        replay(derived, tensors)
        total: Tensor | None = None
        added = []
        for name in wrt:
            gradient = tensors[derived.output(f"grad.{name}")]
            direction = placeholder(f"direction{order}.{name}", gradient.type)
            added.append(direction.value)
            part = sum(gradient * direction)
            total = part if total is None else total + part
        assert total is not None
        return builder.finish([("result", total.value)]), added


def _differences(program: Program, inputs: Mapping[str, Array], name: str) -> Array:
    """Return the fourth-order centred differences of the output with respect to each element of one input."""
    run = Reference().compile(program)
    (output,) = program.output_names
    moved = {key: np.array(value) for key, value in inputs.items()}
    flat = moved[name].reshape(-1)
    result = np.empty(flat.shape)

    def value_at(index: int, number: float) -> float:
        flat[index] = number
        return float(run(moved)[output])

    for index in range(flat.size):
        x = flat[index]
        near = value_at(index, x + _STEP) - value_at(index, x - _STEP)
        far = value_at(index, x + 2 * _STEP) - value_at(index, x - 2 * _STEP)
        flat[index] = x
        result[index] = (8 * near - far) / (12 * _STEP)
    return result.reshape(moved[name].shape)


def _compare(name: str, order: int, of: str, derived: Array, numeric: Array, tolerance: float) -> float:
    if derived.shape != numeric.shape:
        raise AssertionError(
            f"the derivative of order {order} of {name} with respect to {of} has the shape {derived.shape}, "
            f"the input has {numeric.shape}"
        )
    if derived.size == 0:
        return 0.0
    scale = max(_largest(derived), _largest(numeric), _SMALLEST)
    with np.errstate(invalid="ignore"):
        difference = np.abs(derived - numeric) / scale
    worst: Any = np.unravel_index(np.argmax(np.nan_to_num(difference, nan=np.inf)), difference.shape)
    error = float(difference[worst])
    if not error <= tolerance:
        raise AssertionError(
            f"the derivative of order {order} of {name} with respect to {of} is wrong: "
            f"relative error {error:.1e} (at most {tolerance:.0e}); at {tuple(map(int, worst))} it is "
            f"{derived[worst]:.9g}, but differences give {numeric[worst]:.9g}"
        )
    return error


def _largest(array: Array) -> float:
    return float(np.max(np.abs(array)))
