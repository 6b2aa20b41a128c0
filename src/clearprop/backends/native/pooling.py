"""Pooling in one pass: elementwise work around windows that do not overlap is done window by window.

`windows` and `overlap_add` of such windows move no data, so elementwise operations may change places with them:

    windows(f(x, y))             becomes  f(windows(x), windows(y))
    f(overlap_add(q), y)         becomes  overlap_add(f(q, windows(y)))

Then a bias, an activation and the pooling that follows make one nest over windows, and so do their derivatives, which
compute again what is cheap instead of keeping it in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from clearprop.backends.native.elementwise import CHEAP
from clearprop.backends.native.placing import covers, is_tiling, window_sizes
from clearprop.backends.native.views import is_view, numbers, seen_by_contractions
from clearprop.ir import Attribute, Node, Program, Type, Value

_MOST = 12
"""So many operations on a value, at most, are done in windows."""


@dataclass(frozen=True)
class InWindows:
    """A program, and for values that are computed again those that must be there before: no kernel does it earlier."""

    program: Program
    late: Mapping[Value, tuple[Value, ...]] = field(default_factory=dict)


def in_windows(program: Program) -> InWindows:
    """Do elementwise work around windows that do not overlap window by window."""
    if not any(node.op in ("windows", "overlap_add", "conv") for node in program.nodes):
        return InWindows(program)
    return _Repeater(_Mover(program).program()).result()


class Rewriter:
    """Writes a program once more, node by node, with names that nothing else has.

    Attributes:
        source: the program.
        nodes: what is written.
        made: which node made a value.
        new: what has taken the place of a value.
        mark: what the names that it makes have and those of other rewriters have not.
    """

    mark = "w"

    def __init__(self, program: Program) -> None:
        self.source = program
        self.nodes: list[Node] = []
        self.made: dict[Value, Node] = {}
        self.new: dict[Value, Value] = {}
        self._count = 0

    def append(self, node: Node) -> Value:
        """Append a node and return its result."""
        self.nodes.append(node)
        self.made.update(dict.fromkeys(node.outputs, node))
        return node.outputs[0]

    def write(
        self, op: str, inputs: Iterable[Value], attrs: Mapping[str, Attribute], like: Value, type_: Type
    ) -> Value:
        """Append a node whose result is called after another value."""
        self._count += 1
        return self.append(
            Node(op, tuple(inputs), dict(attrs), (Value(f"{like.name}.{self.mark}{self._count}", type_, like.note),))
        )

    def follow(self, node: Node) -> Node:
        """Return a node with the inputs that have taken the place of its own."""
        return replace(node, inputs=tuple(self.new.get(value, value) for value in node.inputs))

    def finish(self) -> Program:
        """Return the program that is written."""
        outputs = tuple((name, self.new.get(value, value)) for name, value in self.source.outputs)
        return Program(self.source.name, self.source.inputs, tuple(self.nodes), outputs)


class _Mover(Rewriter):
    """Brings `windows` before elementwise operations, and `overlap_add` behind them."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.uses: dict[Value, int] = {}
        for value in [value for node in program.nodes for value in node.inputs] + [v for _, v in program.outputs]:
            self.uses[value] = self.uses.get(value, 0) + 1
        self.kept = seen_by_contractions(program)

    def program(self) -> Program:
        for original in self.source.nodes:
            node = self.follow(original)
            target = node.outputs[0]
            if node.op == "windows" and is_tiling(node):
                self.append(node)
                moved = None if target in self.kept else self._windows(node.inputs[0], node)
                if moved is not None:
                    self.new[target] = moved
            elif node.op in CHEAP and (place := self._added(original, node)) is not None:
                self._behind(node, place)
            elif node.op == "slice" and self._crops(original, node):
                self._cropped(node)
            else:
                self.append(node)
        return self.finish()

    def _crops(self, original: Node, node: Node) -> bool:
        """Whether a slice keeps a box of the places of a convolution that nothing else reads."""
        made, shape = self.made.get(node.inputs[0]), node.inputs[0].type.shape
        kept = node.outputs[0].type.shape
        if made is None or made.op != "conv" or self.uses[original.inputs[0]] != 1 or set(numbers(node, "step")) != {1}:
            return False
        return 0 not in kept and kept[:: len(shape) - 1] == shape[:: len(shape) - 1]

    def _cropped(self, node: Node) -> None:
        """Convolve only what the places that are kept see."""
        made = self.made[node.inputs[0]]
        (x, w), places = made.inputs, node.outputs[0].type.shape
        start, stop, shape = (list(x.type.shape) for _ in range(3))
        starts = node.attrs["start"]
        assert isinstance(starts, tuple)
        start[0] = start[-1] = 0
        for axis, (s, d) in enumerate(zip(numbers(made, "stride"), numbers(made, "dilation"), strict=True), 1):
            first, count, size = starts[axis], places[axis], w.type.shape[axis - 1]
            assert isinstance(first, int)
            assert isinstance(count, int)
            assert isinstance(size, int)
            length = (count - 1) * s + d * (size - 1) + 1
            start[axis], stop[axis], shape[axis] = first * s, first * s + length, length
        attrs = {"start": tuple(start), "stop": tuple(stop), "step": (1,) * len(shape)}
        seen = self.write("slice", (x,), attrs, x, Type(x.type.dtype, tuple(shape)))
        self.append(Node("conv", (seen, w), made.attrs, node.outputs))

    def _windows(self, value: Value, like: Node) -> Value | None:
        """Return the windows of a cheap elementwise value, computed in windows."""
        node = self.made.get(value)
        if node is None or node.op not in CHEAP or self._depth(value) > _MOST:
            return None
        inputs = [self._windows(item, like) or self._view(item, like) for item in node.inputs]
        return self.write(node.op, inputs, node.attrs, value, self._type(value, like))

    def _depth(self, value: Value) -> int:
        """Return how many cheap operations make a value out of what is in memory; more than `_MOST` count as that."""
        node, total = self.made.get(value), 1
        if node is None or node.op not in CHEAP:
            return 0
        for item in node.inputs:
            total += self._depth(item)
            if total > _MOST:
                break
        return total

    def _view(self, value: Value, like: Node) -> Value:
        attrs = {key: like.attrs[key] for key in ("axes", "stride", "dilation")} | {"size": window_sizes(like)}
        return self.write("windows", (value,), attrs, value, self._type(value, like))

    @staticmethod
    def _type(value: Value, like: Node) -> Type:
        """Return the type of the windows of a value."""
        shape = (like.outputs if like.op == "windows" else like.inputs)[0].type.shape
        return Type(value.type.dtype, shape)

    def _added(self, original: Node, node: Node) -> int | None:
        """Return which input is windows added up, if the operation may be done before that."""
        for place, (before, value) in enumerate(zip(original.inputs, node.inputs, strict=True)):
            added = self.made.get(value)
            adds = added is not None and added.op == "overlap_add" and is_tiling(added) and self.uses[before] == 1
            if adds and (covers(self.made[value]) or self._keeps_zero(node, place)):
                return place
        return None

    def _keeps_zero(self, node: Node, place: int) -> bool:
        """Whether the result is zero wherever this input is: a choice between it and zero."""
        return node.op == "where" and place > 0 and self._is_zero(node.inputs[3 - place])

    def _is_zero(self, value: Value) -> bool:
        node = self.made.get(value)
        while node is not None and node.op == "broadcast_to":
            node = self.made.get(node.inputs[0])
        return node is not None and node.op == "constant" and node.attrs["value"] == 0

    def _behind(self, node: Node, place: int) -> None:
        """Do an operation on windows, and add these up then."""
        added = self.made[node.inputs[place]]
        inputs = [self._windows(value, added) or self._view(value, added) for value in node.inputs]
        inputs[place] = added.inputs[0]
        target = node.outputs[0]
        inside = self.write(node.op, inputs, node.attrs, target, self._type(target, added))
        self.append(Node("overlap_add", (inside,), added.attrs, node.outputs))


