"""Rows that are picked out of a small table go through a matrix product in the table, before they are picked."""

from __future__ import annotations

from collections.abc import Callable

from clearprop.ir import Batch, Node, Program, Value, dims_product
from clearprop.ops import Tensor, broadcast_to, permute_dims, reshape, scatter_add, take
from clearprop.passes.rewrite import Definitions, Rule, finish_as, rebuild

_ROWS_AN_INDEX = 4
"""What `most` is by default: batches of more samples than this gain."""


def pick_late(program: Program, most: int = _ROWS_AN_INDEX) -> Program:
    """Apply the rules below wherever they match; E and W are matrices, i are indices (k,).

    =========================  ==========================
    take(E, i) W               take(E W, i)
    take(E, i) + b             take(E + b, i)
    take(E, i)^T D             E^T scatter_add(i, D)
    scatter_add(i, D V)        scatter_add(i, D) V
    =========================  ==========================

    with b (features) broadcast, wherever E has few rows; and, so that these match, a reshape or transpose that leaves
    the rows whole goes to the indices. A network that reads characters has few of them and long texts: what its first
    layer makes of a character is then computed once for each that there is, and so is the derivative. Sums are taken in
    another order than before; every row is the same function of the table's as it was.

    Args:
        program: a derived program.
        most: a table has few rows up to so many for each index of a sample.
    """

    def rule(definitions: Definitions) -> Rule:
        def apply(node: Node, inputs: tuple[Value, ...]) -> Value | None:
            tensors = (rule(definitions, most, node, inputs) for rule in _RULES.get(node.op, ()))
            tensor = next((tensor for tensor in tensors if tensor is not None), None)
            return None if tensor is None else finish_as(tensor, node, inputs)

        return apply

    return rebuild(program, rule)


def _reshaped_take(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """reshape(take(E, i)) = take(E, reshape(i))."""
    picked = definitions.of(inputs[0], "take")
    if picked is None:
        return None
    table, indices = picked.inputs
    shape, rows = node.outputs[0].type.shape, table.type.shape[1:]
    lead = shape[: len(shape) - len(rows)]
    if shape[len(lead) :] != rows or dims_product(lead) != dims_product(indices.type.shape):
        return None
    return take(Tensor(table), reshape(Tensor(indices), lead))


def _permuted_take(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """permute_dims(take(E, i)) = take(E, permute_dims(i))."""
    picked = definitions.of(inputs[0], "take")
    axes = node.attrs["axes"]
    assert isinstance(axes, tuple)
    if picked is None:
        return None
    table, indices = picked.inputs
    own = _of_indices(axes, indices.type.rank)
    return None if own is None else take(Tensor(table), permute_dims(Tensor(indices), own))


def _scattered(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """scatter_add(i, reshape(D)) = scatter_add(reshape(i), D), and the same of a transpose."""
    indices, rows = inputs
    inner = definitions.of(rows)
    if inner is None or inner.op not in ("reshape", "permute_dims"):
        return None
    (source,), features = inner.inputs, rows.type.shape[indices.type.rank :]
    lead = source.type.shape[: source.type.rank - len(features)]
    if inner.op == "reshape":
        if source.type.shape[len(lead) :] != features or dims_product(lead) != dims_product(indices.type.shape):
            return None
        moved = reshape(Tensor(indices), lead)
    else:
        axes = inner.attrs["axes"]
        assert isinstance(axes, tuple)
        own = _of_indices(axes, indices.type.rank)
        if own is None:
            return None
        moved = permute_dims(Tensor(indices), tuple(own.index(axis) for axis in range(len(own))))
    return scatter_add(moved, Tensor(source), _size(node))


def _scattered_product(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """scatter_add(i, D V) = scatter_add(i, D) V."""
    indices, rows = inputs
    product = definitions.of(rows, "matmul")
    if product is None or not _is_product(rows, indices) or not _is_small(_size(node), indices, most):
        return None
    first, second = product.inputs
    return scatter_add(Tensor(indices), Tensor(first), _size(node)) @ Tensor(second)


def _product(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """take(E, i) W = take(E W, i)."""
    picked = definitions.of(inputs[0], "take")
    if picked is None or not _is_product(inputs[0], picked.inputs[1]):
        return None
    table, indices = picked.inputs
    if not _is_small(table.type.shape[0], indices, most):
        return None
    return take(Tensor(table) @ Tensor(inputs[1]), Tensor(indices))


def _turned_product(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """take(E, i)^T D = E^T scatter_add(i, D)."""
    turned = definitions.of(inputs[0], "permute_dims")
    picked = definitions.of(turned.inputs[0], "take") if turned else None
    if turned is None or picked is None or not _is_product(turned.inputs[0], picked.inputs[1]):
        return None
    table, indices = picked.inputs
    if turned.attrs["axes"] != (1, 0) or not _is_small(table.type.shape[0], indices, most):
        return None
    return permute_dims(Tensor(table)) @ scatter_add(Tensor(indices), Tensor(inputs[1]), table.type.shape[0])


def _sum(definitions: Definitions, most: int, node: Node, inputs: tuple[Value, ...]) -> Tensor | None:
    """take(E, i) + b = take(E + b, i)."""
    for rows, other in (inputs, inputs[::-1]):
        picked, spread = definitions.of(rows, "take"), definitions.of(other, "broadcast_to")
        if picked is None or spread is None:
            continue
        table, indices = picked.inputs
        (b,) = spread.inputs
        if b.type.shape == table.type.shape[1:] and _is_small(table.type.shape[0], indices, most):
            return take(Tensor(table) + broadcast_to(Tensor(b), table.type.shape), Tensor(indices))
    return None


def _of_indices(axes: tuple[object, ...], rank: int) -> tuple[int, ...] | None:
    """Return how a transpose moves the axes of the indices; None where it moves those of the rows."""
    if axes[rank:] != tuple(range(rank, len(axes))):
        return None
    return tuple(axis for axis in axes[:rank] if isinstance(axis, int))


def _is_product(rows: Value, indices: Value) -> bool:
    """Whether the rows are a matrix with one row an index."""
    return rows.type.rank == 2 and indices.type.rank == 1


def _is_small(size: object, indices: Value, most: int) -> bool:
    return isinstance(size, int) and size <= most * dims_product(indices.type.shape)[0]


def _size(node: Node) -> int | Batch:
    size = node.attrs["size"]
    assert isinstance(size, int | Batch)
    return size


_RULES: dict[str, tuple[Callable[[Definitions, int, Node, tuple[Value, ...]], Tensor | None], ...]] = {
    "reshape": (_reshaped_take,),
    "permute_dims": (_permuted_take,),
    "scatter_add": (_scattered, _scattered_product),
    "matmul": (_product, _turned_product),
    "add": (_sum,),
}
