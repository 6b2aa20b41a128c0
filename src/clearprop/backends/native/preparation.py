"""A program made ready for kernels: one result a node, memory where it is asked for, nothing repeated for a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from clearprop.backends.native.elementwise import OPERATIONS
from clearprop.backends.native.extents import ONE, ZERO
from clearprop.backends.native.kernels import REDUCTIONS, Index
from clearprop.backends.native.placing import is_placing
from clearprop.backends.native.views import (
    GENERATORS,
    access,
    element_of,
    is_trailing,
    is_unit_reshape,
    loop_axes,
    origin,
    reduced_axes,
    resolve,
    seen_by_contractions,
    source_of,
)
from clearprop.ir import Node, Program, Shape, Type, Value

ELEMENTWISE = {*OPERATIONS, "astype", "random_bits"}
_FEW_TERMS = 2
"""Matrix products whose elements are sums of no more terms are elementwise work, which others can join."""

MOVES = ("take", "scatter_add", "concat", "pad")
STRIDED = ("matmul", "contraction", "overlap_add")
"""Nodes that are kernels of their own, and read memory at any strides."""


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
        source = source_of(made, value)
        node = made.get(source)
        generated = node is not None and node.op in GENERATORS and not is_array(node)
        if generated or (source is not value and not strided):
            return append(copied(value))
        return value

    fixed = seen_by_contractions(program)
    for node in chain.from_iterable(map(_single, program.nodes)):
        if _has_few_terms(node):
            _add_terms(replace(node, inputs=(node.inputs[0], _in_lines(node.inputs[1], made, append))), append)
            continue
        copies = _reads_memory(node)
        if node.op == "conv":
            x, w = node.inputs
            node = replace(node, inputs=(memory(x, strided=True), memory(w, strided=has_lines(made, w))))
        elif copies or (node.op in STRIDED and not is_placing(node)):
            node = replace(node, inputs=tuple(memory(value, strided=not copies) for value in node.inputs))
        elif fixed.isdisjoint(node.outputs):
            node = _simpler(node, made, append)
        append(node)
    inputs = set(program.inputs)
    outputs = []
    for name, value in program.outputs:
        base = origin(made, value)
        constant = base in made and is_array(made[base])
        outputs.append((name, value if value in inputs else append(copied(value)) if constant else memory(value)))
    return Program(program.name, program.inputs, tuple(live(nodes, [value for _, value in outputs])), tuple(outputs))


def _simpler(node: Node, made: Mapping[Value, Node], append: Callable[[Node], Value]) -> Node:
    """Turn a mixed reduction around, and have what an elementwise node repeats computed once."""
    if node.op in REDUCTIONS:
        source = source_of(made, node.inputs[0])
        if source in made and made[source].op == "arange":  # no reduction computes its operand from the index
            node = replace(node, inputs=(append(copied(node.inputs[0])),))
        return _turned(node, append)
    return _once(node, made, append) if node.op in ELEMENTWISE else node


def _reads_memory(node: Node) -> bool:
    """Whether a node takes its operands as they lie in memory, not through views."""
    moves = node.op in (*MOVES, "scan") and not is_placing(node)
    return moves or node.op == "random_bits" or (node.op == "reshape" and not is_unit_reshape(node))


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


def _has_few_terms(node: Node) -> bool:
    """Whether an element of a matrix product is a sum of so few terms that it is elementwise work."""
    if node.op != "matmul" or node.inputs[0].type.rank != 2:
        return False
    depth = node.inputs[0].type.shape[1]
    return isinstance(depth, int) and 0 < depth <= _FEW_TERMS


def _in_lines(value: Value, made: Mapping[Value, Node], append: Callable[[Node], Value]) -> Value:
    """Return a matrix whose rows lie in one piece: a copy where its columns do."""
    source, index = element_of(made, value)
    strides = access(source, index, len(loop_axes(value.type.shape))).strides
    return value if not strides or strides[-1] in (ZERO, ONE) else append(copied(value))


def _add_terms(node: Node, append: Callable[[Node], Value]) -> None:
    """Write a product of matrices as sum_k first[:, k] second[k, :], in the order of k."""
    first, second = node.inputs
    (target,), (rows, columns) = node.outputs, node.outputs[0].type.shape
    depth = first.type.shape[1]
    assert isinstance(depth, int)

    def value(name: str, shape: Shape) -> Value:
        return Value(f"{target.name}.{name}", Type(target.type.dtype, shape))

    def spread(name: str, source: Value, start: Shape, stop: Shape, shape: Shape) -> Value:
        bounds = {"start": start, "stop": stop, "step": (1, 1)}
        line = append(Node("slice", (source,), bounds, (value(name, shape),)))
        return append(
            Node("broadcast_to", (line,), {"shape": target.type.shape}, (value(f"{name}s", target.type.shape),))
        )

    total = None
    for k in range(depth):
        last = k == depth - 1
        left = spread(f"column{k}", first, (0, k), (rows, k + 1), (rows, 1))
        right = spread(f"row{k}", second, (k, 0), (k + 1, columns), (1, columns))
        out = target if last and total is None else value(f"term{k}", target.type.shape)
        term = append(Node("multiply", (left, right), {}, (out,)))
        if total is not None:
            out = target if last else value(f"sum{k}", target.type.shape)
            term = append(Node("add", (total, term), {}, (out,)))
        total = term


def _once(node: Node, made: Mapping[Value, Node], append: Callable[[Node], Value]) -> Node:
    """Compute an operation on broadcast numbers once, and broadcast its result."""
    shape = node.outputs[0].type.shape
    sources = [source_of(made, value) for value in node.inputs]
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
