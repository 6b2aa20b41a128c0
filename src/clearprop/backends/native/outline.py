"""The kernels of a program as text for a reader."""

from __future__ import annotations

from collections.abc import Iterator

from clearprop.backends.native.depthwise import with_contractions
from clearprop.backends.native.extents import Extent
from clearprop.backends.native.kernels import Columns, Convolution, Kernel, Move, Nest, Product
from clearprop.backends.native.lowering import Grouping, prepare
from clearprop.backends.native.pooling import in_windows
from clearprop.ir import Node, Program, node_text


def outline(program: Program) -> str:
    """Return each kernel in the order in which they run: what it is, and the nodes that it computes."""
    moved = in_windows(with_contractions(program))
    return "".join(
        f"kernel {place}: {line}\n" if first else f"  {line}\n"
        for place, kernel in enumerate(Grouping(prepare(moved.program), moved.late).kernels)
        for first, line in _lines(kernel)
    )


def _lines(kernel: Kernel) -> Iterator[tuple[bool, str]]:
    yield True, _headline(kernel)
    for node in kernel.nodes if isinstance(kernel, Nest) else [*_chain(kernel), kernel.node]:
        yield False, node_text(node)


def _chain(kernel: Columns | Product | Convolution | Move) -> list[Node]:
    return kernel.chain if isinstance(kernel, Columns) else []


def _headline(kernel: Kernel) -> str:
    if isinstance(kernel, Product):
        return "matrix product"
    if isinstance(kernel, Convolution):
        return "convolution"
    if isinstance(kernel, Columns):
        return "reduction that keeps the last axis"
    if isinstance(kernel, Move):
        return "rows moved"
    loops = " x ".join(map(_shown, kernel.space)) or "1"
    rows = "" if kernel.split is None else f", reduced over the last {len(kernel.space) - kernel.split}"
    return f"loops over {loops}{rows}"


def _shown(size: Extent) -> str:
    batch = "n" if size.power == 1 else f"n^{size.power}"
    return str(size.coefficient) if size.fixed else batch if size.coefficient == 1 else f"{size.coefficient} {batch}"
