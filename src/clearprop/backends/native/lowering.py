"""From a program to kernels: views vanish, elementwise work and reductions fuse, the rest becomes its own kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clearprop.backends.native.elementwise import CHEAP
from clearprop.backends.native.extents import Extent, product
from clearprop.backends.native.kernels import (
    REDUCTIONS,
    Columns,
    Convolution,
    Index,
    Kernel,
    Loop,
    Move,
    Nest,
    Product,
    nodes_of,
)
from clearprop.backends.native.placing import inner_of, is_placing, placed_shape
from clearprop.backends.native.preparation import ELEMENTWISE, is_array
from clearprop.backends.native.ties import compared
from clearprop.backends.native.views import (
    GENERATORS,
    element_of,
    identity,
    is_trailing,
    is_view,
    loop_axes,
    origin,
    source_of,
    space_of,
)
from clearprop.ir import Node, Program, Shape, Value

CONTRACTIONS = ("conv", "contraction")
HOLES: frozenset[str] = frozenset()
"""Primitives that have no lowering; `Native.compile` names them. There is none."""


class Grouping:
    """Nodes in the order of the program, each put into the latest kernel that may hold it, or a new one."""

    def __init__(self, program: Program, late: Mapping[Value, tuple[Value, ...]] | None = None) -> None:
        self.program = program
        self.late = late or {}
        self.made: dict[Value, Node] = {}
        self.kernels: list[Kernel] = []
        self.home: dict[Value, int] = {}
        self.level: dict[Value, int] = {}
        self.alias: dict[Value, Value] = {}
        self.constants: list[Node] = []
        self.early: set[Value] = set()
        self.readers: dict[Value, set[Value]] = {value: {value} for _, value in program.outputs}
        self.order = {node.outputs[0]: place for place, node in enumerate(program.nodes)}
        for node in program.nodes:
            for value in node.inputs:
                self.readers.setdefault(value, set()).add(node.outputs[0])
        for node in program.nodes:
            self._place(node)
            self.made.update(dict.fromkeys(node.outputs, node))
        self._join_later()
        self.compared = compared(program)

    def _place(self, node: Node) -> None:
        target = node.outputs[0]
        if is_array(node):
            self.constants.append(node)
        elif node.op in GENERATORS or is_view(node):
            return
        elif node.op == "reshape":
            base = node.inputs[0]
            self.alias[target] = self.alias.get(base, base)
            self.home[target] = self.home.get(base, -1)
        elif self._is_early(node):
            self._compute_early(node)
        elif node.op in ELEMENTWISE:
            self._fuse(node, target.type.shape, None)
        elif node.op in REDUCTIONS and is_trailing(node):
            self._fuse(node, node.inputs[0].type.shape, len(loop_axes(target.type.shape)))
        elif is_placing(node):
            shape = placed_shape(self.made, node)
            kept = len(loop_axes(shape[: target.type.rank])) if node.op == "overlap_add" else None
            self._fuse(node, shape, kept, level=1)
        else:
            self._alone(node)

    def _alone(self, node: Node) -> None:
        kernel: Kernel
        if node.op == "matmul":
            kernel = Product(node)
        elif node.op in CONTRACTIONS:
            kernel = Convolution(node)
        elif node.op in REDUCTIONS:
            kernel = Columns(node, self._chain(node))
        elif node.op == "scan":
            kernel = Loop(node)
        else:
            kernel = Move(node, node.outputs[0])
        self.home.update(dict.fromkeys(node.outputs, len(self.kernels)))
        self.kernels.append(kernel)

    def _chain(self, reduction: Node) -> list[Node]:
        """Take the cheap elementwise nodes that only this reduction needs out of their nests."""
        chain: list[Node] = []
        inside, waiting = {reduction.outputs[0]}, {reduction.inputs[0]}
        while waiting:
            value = max(waiting, key=lambda item: self.order.get(item, -1))  # all of its readers have had their turn
            waiting.remove(value)
            if not self._joins_chain(value, inside):
                continue
            node = self.made[value]
            nest = self.kernels[self.home[value]]
            assert isinstance(nest, Nest)
            nest.nodes.remove(node)
            nest.space, nest.split = (nest.space, nest.split) if nest.nodes else ((), None)
            chain.append(node)
            inside.add(value)
            waiting.update(node.inputs)
        return chain[::-1]

    def _joins_chain(self, value: Value, inside: set[Value]) -> bool:
        """Whether a value is cheap, in a nest, and read by nothing but what is inside."""
        node = self.made.get(value)
        if node is None or node.op not in CHEAP or value in self.early or not self.readers[value] <= inside:
            return False
        return isinstance(self.kernels[self.home[value]], Nest) and not any(self._counts(item) for item in node.inputs)

    def _counts(self, value: Value) -> bool:
        """Whether a value is computed from its index."""
        source = source_of(self.made, value)
        return source in self.made and self.made[source].op == "arange"

    def _is_early(self, node: Node) -> bool:
        """Whether a number follows from inputs and other such numbers alone, so that it is known before all else."""
        if node.op not in ELEMENTWISE or node.op == "random_bits" or space_of(node.outputs[0].type.shape):
            return False
        sources = (source_of(self.made, value) for value in node.inputs)
        return all(self.home.get(source, -1) == -1 or source in self.early for source in sources)

    def _compute_early(self, node: Node) -> None:
        """Put such a number into the first kernel, where it keeps no other nodes apart."""
        if not self.early:
            self.kernels.insert(0, Nest((), None, []))
            self.home = {value: home + (home >= 0) for value, home in self.home.items()}
        first = self.kernels[0]
        assert isinstance(first, Nest)
        first.nodes.append(node)
        self.early.update(node.outputs)
        self._enter(node, 0, 1)

    def _fuse(self, node: Node, shape: Shape, split: int | None, level: int | None = None) -> None:
        """Put an elementwise node, or (with a split) a reduction, into a nest.

        The level is that of the result: 0 for one of a row, which that of a reduction is.
        """
        level = (1 if split is None else 0) if level is None else level
        space = space_of(shape)
        sources = [element_of(self.made, value) for value in self._operands(node)]
        late = self.late.get(node.outputs[0], ())
        before = [*(source for source, _ in sources), *(origin(self.made, value) for value in late)]
        earliest = max((-1 if value in self.early else self.home.get(value, -1) for value in before), default=0)
        places = range(len(self.kernels) - 1, max(earliest, 0) - 1, -1)
        # where its last operand is made, it is at hand; otherwise the latest nest keeps values the shortest time; what
        # follows from inputs alone joins the last kernel, or one that reads them: apart, updates can share their code
        given = {source for source, _ in sources} - self.early
        near = [place for place in places if place == places[0] or self._reads(place, given)]
        for place in (*places[-1:], *places) if earliest >= 0 else near:
            nest = self.kernels[place]
            if isinstance(nest, Nest) and self._joins(nest, place, node, space, split, level, sources):
                return
        self.kernels.append(Nest(space, split, [node]))
        self._enter(node, len(self.kernels) - 1, level)

    def _reads(self, place: int, values: set[Value]) -> bool:
        kernel = self.kernels[place]
        inputs = [value for node in kernel.nodes for value in node.inputs] if isinstance(kernel, Nest) else []
        return any(source_of(self.made, value) in values for value in inputs)

    @staticmethod
    def _operands(node: Node) -> tuple[Value, ...]:
        return () if node.op == "random_bits" else node.inputs

    def _joins(
        self,
        nest: Nest,
        place: int,
        node: Node,
        space: tuple[Extent, ...],
        split: int | None,
        wanted: int,
        sources: list[tuple[Value, tuple[Index, ...]]],
    ) -> bool:
        level = 1 if space == nest.space else 0
        if level == 0 and (split is not None or nest.split is None or space != nest.space[: nest.split]):
            return False
        if split is not None and nest.split not in (None, split):
            return False
        if node.op == "random_bits" and any(self.home.get(value, -1) >= place for value in node.inputs):
            return False
        goes_on = inner_of(self.made, node) is not None
        if not all(self._legal(place, source, index, level, goes_on) for source, index in sources):
            return False
        if split is not None:
            nest.split = split
        nest.nodes.append(node)
        self._enter(node, place, level if split is None else wanted)
        return True

    def _legal(self, place: int, source: Value, index: tuple[Index, ...], level: int, goes_on: bool) -> bool:
        """Whether a value can be read at this index in the nest: it is made before, or here at the same place.

        What is put into place elsewhere is read only by what goes on from there.
        """
        home = self.home.get(source, -1)
        if home != place:
            return home < place
        if is_placing(self.made[source]):
            return goes_on
        if source not in self.level or (level == 0 and self.level[source] == 1):
            return False
        return index == identity(source.type.shape)

    def _join_later(self) -> None:
        """Move the work of a nest into the one other nest that reads it, at the same places: no memory is needed.

        Into one with reductions only what has no rows of the batch, for that may follow a product instead.
        """
        readers = self.reading_kernels()
        for place, nest in enumerate(self.kernels):
            if not isinstance(nest, Nest) or not nest.space or nest.split is not None:
                continue
            later = {reader for node in nest.nodes for reader in readers.get(node.outputs[0], ())} - {place}
            target = self.kernels[later.pop()] if len(later) == 1 and -1 not in later else None
            if not isinstance(target, Nest) or target.space != nest.space:
                continue
            if target.split is not None and not product(nest.space).fixed:
                continue
            if any(node.op == "random_bits" or is_placing(node) for node in (*nest.nodes, *target.nodes)):
                continue
            target.nodes[:0] = nest.nodes
            home = self.kernels.index(target)
            self.home.update({value: home for node in nest.nodes for value in node.outputs})
            nest.space, nest.nodes = (), []

    def is_one_loop(self, nest: Nest) -> bool:
        """Whether a nest goes over its elements once: what is made of each needs no sum over several."""
        reduced: set[Value] = set()
        for node in nest.nodes:
            if node.op in REDUCTIONS or any(source_of(self.made, value) in reduced for value in node.inputs):
                reduced.update(node.outputs)
                if self.level[node.outputs[0]] == 1:
                    return False
        return True

    def at_work(self) -> list[tuple[int, Kernel]]:
        """Return the kernels that have work, with their places: that of some nests and products is done elsewhere."""
        return [(i, work) for i, work in enumerate(self.kernels) if not isinstance(work, Nest) or work.nodes]

    def reading_kernels(self) -> dict[Value, set[int]]:
        """For each value the kernels that read it; -1 stands for the caller, and for reads at other places."""
        readers: dict[Value, set[int]] = {}
        for value in (*self.alias.values(), *(value for _, value in self.program.outputs)):
            readers.setdefault(origin(self.made, value), set()).add(-1)
        for place, kernel in enumerate(self.kernels):
            for value in (value for node in nodes_of(kernel) for value in node.inputs):
                source, index = element_of(self.made, value)
                same = isinstance(kernel, Nest) and index == identity(source.type.shape)
                readers.setdefault(source, set()).add(place if same else -1)
        return readers

    def reorder(self, places: Sequence[int]) -> None:
        """Put the kernels of these places in this order."""
        to = {old: new for new, old in enumerate(places)} | {-1: -1}
        self.kernels = [self.kernels[place] for place in places]
        self.home = {value: to[home] for value, home in self.home.items()}

    def _enter(self, node: Node, place: int, level: int) -> None:
        for value in node.outputs:
            self.home[value] = place
            self.level[value] = level

    def rename(self, memory: Mapping[Value, Value]) -> None:
        """Let values lie in the memory of others, and what shared theirs with them."""
        self.alias = {value: memory.get(base, base) for value, base in self.alias.items()} | dict(memory)