class _Repeater(Rewriter):
    """Writes what windows that are added up need, and is cheap, once more in front of them."""

    mark = "again"

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.late: dict[Value, tuple[Value, ...]] = {}

    def result(self) -> InWindows:
        for node in self.source.nodes:
            if node.op == "overlap_add" and is_tiling(node):
                self._repeat(node)
            else:
                self.append(node)
        return InWindows(self.finish(), self.late)

    def _repeat(self, node: Node) -> None:
        first, copies, leaves = len(self.nodes), dict[Value, Value](), dict[Value, None]()
        inside = node.inputs[0].type.shape
        self._copy(node.inputs[0], inside, copies, leaves)
        self.append(replace(node, inputs=(copies[node.inputs[0]],)))
        for new in self.nodes[first:]:
            self.late[new.outputs[0]] = tuple(leaves)

    def _copy(self, value: Value, inside: object, copies: dict[Value, Value], leaves: dict[Value, None]) -> Value:
        """Return a copy of a value, or itself where it is kept; `inside` is the shape of the windows."""
        if value in copies:
            return copies[value]
        node = self.made.get(value)
        copies[value] = value
        if node is None or not (node.op in CHEAP or is_view(node) or node.op == "sum"):
            leaves[value] = None
            return value
        inputs = [self._copy(item, inside, copies, leaves) for item in node.inputs]
        wanted = value.type.shape == inside or (node.op == "sum" and node.inputs[0].type.shape == inside)
        changed = any(new is not old for new, old in zip(inputs, node.inputs, strict=True))
        if (wanted and not is_view(node)) or changed:
            copies[value] = self.write(node.op, inputs, node.attrs, value, value.type)
        elif not is_view(node):
            leaves[value] = None
        return copies[value]
