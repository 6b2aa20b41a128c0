"""Which operation is to blame: the derivative of every node of a program, each by itself, where the program runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from clearprop import ops
from clearprop.backends.reference import ReferenceExecutable
from clearprop.checks.branches import depends_on, hold
from clearprop.checks.judgement import Finding, Judgement, Piece, judge
from clearprop.errors import ClearpropError
from clearprop.ir import Node, Program, is_float
from clearprop.ops import Tensor

Array = np.ndarray[Any, Any]
_DIRECTIONS = 3
_MOST = 6


@np.errstate(all="ignore")
def find_suspects(
    program: Program, inputs: Mapping[str, Array], wrt: Sequence[str], tolerance: float, seed: int = 0
) -> tuple[str, ...]:
    """Check the vjp of every operation that `wrt` flows through, at the values it has in the program.

    Returns:
        A line for each operation whose vjp is wrong, the one nearest to the loss first.
    """
    at = ReferenceExecutable(program).inspect(inputs)
    moved = depends_on(program, set(wrt))
    found = []
    for node in reversed(program.nodes):
        active = [i for i, value in enumerate(node.inputs) if value in moved and is_float(value.type)]
        if not active or node.op == "stop_gradient" or ops.primitive(node.op).vjp is None:
            continue
        rng = np.random.default_rng(seed)
        text = _check_node(node, active, [at[value.name] for value in node.inputs], tolerance, rng)
        found += [f"{_describe(node)}: {text}"] if text else []
    rest = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return tuple(found[:_MOST] + rest)


def _describe(node: Node) -> str:
    (target,) = node.outputs
    place = f"layer {target.note.layer}" if target.note.layer else f"the {target.note.quantity or 'objective'}"
    return f"{node.op} in {place}, {target.name} = {node.op}({', '.join(value.name for value in node.inputs)})"


def _check_node(
    node: Node, active: Sequence[int], arrays: Sequence[Array], tolerance: float, rng: np.random.Generator
) -> str:
    """Return what is wrong with a node's vjp, or nothing."""
    plain = _alone(node)
    point = {f"x{i}": array for i, array in enumerate(arrays)}
    try:
        answer = ReferenceExecutable(plain)(point)["ans"]
        g = rng.uniform(0.5, 1.5, answer.shape) * rng.choice([-1.0, 1.0], answer.shape)
        gradients = ReferenceExecutable(_with_vjp(node))(point | {"g": g.astype(answer.dtype)})
    except ClearpropError as error:
        return f"the vjp cannot be written: {error}"
    noise = 2**-52 * float(np.sum(np.abs(g * answer)))
    for i in active:
        derived = gradients.get(f"d{i}", np.zeros_like(arrays[i]))
        if derived.shape != arrays[i].shape:
            return f"for its input {i + 1} of shape {arrays[i].shape} the vjp gives the shape {derived.shape}"
        for _ in range(_DIRECTIONS):
            direction = rng.choice([-1.0, 1.0], arrays[i].shape)
            judgement = _judge(plain, point, f"x{i}", direction, g, derived, noise, tolerance)
            if judgement.finding is Finding.WRONG:
                return (
                    f"for its input {i + 1} the vjp gives {judgement.derived:.6g} along a random direction, "
                    f"differences {judgement.numeric.number:.6g}"
                )
    return ""


def _judge(
    plain: Program,
    point: Mapping[str, Array],
    name: str,
    direction: Array,
    g: Array,
    derived: Array,
    noise: float,
    tolerance: float,
) -> Judgement:
    def value(program: Program, inputs: Mapping[str, Array], offset: float) -> float:
        moved = dict(inputs) | {name: inputs[name] + offset * direction}
        return float(np.sum(g * ReferenceExecutable(program)(moved)["ans"]))

    pieces = [Piece(partial(value, plain, point))]
    held = hold(plain, point, {name})
    if held is not None:
        pieces.append(Piece(partial(value, *held), Finding.KINK))
    size = float(np.sqrt(np.mean(np.square(point[name])))) if point[name].size else 0.0
    step = 1e-3 * max(1.0, size if math.isfinite(size) else 1.0)
    return judge(float(np.sum(derived * direction)), pieces, step, noise, tolerance)


def _alone(node: Node) -> Program:
    with ops.tracing(node.op) as builder:
        values = [builder.input(f"x{i}", value.type) for i, value in enumerate(node.inputs)]
        (answer,) = builder.add(node.op, values, node.attrs, [node.outputs[0].type])
        return builder.finish([("ans", answer)])


def _with_vjp(node: Node) -> Program:
    vjp = ops.primitive(node.op).vjp
    assert vjp is not None
    with ops.tracing(node.op) as builder:
        inputs = [Tensor(builder.input(f"x{i}", value.type)) for i, value in enumerate(node.inputs)]
        g = ops.placeholder("g", node.outputs[0].type)
        (answer,) = builder.add(node.op, [tensor.value for tensor in inputs], node.attrs, [node.outputs[0].type])
        contributions = vjp(g, Tensor(answer), *inputs, **node.attrs)
        return builder.finish((f"d{i}", tensor.value) for i, tensor in enumerate(contributions) if tensor is not None)
