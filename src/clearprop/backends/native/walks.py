"""How a nest walks over its space: the loops that remain, how wide a vector is, and into which parts it is cut."""

from __future__ import annotations

from dataclasses import replace

from clearprop.backends.native.arithmetic import multiplies_out
from clearprop.backends.native.elementwise import is_number
from clearprop.backends.native.emitter import BYTES
from clearprop.backends.native.extents import product
from clearprop.backends.native.kernels import WHOLE, Access, Parts
from clearprop.backends.native.loops import Axes, merge
from clearprop.backends.native.partition import chunks, is_small
from clearprop.backends.native.phases import Phases
from clearprop.backends.native.placing import is_placing, placed_index
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access, element_of, identity
from clearprop.ir import Value

_MOST_PLACES = 64
"""Of windows; each lane of a vector works on one window."""

_SHORT = 16
"""Elements: rows that are no longer are worked on several at once, with one element of each in a vector."""


class Walk:
    """The plan of a nest's loops.

    Attributes:
        lanes: of a vector.
        axes: the loops.
        outer: how many of them are outside of the reductions, or of the one in vectors.
        flat: whether there is one loop, whose length is a parameter, so that nests of every length share their code.
        parts: how the outermost loop is cut.
        static: whether every extent stands in the text.
        divides: whether a loop takes quotients that are tested for their range, better several together.
    """

    def __init__(self, phases: Phases, target: Target, led: bool) -> None:
        """Take a nest, and whether the rows and columns that it works on are given."""
        self.phases, self.nest, self.made = phases, phases.nest, phases.made
        self.rank = len(self.nest.space)
        self._read: dict[Value, tuple[Value, Access]] = {}
        self.lanes = self._lanes(target)
        self.axes = Axes(self.nest.space, (0, 1), 1) if led else self._axes()
        self.outer = self.axes.outer if self.nest.split is not None else max(len(self.axes.extents) - 1, 0)
        self.flat = len(self.axes.extents) == 1 and not (self.nest.split or 0)
        self.parts = WHOLE if led else self._parts()
        self.static = self.parts.alone and not self.flat
        self.divides = multiplies_out(target.name, "float32", self.lanes) and "divide" in self._whole()

    def own(self, value: Value) -> Access:
        """Return where a value of this nest is stored."""
        if is_placing(self.made[value]):
            return access(value, placed_index(self.made, self.made[value]), self.rank)
        return access(value, identity(value.type.shape), self.rank)

    def read(self, value: Value) -> tuple[Value, Access]:
        """Return the value in memory or in registers that a value is a view of, and where its elements are."""
        if value not in self._read:
            source, index = element_of(self.made, value)
            self._read[value] = source, self.axes.of(access(source, index, self.rank))
        return self._read[value]

    def _whole(self) -> set[str]:
        """Return the operations on values of the whole space."""
        return {node.op for node in self.nest.nodes if self.phases.level[node.outputs[0]] == 1}

    def _lanes(self, target: Target) -> int:
        sizes = [
            BYTES[value.type.dtype]
            for value, level in self.phases.level.items()
            if level == 1 and value.type.dtype != "bool"
        ]
        return target.lanes(4 if 4 in sizes or not sizes else 8)

    def _axes(self) -> Axes:
        split = self.rank if self.nest.split is None else self.nest.split
        axes = merge(self.nest.space, split, self._accesses())
        return replace(axes, across=self._across(axes))

    def _across(self, axes: Axes) -> bool:
        """Whether rows are so short that a vector holds an element of each of several rows, not several of one row."""
        ops = {node.op for node in self.nest.nodes}
        if self.nest.split in (None, 0) or "random_bits" in ops:
            return False
        length = product(axes.extents[axes.outer :])
        most = _MOST_PLACES if "overlap_add" in ops else max(self.lanes, _SHORT)
        return axes.outer > 0 and length.fixed and 0 < length.coefficient <= most

    def _accesses(self) -> list[Access]:
        """Every way in which this nest walks over memory or counts."""
        found = []
        for node in self.nest.nodes:
            target = node.outputs[0]
            if node.op == "random_bits" or target in self.phases.kept:
                found.append(self.own(target))
            for value in node.inputs if node.op != "random_bits" else ():
                source, index = element_of(self.made, value)
                if source not in self.phases.level and not is_number(self.made, source):
                    found.append(access(source, index, self.rank))
        return found

    def _parts(self) -> Parts:
        """Cut the outermost loop, unless one loop over everything needs the result of another."""
        extents = self.axes.extents
        if not extents:
            return WHOLE
        dependent = self.outer == 0 and self.phases.last != 0
        # the nests of parameters are cut in any case: those of every length share their code
        if dependent or (is_small(self.nest) and not (self.flat and extents[0].fixed)):
            return Parts(extents[0])
        return chunks(extents[0], product(extents[1:]))
