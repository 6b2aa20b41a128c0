"""Loops over time: the primitive `scan`, and the loop as a user writes it, from a Python function for one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.errors import ProgramError, ShapeError
from clearprop.ir import Attribute, Node, Program, Scope, Shape, Type, Value
from clearprop.ops.record import Example, OpDef, Operand, register
from clearprop.ops.rules import N
from clearprop.ops.shaping import concat
from clearprop.ops.tensor import Tensor, current_builder, emit, emit_all, matmul, placeholder, reshape, trace, tracing
from clearprop.ops.through_time import augment

Step = Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]]
"""From the carries and the slices of the sequences to the new carries and what this step gives out."""


def scan(
    step: Step,
    carries: Sequence[Tensor],
    sequences: Sequence[Tensor] = (),
    length: int | None = None,
    reverse: bool = False,
    checkpoint: int = 0,
) -> tuple[list[Tensor], list[Tensor]]:
    """Walk over time: `carries, results = step(*carries, *slices)` for each time step, with the state carried on.

    The derivative is a scan in the other direction: backpropagation through time (Werbos, 1990). `step` is
    traced, not run; tensors from outside that it uses, such as weights, become constants of the loop.

    Args:
        step: takes the carries and one slice of each sequence, and returns the new carries, of the same types, and
            what this step gives out.
        carries: the state before the first step.
        sequences: tensors (T, ...), of which step t gets [t].
        length: T; that of the sequences, when None.
        reverse: walk from the last time step to the first; what step t gives out stays at place t.
        checkpoint: keep only every so many states, and compute what lies between again on the way back: memory for
            checkpoint + T / checkpoint steps in the place of T (Chen et al., 2016); 0 keeps everything.

    Returns:
        The final carries, and each result of the steps stacked: (T, ...).

    Raises:
        ShapeError: the lengths differ, there is no step, or a carry changes its type.
    """
    steps = _length(sequences, length)
    if not 0 < checkpoint < steps:
        return _loop(step, carries, sequences, steps, reverse)
    whole = steps - steps % checkpoint
    ranges = [(0, whole), (whole, steps)] if whole < steps else [(0, steps)]
    state, parts = list(carries), []
    for start, stop in reversed(ranges) if reverse else ranges:
        size = min(checkpoint, stop - start)
        state, results = _segments(step, state, [x[start:stop] for x in sequences], (stop - start) // size, reverse)
        parts.append(results)
    return state, [concat(rows) for rows in zip(*(parts[::-1] if reverse else parts), strict=True)]


def _length(sequences: Sequence[Tensor], length: int | None) -> int:
    lengths = {x.shape[0] if x.rank else None for x in sequences} | ({length} if length is not None else set())
    steps = lengths.pop() if len(lengths) == 1 else None
    if not isinstance(steps, int) or steps < 1:
        given = ", ".join(str(x.type) for x in sequences)
        raise ShapeError(
            f"a scan needs sequences (T, ...) of one fixed length T of at least 1, or length=; received {given}"
        )
    return steps


def _segments(
    step: Step, carries: Sequence[Tensor], sequences: Sequence[Tensor], count: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Loop over segments of the time steps, of which only the first state is kept."""

    def segment(*given: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        return scan(step, given[: len(carries)], given[len(carries) :], size, reverse)

    size = _length(sequences, None) // count
    cut = [reshape(x, (count, size, *x.shape[1:])) for x in sequences]
    state, results = _loop(segment, carries, cut, count, reverse, recompute=True)
    return state, [reshape(x, (count * size, *x.shape[2:])) for x in results]


def _loop(
    step: Step,
    carries: Sequence[Tensor],
    sequences: Sequence[Tensor],
    length: int,
    reverse: bool,
    recompute: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    body, constants = _traced(step, carries, sequences)
    attrs: dict[str, Attribute] = {
        "body": body,
        "carries": len(carries),
        "sequences": len(sequences),
        "length": length,
        "reverse": reverse,
        "recompute": recompute,
    }
    results = list(emit_all("scan", [*carries, *sequences, *constants], attrs))
    return results[: len(carries)], results[len(carries) :]


def _traced(step: Step, carries: Sequence[Tensor], sequences: Sequence[Tensor]) -> tuple[Program, list[Tensor]]:
    """Trace one step; return its program, and the tensors from outside that it uses, which are its last inputs."""
    outer = current_builder()
    with tracing(getattr(step, "__name__", "step").strip("<>")) as builder:
        builder.scope = Scope(outer.scope.layer, outer.scope.quantity)
        state = [placeholder(_free("h"), x.type) for x in carries]
        slices = [placeholder(_free("x"), x.type.with_shape(x.shape[1:])) for x in sequences]
        new, results = step(*state, *slices)
        _check_inputs(builder.inputs[len(state) + len(slices) :])
        if len(new) != len(carries):
            raise ShapeError(f"a step of a scan returns its {len(carries)} carries, received {len(new)}")
        outputs = [tensor.value for tensor in (*new, *results)]
        inside = {value for node in builder.nodes for value in node.outputs} | set(builder.inputs)
        used = dict.fromkeys(value for node in builder.nodes for value in node.inputs if value not in inside)
        used |= dict.fromkeys(value for value in outputs if value not in inside)
        known = {value: builder.input(builder.free(value.name), value.type, value.note) for value in used}
        nodes = [Node(n.op, tuple(known.get(v, v) for v in n.inputs), n.attrs, n.outputs) for n in builder.nodes]
        names = [f"carry{i + 1}" for i in range(len(new))] + [f"result{i + 1}" for i in range(len(results))]
        given = zip(names, [known.get(value, value) for value in outputs], strict=True)
        return Program(builder.name, tuple(builder.inputs), tuple(nodes), tuple(given)), [Tensor(v) for v in used]


def _check_inputs(own: Sequence[Value]) -> None:
    """Refuse inputs that the step made itself: nobody would give them."""
    if own:
        names = ", ".join(value.name for value in own)
        raise ProgramError(
            f"a step of a scan asks for inputs of the program ({names}), as layers do that are random in training: ask "
            "for them before the loop and use them in the step (for one dropout mask a sequence; for new ones at every "
            "step give ops.uniform a step number that the loop counts up)"
        )


def _free(word: str) -> str:
    """A name for a carry or a slice inside of the body."""
    builder = current_builder()
    layer = builder.scope.layer
    return builder.free(f"{layer}.{word}" if layer else word)


# -- the primitive ---------------------------------------------------------------------------------------------


def _scan_rule(types: Sequence[Type], attrs: dict[str, Attribute]) -> tuple[Type, ...]:
    body, carries, sequences, length = (attrs[key] for key in ("body", "carries", "sequences", "length"))
    if not isinstance(body, Program):
        raise ShapeError(f"scan needs a program as its body, received {body!r}")
    counts = [carries, sequences, length]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise ShapeError(f"scan: carries, sequences and length are whole numbers, received {counts}")
    assert isinstance(carries, int)
    assert isinstance(sequences, int)
    assert isinstance(length, int)
    if length < 1:
        raise ShapeError("scan takes at least one step")
    if len(types) != len(body.inputs) or carries + sequences > len(types):
        raise ShapeError(f"scan of this body takes {len(body.inputs)} inputs, received {len(types)}")
    for place, (given, value) in enumerate(zip(types, body.inputs, strict=True)):
        expected = value.type
        if carries <= place < carries + sequences:
            expected = expected.with_shape((length, *expected.shape))
        if given != expected:
            raise ShapeError(f"scan: the input {value.name} of the body needs {expected}, received {given}")
    results = [value.type for _, value in body.outputs]
    if not results or results[:carries] != list(types[:carries]):
        expected_types = ", ".join(map(str, types[:carries]))
        raise ShapeError(f"scan: the body must give back its carries ({expected_types}), and gives {results}")
    return (*results[:carries], *(type_.with_shape((length, *type_.shape)) for type_ in results[carries:]))


def run_scan(inputs: Any, body: Any, carries: Any, sequences: Any, length: Any, reverse: Any) -> Any:
    """Call body once a time step with the state, that step of each sequence, and the constants."""
    state, constants = inputs[:carries], inputs[carries + sequences :]
    stacked = inputs[carries : carries + sequences]
    rows = [()] * length
    for t in reversed(range(length)) if reverse else range(length):
        results = body(*state, *[x[t] for x in stacked], *constants)
        state, rows[t] = results[:carries], results[carries:]
    return (*state, *[np.stack(row) for row in zip(*rows, strict=True)])


def _example_body(given: Sequence[Tensor], twice: bool) -> dict[str, Tensor]:
    h, c, x, W = given
    new = emit("tanh", matmul(h, W) + x * emit("sin", c))
    return {"h": new, "c": c * 0.5 + new * x} | ({"a": new, "b": x + c} if twice else {})


def _example(length: int, twice: bool, reverse: bool, recompute: bool) -> Example:
    shapes: list[Shape] = [(N, 2), (N, 2), (N, 2), (2, 2)]
    types = {name: Type("float64", shape) for name, shape in zip("hcxW", shapes, strict=True)}
    body = trace(lambda *given: _example_body(given, twice), types, "body")
    attrs: dict[str, Attribute] = {
        "body": body, "carries": 2, "sequences": 1, "length": length, "reverse": reverse, "recompute": recompute,
    }  # fmt: skip
    shapes[2] = (length, N, 2)
    return Example(tuple(Operand(shape, -1, 1) for shape in shapes), attrs)


register(
    OpDef(
        name="scan",
        infer=_scan_rule,
        numpy="run_scan(inputs, body, carries, sequences, length, reverse)",
        vjp=None,
        augment=augment,
        examples=(
            _example(3, twice=True, reverse=False, recompute=False),
            _example(2, twice=False, reverse=True, recompute=False),
            _example(3, twice=True, reverse=True, recompute=True),
        ),
        helpers=(run_scan,),
    )
)
