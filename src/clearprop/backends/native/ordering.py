"""When updates run: each as soon as its gradient is there and nothing else reads what it replaces.

A program says all of the backward pass before the first update. The kernels of the updates move forward, so that the
errors and activations of a layer are done with when its weights are new, and their memory serves the layers before it.
"""

from __future__ import annotations

from clearprop.backends.native.kernels import Kernel, Nest, nodes_of
from clearprop.backends.native.lowering import Grouping
from clearprop.backends.native.views import origin, space_of
from clearprop.ir import Value


def bring_forward(groups: Grouping) -> None:
    """Move each kernel that replaces inputs right behind the last one that it has to wait for.

    One that needs arrays between its loops, or leaves one for another kernel, stays: they would live beside those of
    the layers below.
    """
    inputs = {value.name: value for value in groups.program.inputs}
    replaced = {origin(groups.made, value): inputs[name] for name, value in groups.program.outputs if name in inputs}
    reads = [_reads(groups, work) for work in groups.kernels]
    made: dict[int, set[Value]] = {}
    for value, home in groups.home.items():
        made.setdefault(home, set()).add(value)
    readers: dict[Value, set[int]] = {}
    for place, values in enumerate(reads):
        for value in values:
            readers.setdefault(value, set()).add(place)
    order = list(range(len(groups.kernels)))
    for place in sorted({groups.home.get(value, -1) for value in replaced} - {-1}):
        work = groups.kernels[place]
        if isinstance(work, Nest) and not groups.is_one_loop(work):
            continue
        left = (value for value in made[place] - set(replaced) if space_of(value.type.shape))
        if any(readers.get(value, set()) - {place} for value in left):
            continue
        before = {groups.home.get(value, -1) for value in reads[place]}
        before.update(*(readers.get(replaced[value], ()) for value in made[place] & set(replaced)))
        now = order.index(place)
        behind = 1 + max((at for at, other in enumerate(order) if other in before and other != place), default=-1)
        if behind < now:
            order.insert(behind, order.pop(now))
    groups.reorder(order)


def _reads(groups: Grouping, work: Kernel) -> set[Value]:
    return {origin(groups.made, value) for node in nodes_of(work) for value in node.inputs}
