"""The kernels of a program as text for a reader."""

from __future__ import annotations

from collections.abc import Iterator

from clearprop.backends.native.extents import Extent
from clearprop.backends.native.following import group
from clearprop.backends.native.kernels import Columns, Convolution, Kernel, Loop, Move, Product, nodes_of
from clearprop.backends.native.preparation import step_of
from clearprop.backends.native.rewriting import rewritten
from clearprop.backends.native.targets import Target
from clearprop.ir import Program, node_text


def outline(program: Program, target: Target) -> str:
    """Return each kernel in the order in which they run: what it is, and the nodes that it computes."""
    return "".join(f"{line}\n" for line in _outline(program, target))


def _outline(program: Program, target: Target) -> Iterator[str]:
    groups = group(rewritten(program, target), target)
    for place, (_, kernel) in enumerate(groups.at_work()):
        yield f"kernel {place}: {_headline(kernel)}"
        if isinstance(kernel, Loop):
            yield from (f"  {line}" for line in _outline(step_of(kernel.node), target))
        else:
            yield from (f"  {node_text(node)}" for node in nodes_of(kernel))


def _headline(kernel: Kernel) -> str:
    if isinstance(kernel, Product):
        return "matrix product"
    if isinstance(kernel, Convolution):
        return "convolution"
    if isinstance(kernel, Columns):
        return "reduction that keeps the last axis"
    if isinstance(kernel, Loop):
        way = ", the last first" if kernel.node.attrs["reverse"] else ""
        return f"{kernel.node.attrs['length']} time steps{way}"
    if isinstance(kernel, Move):
        return "rows moved"
    loops = " x ".join(map(_shown, kernel.space)) or "1"
    rows = "" if kernel.split is None else f", reduced over the last {len(kernel.space) - kernel.split}"
    before = "matrix product, and with each of its parts " if kernel.leader else ""
    return f"{before}loops over {loops}{rows}"


def _shown(size: Extent) -> str:
    batch = "n" if size.power == 1 else f"n^{size.power}"
    return str(size.coefficient) if size.fixed else batch if size.coefficient == 1 else f"{size.coefficient} {batch}"
