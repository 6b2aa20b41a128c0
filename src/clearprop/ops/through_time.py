"""Backpropagation through time: the derivative of a scan is a scan in the other direction.

One step of the loop and its way back are written into one trace (`_StepBack`). What the way back needs of the step is
given out by the forward loop, stacked over time; where a weight's share of every step is a matrix product, the
products of all time steps are one product after the loop.

Source: Werbos (1990), Backpropagation through time: what it does and how to do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clearprop.ir import Attribute, Node, Program, Value, rename
from clearprop.ops.elementwise import fill_like
from clearprop.ops.reductions import sum as sum_over
from clearprop.ops.reductions import swap_last
from clearprop.ops.shaping import permute_dims
from clearprop.ops.tensor import Tensor, emit_all, matmul, placeholder, reshape, tracing

Linearise = Callable[..., Any]
Pull = Callable[[Sequence[Tensor | None]], list[Tensor | None]]

_VIEWS = ("broadcast_to", "reshape", "permute_dims", "stop_gradient", "astype")
"""Operations that are done again on the way back, rather than their results kept."""


@dataclass(frozen=True)
class Loop:
    """The attributes of a scan.

    Attributes:
        body, carries, sequences, length, reverse: see `clearprop.ops.scan`.
        recompute: whether the derivative computes the steps again, from the carries.
    """

    body: Program
    carries: int
    sequences: int
    length: int
    reverse: bool
    recompute: bool

    @property
    def constants(self) -> int:
        """The place of the first constant."""
        return self.carries + self.sequences

    def moving(self, active: Sequence[bool]) -> list[Value]:
        """Return the inputs of the body that are differentiated: a carry too if any step makes it so."""
        wrt = [value for value, flag in zip(self.body.inputs, active, strict=True) if flag]
        while True:
            found = self.body.dependents(wrt, floats=True)
            returned = zip(self.body.inputs[: self.carries], self.body.outputs, strict=False)
            more = [value for value, (_, new) in returned if new in found and value not in wrt]
            if not more:
                return [value for value in self.body.inputs if value in wrt]
            wrt += more


def augment(
    linearise: Linearise, inputs: Sequence[Tensor], active: Sequence[bool], **attrs: Any
) -> tuple[tuple[Tensor, ...], Pull]:
    """Write a scan that also gives out what its derivative needs; see `OpDef.augment`."""
    loop = Loop(**attrs)
    wrt = loop.moving(active)
    found = loop.body.dependents(wrt, floats=True)
    moving = [value in wrt for value in loop.body.inputs[: loop.carries]]
    reached = [value in found for _, value in loop.body.outputs[loop.carries :]]
    planned = _StepBack(linearise, loop, wrt, moving + reached)
    kept = planned.kept()
    results = emit_all("scan", inputs, attrs | {"body": planned.forward(kept)})
    own, places = results[: len(loop.body.outputs)], [value for _, value in planned.outputs[loop.carries :]]
    stacks = {value.name: stack for value, stack in zip([*places, *kept], results[loop.carries :], strict=True)}

    def pull(cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
        asked = [flag and g is not None for flag, g in zip(reached, cotangents[loop.carries :], strict=True)]
        back = _StepBack(linearise, loop, wrt, moving + asked)
        return _write_back(back, inputs, own, cotangents, stacks)

    return own, pull


class _StepBack:
    """One step of a loop and its way back, in one trace.

    Attributes:
        inputs: the inputs of the step.
        outputs: the outputs of the step, by name.
        given: the cotangents of the step's outputs that are asked for, by the output's place.
        terms: for each input of the step that is differentiated, what adds up to its cotangent.
    """

    def __init__(self, linearise: Linearise, loop: Loop, wrt: Sequence[Value], asked: Sequence[bool]) -> None:
        self.loop = loop
        with tracing(loop.body.name) as self.builder:
            tensors = {
                value: Tensor(self.builder.input(value.name, value.type, value.note)) for value in loop.body.inputs
            }
            self.inputs = tuple(self.builder.inputs)
            line = linearise(loop.body, tensors, wrt)
            self.steps = len(self.builder.nodes)
            self.outputs = [(name, tensors[value].value) for name, value in loop.body.outputs]
            self.given, seeds = self._seeds(asked)
            pulled = line.pull(seeds)
            self.terms = {tensors[value].value: [term.value for term in pulled.get(value, ())] for value in wrt}
            self.letters = line.letters()
        varying = (*self.inputs[: loop.constants], *self.given.values())
        whole = Program(loop.body.name, tuple(self.builder.inputs), tuple(self.builder.nodes), ())
        self.varying = whole.dependents(varying)

    def _seeds(self, asked: Sequence[bool]) -> tuple[dict[int, Value], dict[Value, Tensor]]:
        given: dict[int, Value] = {}
        seeds: dict[Value, Tensor] = {}
        for place, (_, value) in enumerate(self.loop.body.outputs):
            if asked[place]:
                g = placeholder(self.builder.free(f"d{value.name.rpartition('.')[2]}"), value.type)
                given[place] = g.value
                seeds[value] = seeds[value] + g if value in seeds else g
        return given, seeds

    @property
    def made(self) -> dict[Value, tuple[int, Node]]:
        """The place and the node of every value of the trace so far that is no input."""
        return {value: (place, node) for place, node in enumerate(self.builder.nodes) for value in node.outputs}

    def kept(self) -> list[Value]:
        """Return the values of the step that the forward loop gives out for the way back, beside its own results."""
        wanted = [term for terms in self.terms.values() for term in terms]
        _, needed = self.cut(wanted)
        own = {value for _, value in self.outputs[self.loop.carries :]}
        passed = set(self.inputs[self.loop.carries :]) | set(self.given.values())
        return [value for value in needed if value not in own | passed]

    def forward(self, kept: Sequence[Value]) -> Program:
        """Return the step with the kept values as further outputs."""
        outputs = [*self.outputs, *((f"kept{len(self.outputs) + i + 1}", value) for i, value in enumerate(kept))]
        return Program(self.loop.body.name, self.inputs, tuple(self.builder.nodes[: self.steps]), tuple(outputs))

    def cut(self, wanted: Iterable[Value]) -> tuple[list[Node], list[Value]]:
        """Return the nodes of the way back to the wanted values, and what they need: inputs and values of the step."""
        nodes: dict[int, Node] = {}
        needed: dict[Value, None] = {}
        waiting, made = list(wanted), self.made
        while waiting:
            value = waiting.pop()
            place, node = made.get(value, (-1, None))
            if node is None or (place < self.steps and not self._again(node, value)):
                needed[value] = None
            elif place not in nodes:
                nodes[place] = node
                waiting += node.inputs
        order = {value: i for i, value in enumerate((*self.builder.inputs, *made))}
        return [nodes[place] for place in sorted(nodes)], sorted(needed, key=order.__getitem__)

    def _again(self, node: Node, value: Value) -> bool:
        return self.loop.recompute or node.op in _VIEWS or value not in self.varying


def _write_back(
    back: _StepBack,
    inputs: Sequence[Tensor],
    results: Sequence[Tensor],
    cotangents: Sequence[Tensor | None],
    stacks: Mapping[str, Tensor],
) -> list[Tensor | None]:
    """Write the scan of the way back, and what comes after it; return the cotangents of the inputs."""
    loop = back.loop
    start = dict(zip(back.inputs, inputs, strict=True))
    known = {value.name: tensor for value, tensor in list(start.items())[loop.carries :]} | dict(stacks)
    first: dict[Value, Tensor] = {}  # the carries of the way back before its first step
    for place, value in back.given.items():
        g = cotangents[place]
        known[value.name] = fill_like(results[place], 0.0) if g is None else g
    shares = _Shares(back, set(known))
    for value in back.terms:
        place = back.inputs.index(value)
        if place < loop.carries:
            first[shares.carry(back.given[place], value)] = known[back.given[place].name]
        elif place < loop.constants:
            shares.stack_total(value)
    for value in back.terms:
        if back.inputs.index(value) >= loop.constants and (before := shares.weight(value)) is not None:
            first[before] = fill_like(start[value], 0.0)
    return shares.finish(first, known)


class _Shares:
    """What every step of the way back contributes to the cotangents of the loop's inputs.

    Attributes:
        carries: the carries of the way back: before and after a step, by the input that each belongs to.
        stacked: what it gives out at every step.
        after: for a weight, what is added up after the loop: each from the stacks by value.
    """

    def __init__(self, back: _StepBack, known: set[str]) -> None:
        self.back, self.loop, self.known = back, back.loop, known
        self.carries: dict[Value, tuple[Value, Value]] = {}
        self.stacked: dict[Value, None] = {}
        self.slices: dict[Value, Value] = {}
        self.after: dict[Value, list[Callable[[Callable[[Value], Tensor]], Tensor]]] = {}

    def carry(self, before: Value, value: Value) -> Value:
        """Enter the cotangent of a carry; return its value before a step."""
        self.carries[value] = (before, self._total(value, self.back.terms[value]))
        return before

    def stack_total(self, value: Value) -> None:
        """Enter the cotangent of a slice, which is given out at every step."""
        if self.back.terms[value]:
            self.slices[value] = self._total(value, self.back.terms[value])
            self.stacked[self.slices[value]] = None

    def weight(self, value: Value) -> Value | None:
        """Enter a weight; return its running sum before a step if a part of its cotangent cannot wait for the end."""
        made = {made: node for made, (_, node) in self.back.made.items()}
        self.after[value] = []
        rest = [term for term in self.back.terms[value] if not self._product(value, made, term)]
        rest = [term for term in rest if not self._sum(value, made, term)]
        if not rest:
            return None
        with tracing(self.back.builder) as builder:
            before = placeholder(builder.free(f"d{value.name.rpartition('.')[2]}_sum"), value.type)
            total = before
            for term in rest:
                total = total + Tensor(term)
        self.carries[value] = (before.value, total.value)
        return before.value

    def _total(self, value: Value, terms: Sequence[Value]) -> Value:
        with tracing(self.back.builder):
            if not terms:
                return fill_like(Tensor(value), 0.0).value
            total = Tensor(terms[0])
            for term in terms[1:]:
                total = total + Tensor(term)
            return total.value

    def _product(self, value: Value, made: Mapping[Value, Node], term: Value) -> bool:
        """Let a matrix product wait for the end: sum_t A_t B_t is one product of all A side by side and all B."""
        node, fixed = made.get(term), all(isinstance(dim, int) for dim in term.type.shape)
        if node is None or node.op != "matmul" or term.type.rank != 2 or not fixed:
            return False
        factors = []
        for factor in node.inputs:
            maker = made.get(factor)
            turned = maker is not None and maker.op == "permute_dims"
            factors.append((maker.inputs[0] if maker is not None and turned else factor, turned))
        (left, left_turned), (right, right_turned) = factors
        if left not in self.back.varying or right not in self.back.varying:
            return False
        self._keep(left)
        self._keep(right)
        self.after[value].append(
            lambda stack: matmul(swap_last(_below(stack(left), left_turned)), _below(stack(right), not right_turned))
        )
        return True

    def _sum(self, value: Value, made: Mapping[Value, Node], term: Value) -> bool:
        """Let a sum over what is stacked anyway wait for the end."""
        node = made.get(term)
        if node is not None and node.op == "reshape":
            node = made.get(node.inputs[0])
        if node is None or node.op != "sum" or node.inputs[0] not in self.stacked:
            return False
        source, axes = node.inputs[0], node.attrs["axis"]
        assert isinstance(axes, tuple)
        over = (0, *(axis + 1 for axis in axes if isinstance(axis, int)))
        self.after[value].append(lambda stack: reshape(sum_over(stack(source), over), value.type.shape))
        return True

    def _keep(self, value: Value) -> None:
        place, _ = self.back.made.get(value, (-1, None))
        if value.name not in self.known or place >= self.back.steps:
            self.stacked[value] = None

    def finish(self, first: Mapping[Value, Tensor], known: Mapping[str, Tensor]) -> list[Tensor | None]:
        """Write the loop and what comes after it; return the cotangents of the inputs."""
        back, loop = self.back, self.loop
        wanted = [new for _, new in self.carries.values()] + list(self.stacked)
        nodes, needed = back.cut(wanted)
        carried = [before for before, _ in self.carries.values()]
        constants = [value for value in needed if value in back.inputs[loop.constants :]]
        slices = [value for value in needed if value not in (*carried, *constants)]
        outputs = [(f"carry{i + 1}", new) for i, (_, new) in enumerate(self.carries.values())]
        outputs += [(f"result{i + 1}", value) for i, value in enumerate(self.stacked)]
        body = rename(
            Program(f"{loop.body.name}_back", (*carried, *slices, *constants), tuple(nodes), tuple(outputs)),
            back.letters,
        )
        attrs: dict[str, Attribute] = {
            "body": body,
            "carries": len(carried),
            "sequences": len(slices),
            "length": loop.length,
            "reverse": not loop.reverse,
            "recompute": loop.recompute,
        }
        given = [first[value] for value in carried] + [known[value.name] for value in (*slices, *constants)]
        results = emit_all("scan", given, attrs) if outputs else ()
        finals = dict(zip(self.carries, results[: len(carried)], strict=True))
        stacks = dict(zip(self.stacked, results[len(carried) :], strict=True))
        return [self._cotangent(value, finals, stacks, known) for value in back.inputs]

    def _cotangent(
        self, value: Value, finals: Mapping[Value, Tensor], stacks: Mapping[Value, Tensor], known: Mapping[str, Tensor]
    ) -> Tensor | None:
        if value in self.slices:
            return stacks[self.slices[value]]
        parts = [write(lambda v: stacks[v] if v in stacks else known[v.name]) for write in self.after.get(value, ())]
        parts += [finals[value]] if value in finals else []
        total = parts[0] if parts else None
        for part in parts[1:]:
            total = part if total is None else total + part
        return total


def _below(stack: Tensor, upright: bool) -> Tensor:
    """Return (T, k, p), or (T, p, k) where it is not upright, as (T k, p)."""
    upright_stack = stack if upright else permute_dims(stack, (0, 2, 1))
    return reshape(upright_stack, (-1, upright_stack.shape[-1]))
