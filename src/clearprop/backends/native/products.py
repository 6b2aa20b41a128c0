"""Matrix products: one strided micro-kernel, C[i,j] = sum_k A[i sa_i + k sa_k] B[k sb_k + j], in register tiles.

A tile of C (rows by one or two vectors of columns) stays in registers while k runs; every element adds its terms
in the order of k, whatever the tile. A transposed first factor is a matter of strides. A second factor whose
columns do not lie next to each other, or whose rows lie far apart, is packed a panel at a time into the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clearprop.backends.native.arithmetic import Arithmetic
from clearprop.backends.native.emitter import BYTES, Register, constant
from clearprop.backends.native.extents import ONE, Extent, contiguous, extent
from clearprop.backends.native.kernels import Access, Index, Product
from clearprop.backends.native.loops import nested, tail_mask
from clearprop.backends.native.regions import Kernel, Lanes
from clearprop.backends.native.targets import Target
from clearprop.backends.native.views import access
from clearprop.ir import Type, Value

View = tuple[Value, tuple[Index, ...]]
Columns = Sequence[tuple[int, Lanes]]
"""The vectors of a tile: where each starts, relative to the tile, and its lanes."""

_VECTORS = 2


@dataclass(frozen=True)
class Matrix:
    """An operand in memory: its first element, as text, and the strides of its rows and columns."""

    value: Value
    start: str
    row: Extent
    column: Extent


def full_index(value: Value) -> tuple[Index, ...]:
    """Return an index with a loop for every axis, those of length one included."""
    return tuple(Index(axis) for axis in range(value.type.rank))


def packed_panel(product: Product, second: View, target: Target) -> Type | None:
    """Return the type of the panel that the second factor is packed into, or None where it is read in place.

    It is packed where its columns do not lie next to each other, and where it is wider than one tile and has
    enough rows of the result to go with: rows that lie far apart would push each other out of the caches.
    """
    type_ = product.node.outputs[0].type
    width = _VECTORS * target.lanes(BYTES[type_.dtype])
    rows, columns = extent(type_.shape[-2]), extent(type_.shape[-1])
    strided = access(*second, type_.rank).strides[-1] != ONE
    wide = not columns.fixed or columns.coefficient > width
    tall = not rows.fixed or rows.coefficient > _VECTORS * target.row_tiles[0]
    if not strided and not (wide and tall):
        return None
    return Type(type_.dtype, (product.node.inputs[1].type.shape[-2], width))


class ProductWriter:
    """Writes one matrix product into a kernel."""

    def __init__(self, kernel: Kernel, product: Product, views: tuple[View, View], target: Target) -> None:
        self.kernel, self.product, self.target = kernel, product, target
        self.out, self.arithmetic = kernel.out, Arithmetic(kernel.out)
        result = product.node.outputs[0]
        shape, self.rank = result.type.shape, result.type.rank
        self.lead = tuple(extent(dim) for dim in shape[:-2])
        self.rows, self.columns = extent(shape[-2]), extent(shape[-1])
        self.depth = extent(product.node.inputs[0].type.shape[-1])
        self.dtype, self.lanes = result.type.dtype, target.lanes(BYTES[result.type.dtype])
        self.places = (access(*views[0], self.rank), access(*views[1], self.rank))
        self.result = Access(result, (), contiguous(shape))

    def write(self) -> None:
        """Write the product, for each matrix of the stack."""
        nested(self.out, [self.kernel.extent(size) for size in self.lead], self._one)

    def _one(self, lead: tuple[str, ...]) -> None:
        first, second = (self._matrix(place, lead) for place in self.places)
        result = self._matrix(self.result, lead)

        def panel(j: str, columns: Columns) -> None:
            right, parts = (second, columns) if self.product.packed is None else self._pack(second, j, columns)
            at = j if self.product.packed is None else "0"
            self._in_rows(lambda i, rows: self._tile((first, right, result), i, rows, (at, j), (parts, columns)))

        self._in_columns(panel)

    def _matrix(self, place: Access, lead: Sequence[str]) -> Matrix:
        start = self.kernel.offset(place.offsets, place.strides[: len(lead)], lead)
        return Matrix(place.source, start, *place.strides[len(lead) :])

    def _pack(self, matrix: Matrix, j: str, columns: Columns) -> tuple[Matrix, Columns]:
        """Copy the columns of one tile, for every k, to one place without gaps; lanes left over become zeros."""
        packed = self.product.packed
        assert packed is not None
        whole = [(shift, Lanes(lanes.count)) for shift, lanes in columns]
        width = Extent(sum(lanes.count for _, lanes in columns))
        reads, writes = Access(matrix.value, (), (ONE, matrix.column)), Access(packed, (), (width, ONE))

        def line(k: str) -> None:
            for (shift, lanes), (_, all_lanes) in zip(columns, whole, strict=True):
                column = self.out.add(j, str(shift))
                offset = self.kernel.offset((), (matrix.row, matrix.column), (k, column))
                start = self.out.add(matrix.start, offset)
                item = self.kernel.load(reads, (start, "0"), lanes)
                self.kernel.store(item, writes, (k, str(shift)), all_lanes)

        self.out.loop("0", self.kernel.extent(self.depth), 1, line)
        return Matrix(packed, "0", width, ONE), whole

    # -- the tiles ---------------------------------------------------------------------------------------------

    def _in_columns(self, body: Callable[[str, Columns], None]) -> None:
        """Walk over the columns: two vectors at a time, then what is left."""
        step = _VECTORS * self.lanes
        stop = self.kernel.extent(self.columns)
        known = self.columns.coefficient if self.columns.fixed else None
        whole = [(v * self.lanes, Lanes(self.lanes)) for v in range(_VECTORS)]
        end = str(known // step * step) if known is not None else self.out.get(f"and i64 {stop}, {-step}")
        if known is None or known >= step:
            self.out.loop("0", end, step, lambda j: body(j, whole))
        if known is None or known % step:
            rest = None if known is None else known % step
            (self._masked_rest if self.target.masks else self._scalar_rest)(end, stop, rest, body)

    def _masked_rest(self, start: str, stop: str, rest: int | None, body: Callable[[str, Columns], None]) -> None:
        """One tile: a whole vector and a part of one, or a part alone."""
        second = self.out.add(start, str(self.lanes))

        def wide() -> None:
            mask = Lanes(self.lanes, tail_mask(self.out, second, stop, self.lanes))
            body(start, [(0, Lanes(self.lanes)), (self.lanes, mask)])

        def narrow() -> None:
            body(start, [(0, Lanes(self.lanes, tail_mask(self.out, start, stop, self.lanes)))])

        if rest is not None:
            (wide if rest > self.lanes else narrow)()
            return
        left = self.out.get(f"sub i64 {stop}, {start}")
        self.out.when(self.out.get(f"icmp sgt i64 {left}, {self.lanes}"), wide)
        some = self.out.get(f"icmp sgt i64 {left}, 0")
        few = self.out.get(f"icmp sle i64 {left}, {self.lanes}")
        self.out.when(self.out.get(f"and i1 {some}, {few}"), narrow)

    def _scalar_rest(self, start: str, stop: str, rest: int | None, body: Callable[[str, Columns], None]) -> None:
        """Whole vectors one by one, then single columns."""
        if rest is None or rest >= self.lanes:
            end = self.out.get(f"and i64 {stop}, {-self.lanes}")
            self.out.loop(start, end, self.lanes, lambda j: body(j, [(0, Lanes(self.lanes))]))
            start = end
        if rest is None or rest % self.lanes:
            self.out.loop(start, stop, 1, lambda j: body(j, [(0, Lanes(1))]))

    def _in_rows(self, body: Callable[[str, int], None]) -> None:
        """Walk over the rows: the largest tile as often as it fits, then smaller ones."""
        stop = self.kernel.extent(self.rows)
        known = self.rows.coefficient if self.rows.fixed else None
        start, done = "0", 0
        for size in self.target.row_tiles:
            if known is not None:
                fits = (known - done) // size * size
                if not fits:
                    continue
                done += fits
                end = str(done)
            else:
                left = self.out.get(f"sub i64 {stop}, {start}")
                over = self.out.get(f"srem i64 {left}, {size}")
                end = self.out.get(f"sub i64 {stop}, {over}")
            # the default binds this turn's size; mypy infers no lambda with a default
            self.out.loop(start, end, size, lambda i, size=size: body(i, size))  # type: ignore[misc]
            start = end

    def _tile(
        self,
        matrices: tuple[Matrix, Matrix, Matrix],
        i: str,
        rows: int,
        starts: tuple[str, str],
        parts: tuple[Columns, Columns],
    ) -> None:
        """Compute one tile of the result; `starts` and `parts` are its columns in the second factor and the result."""
        first, second, result = matrices
        reads, columns = parts
        lefts = [self._at(first, self.out.add(i, str(r)), "0") for r in range(rows)]
        right = self._at(second, "0", starts[0])
        sums: dict[tuple[int, int], str] = {}
        for r in range(rows):
            for v, (_, lanes) in enumerate(columns):
                zero = constant(0.0, self.dtype, lanes.count)
                sums[r, v] = self.out.slot(zero.type, zero.text)

        def step(k: str) -> None:
            across = self._element(right, k, second.row)
            rights = [self._load(across, shift, lanes) for shift, lanes in reads]
            for r in range(rows):
                place = self._element(lefts[r], k, first.column)
                item = self.out.value(f"load {_scalar(self.dtype)}, ptr {place}", self.dtype, 1)
                for v, (_, lanes) in enumerate(columns):
                    total = self._sum(sums[r, v], lanes)
                    total = self.arithmetic.fma(self.out.splat(item, lanes.count), rights[v], total)
                    self.out.do(f"store {total}, ptr {sums[r, v]}")

        self.out.loop("0", self.kernel.extent(self.depth), 1, step)
        for r in range(rows):
            line = self._at(result, self.out.add(i, str(r)), starts[1])
            for v, (shift, lanes) in enumerate(columns):
                self.kernel.put(self._sum(sums[r, v], lanes), self._shift(line, shift), lanes)

    def _sum(self, slot: str, lanes: Lanes) -> Register:
        type_ = constant(0.0, self.dtype, lanes.count).type
        return self.out.value(f"load {type_}, ptr {slot}", self.dtype, lanes.count)

    def _at(self, matrix: Matrix, row: str, column: str) -> str:
        offset = self.kernel.offset((), (matrix.row, matrix.column), (row, column))
        return self.kernel.address(matrix.value, self.out.add(matrix.start, offset))

    def _element(self, pointer: str, k: str, stride: Extent) -> str:
        offset = self.out.multiply(k, self.kernel.extent(stride))
        return self.out.get(f"getelementptr inbounds {_scalar(self.dtype)}, ptr {pointer}, i64 {offset}")

    def _shift(self, pointer: str, shift: int) -> str:
        if not shift:
            return pointer
        return self.out.get(f"getelementptr inbounds {_scalar(self.dtype)}, ptr {pointer}, i64 {shift}")

    def _load(self, pointer: str, shift: int, lanes: Lanes) -> Register:
        return self.kernel.take(self.dtype, self._shift(pointer, shift), lanes)


def _scalar(dtype: str) -> str:
    return "float" if dtype == "float32" else "double"
