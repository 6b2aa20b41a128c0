"""Products that lead a nest: what works on a product alone goes on with each of its parts, where the part was made.

So it is with the gradient of a layer's weights, which only their update reads. Instead of a whole gradient, each worker
has memory for a part of it, which stays in its cache: no gradient is written to memory and read again.
"""

from __future__ import annotations

from collections.abc import Mapping

from clearprop.backends.native.cuts import Cut, cut_product
from clearprop.backends.native.extents import product
from clearprop.backends.native.kernels import REDUCTIONS, Index, Nest, Product
from clearprop.backends.native.lowering import Grouping
from clearprop.backends.native.ordering import bring_forward
from clearprop.backends.native.partition import has_several, is_small
from clearprop.backends.native.pooling import InWindows
from clearprop.backends.native.preparation import ELEMENTWISE, prepare
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import element_of, full_index, identity, origin, resolve, space_of
from clearprop.ir import Node, Value


def group(moved: InWindows, target: Target) -> Grouping:
    """Return the kernels of a program that was rewritten."""
    groups = Grouping(prepare(moved.program), moved.late)
    follow(groups, target)
    bring_forward(groups)
    return groups


def follow(groups: Grouping, target: Target) -> None:
    """Give each nest that can have one a leader, which leaves its own place among the kernels."""
    readers = groups.reading_kernels()
    for place, nest in enumerate(groups.kernels):
        if not isinstance(nest, Nest) or len(nest.space) != 2:
            continue
        leaders = _products_for(groups, place, nest, readers)
        fixed = product(nest.space).fixed
        if not leaders or (fixed and len(leaders) > 1):
            continue
        home = max(leaders)
        leader = leaders[home]
        if (_is_led if fixed else _goes_on)(groups, place, nest, leader, target):
            nest.leader = leader
            (result,) = leader.node.outputs
            groups.kernels[home], groups.home[result] = Nest(()), place
            if not fixed:
                _overwrite(groups, place, nest, result, readers)


def _products_for(groups: Grouping, place: int, nest: Nest, readers: Mapping[Value, set[int]]) -> dict[int, Product]:
    """Return the products whose results this nest reads alone, each at the element that is its own, by their places."""
    found = {}
    for source, _ in _given(groups, place, nest):
        home = groups.home.get(source, -1)
        work = groups.kernels[home] if home >= 0 else None
        # a reshape of a result is made where the result is, but its elements lie in other rows and columns
        if isinstance(work, Product) and source in work.node.outputs and readers[source] == {place}:
            found[home] = work
    return found


def _overwrite(groups: Grouping, place: int, nest: Nest, result: Value, readers: Mapping[Value, set[int]]) -> None:
    """Let a result lie where the nest puts what it makes of it, if that has the same type."""
    for node in nest.nodes:
        value = node.outputs[0]
        if value.type == result.type and readers.get(value, set()) - {place}:
            groups.rename({result: value})
            return


def cut_of(groups: Grouping, work: Product, target: Target, led: bool) -> Cut:
    """Return the plan of a product, which leads a nest or not."""
    first, second = (resolve(groups.made, value, full_index(value)) for value in work.node.inputs)
    return cut_product(work.node, (first, second), target, led)


def _is_flat(groups: Grouping, place: int, nest: Nest) -> bool:
    """Whether a nest is one loop over a number of elements, in which each array is read and written at the same one."""
    if nest.split or not groups.is_one_loop(nest):
        return False
    if any(node.op not in (*ELEMENTWISE, *REDUCTIONS) or node.op == "random_bits" for node in nest.nodes):
        return False
    return all(
        not space_of(source.type.shape)
        or (space_of(source.type.shape) == nest.space and index == identity(source.type.shape))
        for source, index in _given(groups, place, nest)
    )


def _given(groups: Grouping, place: int, nest: Nest) -> list[tuple[Value, tuple[Index, ...]]]:
    """Return what a nest reads that is made elsewhere, and at which index."""
    found = [read for node in nest.nodes for read in _reads(groups, node)]
    return [(source, index) for source, index in found if groups.home.get(source, -1) != place]


def _reads(groups: Grouping, node: Node) -> list[tuple[Value, tuple[Index, ...]]]:
    return [element_of(groups.made, value) for value in node.inputs]


def _is_led(groups: Grouping, place: int, nest: Nest, work: Product, target: Target) -> bool:
    """Whether the parts of a product are worth a worker's own memory, and the nest can take them as they come.

    A product that reads what the program replaces has to be done before.
    """
    replaced = {name for name, _ in groups.program.outputs} & {value.name for value in groups.program.inputs}
    factors = {origin(groups.made, value) for value in work.node.inputs}
    if not _is_flat(groups, place, nest) or any(value.name in replaced for value in factors):
        return False
    cut = cut_of(groups, work, target, led=True)
    return not cut.rows.alone and has_several(cut.rows.width * cut.across.coefficient)


def _goes_on(groups: Grouping, place: int, nest: Nest, work: Product, target: Target) -> bool:
    """Whether a nest can go on with the parts of a product where they lie: several, or one if it would have one too."""
    if any(node.op not in ELEMENTWISE for node in nest.nodes) or work.node.outputs[0].type.rank != 2:
        return False
    cut = cut_of(groups, work, target, led=False)
    return not (cut.rows.alone and cut.columns.alone) or is_small(nest)
