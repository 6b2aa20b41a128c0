"""Values around column sums that are cheap are computed wherever they are read, and not kept.

Batch normalisation subtracts a mean, and divides by a deviation, of all that it takes; nothing can use them before the
sums are done. So x - m would be written once and read by four kernels, which read x as well and subtract again here:

    c = x - m;  v = sum(c c);  a = c scale        becomes  v = sum((x - m) (x - m));  a = (x - m) scale

and likewise for its derivative, whose masks and products are made again in each sum and in the end.
"""

from __future__ import annotations

from clearprop.backends.native.elementwise import CHEAP
from clearprop.backends.native.emitter import BYTES
from clearprop.backends.native.kernels import REDUCTIONS
from clearprop.backends.native.placing import is_placing
from clearprop.backends.native.pooling import InWindows, Rewriter
from clearprop.backends.native.views import loop_axes, origin, reduced_axes
from clearprop.ir import Batch, Node, Value

_MOST = 12
"""So many operations, at most, are done again for one reader."""

_WRITE = 1.5
"""What it costs to write an array, in times of reading it."""


def computed_again(moved: InWindows) -> InWindows:
    """Let the readers of cheap values around column sums compute them."""
    if not any(map(_sums_columns, moved.program.nodes)):
        return moved
    return _Repeater(moved).result()


def _sums_columns(node: Node) -> bool:
    """Whether a node reduces images, or rows, of a batch and keeps the last axis."""
    if node.op not in REDUCTIONS:
        return False
    shape, axes = node.inputs[0].type.shape, reduced_axes(node)
    return len(shape) > 1 and isinstance(shape[0], Batch) and 0 in axes and loop_axes(shape)[-1:] != axes[-1:]


class _Repeater(Rewriter):
    mark = "anew"

    def __init__(self, moved: InWindows) -> None:
        super().__init__(moved.program)
        self.late = dict(moved.late)
        self.maker = {value: node for node in moved.program.nodes for value in node.outputs}
        self.readers: dict[Value, list[Node]] = {}
        for node in moved.program.nodes:
            for value in dict.fromkeys(node.inputs):
                self.readers.setdefault(value, []).append(node)
        self.asked = {value for _, value in moved.program.outputs}
        self.dropped: set[Value] = set()
        around = self._around_sums()
        for node in moved.program.nodes:
            if node.outputs[0] in around and self._pays(node):
                self._drop(node.outputs[0])

    def result(self) -> InWindows:
        for node in self.source.nodes:
            if node.outputs[0] not in self.dropped:
                self._write(node)
        return InWindows(self.finish(), self.late)

    def _drop(self, value: Value) -> None:
        """Do not keep a value, nor those that only it is made of."""
        inside = [item for item in self.maker[value].inputs if self._is_inside(item, value)]
        self.dropped.add(value)
        for item in inside:
            self._drop(item)

    def _around_sums(self) -> set[Value]:
        """Return the cheap values that column sums are computed from, one of their elements from one element each."""
        found: set[Value] = set()
        waiting = [node.inputs[0] for node in self.source.nodes if _sums_columns(node)]
        while waiting:
            value = waiting.pop()
            if value not in found and self._is_cheap(value) and self._may_be_dropped(value):
                found.add(value)
                waiting += [item for item in self.maker[value].inputs if item.type.shape == value.type.shape]
        return found

    def _is_cheap(self, value: Value) -> bool:
        node = self.maker.get(value)
        return node is not None and node.op in CHEAP and value not in self.asked

    def _pays(self, node: Node) -> bool:
        """Whether reading what a value is made of, for each reader, takes less than to keep the value."""
        value = node.outputs[0]
        readers = self.readers[value]
        leaves, inside = self._leaves(value)
        if len(readers) < 2 or len(inside) > _MOST:
            return False
        sources = {origin(self.maker, leaf) for leaf in leaves}
        read = sum(BYTES[source.type.dtype] for source in sources if Batch() in source.type.shape)
        size = BYTES[value.type.dtype]
        return len(readers) * read < read + size * (_WRITE + len(readers))

    def _may_be_dropped(self, value: Value) -> bool:
        """Whether every reader can compute a value; else it is kept, and no sum reads what it is made of."""
        return all(self._computes(reader, value) for reader in self.readers[value])

    def _computes(self, reader: Node, value: Value) -> bool:
        """Whether a reader is part of a loop that can compute the value, too."""
        same = reader.outputs[0].type.shape == value.type.shape
        return (reader.op in CHEAP and same) or _sums_columns(reader) or (reader.op == "pad" and is_placing(reader))

    def _leaves(self, value: Value) -> tuple[set[Value], set[Value]]:
        """Return what a value is computed from, and the values in between, itself included."""
        leaves, inside = set[Value](), {value}
        for item in self.maker[value].inputs:
            if self._is_inside(item, value):
                more, others = self._leaves(item)
                leaves |= more
                inside |= others
            else:
                leaves.add(item)
        return leaves, inside

    def _is_inside(self, item: Value, value: Value) -> bool:
        """Whether an operand is computed again with the value."""
        alone = self._is_cheap(item) and len(self.readers[item]) == 1 and item.type.shape == value.type.shape
        return item in self.dropped or alone

    def _write(self, node: Node) -> None:
        """Append a node, after copies of what it reads and was not kept."""
        copies: dict[Value, Value] = {}
        inputs = tuple(self._copy(value, copies) for value in node.inputs)
        if not copies:
            self.append(node)
            return
        read = [value for made in (node, *(self.maker[value] for value in copies)) for value in made.inputs]
        before = tuple(value for value in dict.fromkeys(read) if value not in copies)
        self.late |= dict.fromkeys(copies.values(), before)
        self.append(Node(node.op, inputs, node.attrs, node.outputs))

    def _copy(self, value: Value, copies: dict[Value, Value]) -> Value:
        if value not in self.dropped or value in copies:
            return copies.get(value, value)
        node = self.maker[value]
        inputs = [self._copy(item, copies) for item in node.inputs]
        copies[value] = self.write(node.op, inputs, node.attrs, value, value.type)
        return copies[value]
