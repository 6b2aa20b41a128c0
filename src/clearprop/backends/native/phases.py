"""When each value of a nest is computed: a reduction ends a loop over the row, and what needs it goes to the next."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from clearprop.backends.native.elementwise import EXPENSIVE
from clearprop.backends.native.kernels import REDUCTIONS, Nest
from clearprop.backends.native.views import source_of
from clearprop.ir import Node, Value


@dataclass
class Phases:
    """The schedule of a nest.

    Attributes:
        compared: values that are rounded alike in all loops (see `ties`).
        level: 1 for a value of the whole space, 0 for one of a row.
        phase: for a value of the whole space the loop that computes it first; for one of a row, how many loops
            run before it.
        last: the last loop there is; -1 if nothing of the whole space is asked for.
        kept: values of the whole space that go to memory, for other kernels or for later loops of this one.
    """

    nest: Nest
    made: Mapping[Value, Node]
    compared: Set[Value]
    level: dict[Value, int]
    phase: dict[Value, int]
    kept: set[Value]
    last: int = 0

    def operands(self, node: Node) -> list[Value]:
        """Return the values of this nest that a node reads."""
        if node.op == "random_bits":
            return []
        found = (source_of(self.made, value) for value in node.inputs)
        return [value for value in found if value in self.level]

    def needed(self, phase: int) -> list[Node]:
        """Return the nodes of the whole space that a loop has to compute, in order."""
        wanted = {value for value in self.kept if self.level[value] == 1 and self.phase[value] == phase}
        nodes = []
        for node in reversed(self.nest.nodes):
            target = node.outputs[0]
            if node.op in REDUCTIONS and self.level[target] == 0:
                if self.phase[target] == phase + 1:
                    wanted.update(value for value in self.operands(node) if self.level[value] == 1)
            elif target in wanted and self.level[target] == 1 and not self.reloads(target, phase):
                wanted.update(value for value in self.operands(node) if self.level[value] == 1)
            if target in wanted and self.level[target] == 1:
                nodes.append(node)
        return nodes[::-1]

    def reloads(self, value: Value, phase: int) -> bool:
        """Whether a loop reads a value back from memory instead of computing it."""
        return value in self.kept and self.phase[value] < phase


def schedule(
    nest: Nest, made: Mapping[Value, Node], level: Mapping[Value, int], outside: set[Value], compared: Set[Value]
) -> Phases:
    """Give every value of a nest its phase, and keep what is expensive to compute twice."""
    own = {value: level[value] for node in nest.nodes for value in node.outputs}
    phases = Phases(nest, made, compared, own, {}, {value for value in own if value in outside})
    for node in nest.nodes:
        target = node.outputs[0]
        reduces = node.op in REDUCTIONS
        before = [phases.phase[value] for value in phases.operands(node)]
        phases.phase[target] = max(before, default=0) + (1 if reduces else 0)
    ends = [phases.phase[value] - (0 if own[value] else 1) for value in own if own[value] or _reduces(made, value)]
    phases.last = max(ends, default=-1)
    while True:
        again = {
            node.outputs[0]
            for phase in range(phases.last + 1)
            for node in phases.needed(phase)
            if node.op in EXPENSIVE and phases.phase[node.outputs[0]] < phase
        }
        if again <= phases.kept:
            return phases
        phases.kept |= again


def _reduces(made: Mapping[Value, Node], value: Value) -> bool:
    return made[value].op in REDUCTIONS
