"""From a program to kernels: views vanish, elementwise work and reductions fuse, the rest becomes its own kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from clearprop.backends.native.elementwise import OPERATIONS
from clearprop.backends.native.extents import ONE, Extent
from clearprop.backends.native.kernels import Columns, Convolution, Index, Kernel, Loop, Move, Nest, Product
from clearprop.backends.native.placing import is_placing, placed_shape
from clearprop.backends.native.views import (
    GENERATORS,
    access,
    identity,
    is_unit_reshape,
    is_view,
    loop_axes,
    origin,
    reduced_axes,
    resolve,
    space_of,
)
from clearprop.ir import Node, Program, Shape, Type, Value

ELEMENTWISE = {*OPERATIONS, "astype", "random_bits"}
REDUCTIONS = ("sum", "max")
MOVES = ("take", "scatter_add", "concat", "pad")
STRIDED = ("matmul", "contraction", "overlap_add")
"""Nodes that are kernels of their own, and read memory at any strides."""
CONTRACTIONS = ("conv", "contraction")
HOLES: frozenset[str] = frozenset()
"""Primitives that have no lowering; `Native.compile` names them. There is none."""


def copied(value: Value) -> Node:
    """Return a node that copies a value into memory of its own."""
    return Node("stop_gradient", (value,), {}, (Value(value.name + ".copy", value.type, value.note),))


def prepare(program: Program) -> Program:
    """Put a copy wherever a view or a generator is asked for as memory, and turn mixed reductions around."""
    made: dict[Value, Node] = {}
    nodes: list[Node] = []

    def append(node: Node) -> Value:
        nodes.append(node)
        made.update(dict.fromkeys(node.outputs, node))
        return node.outputs[0]

    def memory(value: Value, strided: bool = False) -> Value:
        source, _ = resolve(made, value, identity(value.type.shape))
        node = made.get(source)
        generated = node is not None and node.op in GENERATORS and not is_array(node)
        if generated or (source is not value and not strided):
            return append(copied(value))
        return value

    for node in chain.from_iterable(map(_single, program.nodes)):
        copies = (
            (node.op in (*MOVES, "scan") and not is_placing(node))
            or node.op == "random_bits"
            or (node.op == "reshape" and not is_unit_reshape(node))
        )
        if node.op == "conv":
            x, w = node.inputs
            node = replace(node, inputs=(memory(x, strided=True), memory(w, strided=has_lines(made, w))))
        elif copies or (node.op in STRIDED and not is_placing(node)):
            node = replace(node, inputs=tuple(memory(value, strided=not copies) for value in node.inputs))
        elif node.op in REDUCTIONS:
            node = _turned(node, append)
        elif node.op in ELEMENTWISE:
            node = _once(node, made, append)
        append(node)
    inputs = set(program.inputs)
    outputs = []
    for name, value in program.outputs:
        base = origin(made, value)
        constant = base in made and is_array(made[base])
        outputs.append((name, value if value in inputs else append(copied(value)) if constant else memory(value)))
    return Program(program.name, program.inputs, tuple(live(nodes, [value for _, value in outputs])), tuple(outputs))


def _single(node: Node) -> list[Node]:
    """Return nodes of one result each: the parts of a split are slices."""
    if node.op != "split":
        return [node]
    (x,), axis = node.inputs, node.attrs["axis"]
    assert isinstance(axis, int)
    bounds = []
    for place, part in enumerate(node.outputs):
        size = part.type.shape[axis]
        assert isinstance(size, int)
        start = tuple(place * size if i == axis else 0 for i in range(x.type.rank))
        stop = tuple((place + 1) * size if i == axis else dim for i, dim in enumerate(x.type.shape))
        bounds.append({"start": start, "stop": stop, "step": (1,) * x.type.rank})
    return [Node("slice", (x,), attrs, (part,)) for attrs, part in zip(bounds, node.outputs, strict=True)]


def has_lines(made: Mapping[Value, Node], value: Value) -> bool:
    """Whether the elements along the last axis lie next to each other, seen through views."""
    rank = value.type.rank
    source, index = resolve(made, value, tuple(Index(((axis, 1),)) for axis in range(rank)))
    return value.type.shape[-1] == 1 or access(source, index, rank).strides[-1] == ONE


def step_of(loop: Node) -> Program:
    """Return the body of a loop with results that lie in memory of their own; a carry may share that of a result."""
    body, carries = loop.attrs["body"], loop.attrs["carries"]
    assert isinstance(body, Program)
    assert isinstance(carries, int)
    made = {value: node for node in body.nodes for value in node.outputs}
    nodes, outputs, taken = list(body.nodes), [], set()
    for place, (name, value) in enumerate(body.outputs):
        key = (place < carries, origin(made, value))
        if key[1] not in made or key in taken:
            nodes.append(copied(value))
            value = nodes[-1].outputs[0]
        taken.add(key)
        outputs.append((name, value))
    return Program(body.name, body.inputs, tuple(nodes), tuple(outputs))


def live(nodes: Sequence[Node], wanted: Sequence[Value]) -> list[Node]:
    """Return the nodes that the wanted values depend on."""
    needed, kept = set(wanted), []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]


def is_array(node: Node) -> bool:
    """Whether a constant is an array, which lies in memory."""
    return node.op == "constant" and isinstance(node.attrs["value"], tuple)


def _turned(node: Node, append: Callable[[Node], Value]) -> Node:
    """Bring the reduced axes of a reduction to the end, unless they are there or the last axis is kept."""
    shape = node.inputs[0].type.shape
    axes = reduced_axes(node)
    last_kept = bool(loop_axes(shape)) and loop_axes(shape)[-1] not in axes
    if is_trailing(node) or last_kept:
        return node
    order = tuple(axis for axis in range(len(shape)) if axis not in axes) + axes
    turned = Type(node.inputs[0].type.dtype, tuple(shape[axis] for axis in order))
    permuted = Node("permute_dims", node.inputs, {"axes": order}, (Value(node.inputs[0].name + ".T", turned),))
    append(permuted)
    kept = len(shape) - len(axes)
    return Node(node.op, permuted.outputs, {"axis": tuple(range(kept, len(shape)))}, node.outputs)


def _once(node: Node, made: Mapping[Value, Node], append: Callable[[Node], Value]) -> Node:
    """Compute an operation on broadcast numbers once, and broadcast its result."""
    shape = node.outputs[0].type.shape
    sources = [resolve(made, value, identity(value.type.shape))[0] for value in node.inputs]
    if not loop_axes(shape) or node.op == "random_bits" or any(loop_axes(source.type.shape) for source in sources):
        return node
    numbers = [
        append(Node("reshape", (source,), {"shape": ()}, (Value(f"{node.outputs[0].name}.{place}", _number(source)),)))
        for place, source in enumerate(sources)
    ]
    result = Value(node.outputs[0].name + ".number", _number(node.outputs[0]))
    append(Node(node.op, tuple(numbers), node.attrs, (result,)))
    return Node("broadcast_to", (result,), {"shape": shape}, node.outputs)


def _number(value: Value) -> Type:
    return Type(value.type.dtype, ())


def is_trailing(node: Node) -> bool:
    """Whether the loops of a reduction are the innermost ones."""
    loops = loop_axes(node.inputs[0].type.shape)
    axes = reduced_axes(node)
    kept = [axis for axis in loops if axis not in axes]
    return kept == list(loops[: len(kept)])


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
        for node in program.nodes:
            self._place(node)
            self.made.update(dict.fromkeys(node.outputs, node))

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
            kernel = Columns(node)
        elif node.op == "scan":
            kernel = Loop(node)
        else:
            kernel = Move(node, node.outputs[0])
        self.home.update(dict.fromkeys(node.outputs, len(self.kernels)))
        self.kernels.append(kernel)

    def _is_early(self, node: Node) -> bool:
        """Whether a number follows from inputs and other such numbers alone, so that it is known before all else."""
        if node.op not in ELEMENTWISE or node.op == "random_bits" or space_of(node.outputs[0].type.shape):
            return False
        sources = (resolve(self.made, value, identity(value.type.shape))[0] for value in node.inputs)
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
        sources = [resolve(self.made, value, identity(value.type.shape)) for value in self._operands(node)]
        late = self.late.get(node.outputs[0], ())
        before = [*(source for source, _ in sources), *(origin(self.made, value) for value in late)]
        earliest = max((self.home.get(source, -1) for source in before), default=0)
        places = range(len(self.kernels) - 1, max(earliest, 0) - 1, -1)
        # where its last operand is made, it is at hand; otherwise the latest nest keeps values the shortest time
        for place in (*places[-1:], *places) if earliest >= 0 else places:
            nest = self.kernels[place]
            if isinstance(nest, Nest) and self._joins(nest, place, node, space, split, level, sources):
                return
        self.kernels.append(Nest(space, split, [node]))
        self._enter(node, len(self.kernels) - 1, level)

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
        if not all(self._legal(place, source, index, level, node.op == "pad") for source, index in sources):
            return False
        if split is not None:
            nest.split = split
        nest.nodes.append(node)
        self._enter(node, place, level if split is None else wanted)
        return True

    def _legal(self, place: int, source: Value, index: tuple[Index, ...], level: int, pads: bool) -> bool:
        """Whether a value can be read at this index in the nest: it is made before, or here at the same place.

        What is put into place elsewhere can only be padded.
        """
        home = self.home.get(source, -1)
        if home != place:
            return home < place
        if is_placing(self.made[source]):
            return pads
        if source not in self.level or (level == 0 and self.level[source] == 1):
            return False
        return index == identity(source.type.shape)

    def _enter(self, node: Node, place: int, level: int) -> None:
        for value in node.outputs:
            self.home[value] = place
            self.level[value] = level

    def rename(self, memory: Mapping[Value, Value]) -> None:
        """Let values lie in the memory of others, and what shared theirs with them."""
        self.alias = {value: memory.get(base, base) for value, base in self.alias.items()} | dict(memory)
