"""When updates run: each as soon as its gradient is there and nothing else reads what it replaces.

A program says all of the backward pass before the first update. The kernels of the updates move forward, so that the
errors and activations of a layer are done with when its weights are new, and their memory serves the layers before it.
"""

from __future__ import annotations

from clearprop.backends.native.kernels import Columns, Kernel, nodes_of
from clearprop.backends.native.lowering import Grouping
from clearprop.backends.native.views import origin
from clearprop.ir import Value


def bring_forward(groups: Grouping) -> None:
    """Move each kernel that replaces an input right behind the last one that it has to wait for."""
    inputs = {value.name: value for value in groups.program.inputs}
    replaces: dict[int, set[Value]] = {}
    for name, value in groups.program.outputs:
        home = groups.home.get(origin(groups.made, value), -1)
        if name in inputs and home >= 0:
            replaces.setdefault(home, set()).add(inputs[name])
    reads = [_reads(groups, work) for work in groups.kernels]
    order = list(range(len(groups.kernels)))
    for place in sorted(replaces):
        made_before = {groups.home.get(value, -1) for value in reads[place]}
        readers = {other for other in order if not reads[other].isdisjoint(replaces[place])}
        awaited = (made_before | readers) - {-1, place}
        behind, now = max((order.index(other) + 1 for other in awaited), default=0), order.index(place)
        if behind < now:
            order.insert(behind, order.pop(now))
    groups.reorder(order)


def _reads(groups: Grouping, work: Kernel) -> set[Value]:
    """Return what a kernel reads, or has to come after."""
    nodes = [*nodes_of(work), *(work.chain if isinstance(work, Columns) else ())]
    late = (value for node in nodes for made in node.outputs for value in groups.late.get(made, ()))
    return {origin(groups.made, value) for value in (*(read for node in nodes for read in node.inputs), *late)}
