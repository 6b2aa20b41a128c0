"""The loop over training steps as LLVM text: `i64 drive(ptr plan)` runs `program` on one batch after another.

Meanwhile denormal numbers count as zero (see `denormals`).

For each epoch it makes the order of the rows, and for each batch it gathers them, sets the number of the step and what
varies, calls the program, checks that objective and health are finite, and adds cost times rows to the epoch's sum.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from clearprop.backends.native.calls import write_share
from clearprop.backends.native.denormals import write_flushing
from clearprop.backends.native.emitter import BYTES, SCALARS, Emitter
from clearprop.backends.native.extents import count
from clearprop.backends.native.regions import READ, WRITTEN
from clearprop.backends.stepping import CHECKED, COST, STEP, Roles
from clearprop.ir import Value

FIELDS = (
    *("first", "count", "rows", "batch", "batches", "shuffle", "numbers", "order", "ordered"),
    *("varying", "targets", "values", "sources", "whole", "rest", "team", "picked", "buffers", "done", "losses"),
)
"""The eight-byte fields of the plan.

first, count: the number of the first step, and how many steps. rows, batch, batches: of the data, of a batch, and
batches an epoch. shuffle, numbers: the function that makes an epoch's order, or 0, and what it needs (see `shuffle`).
order, ordered: the order of an epoch, and of which.
varying, targets, values: how many inputs vary, and for each a pointer to the input and to its values.
sources: a pointer to all rows of each data input, or 0 where they are an earlier one's, whose buffer it has.
whole, rest: the buffers for a whole batch, and for the last one. team: the threads that share large kernels, or 0.
picked, buffers: where the numbers of the batch's rows lie, and its buffers: these two are set for every batch.
done, losses: results: the steps that are done, and the sum of losses of each epoch (doubles, which start from what they
hold).
"""

DONE, DIVERGED, OUT_OF_RANGE = range(3)
"""What `drive` returns: all steps are done, or why it stopped at a step."""

Places = Mapping[str, tuple[int, str]]

_PART = 1 << 15
"""About how many bytes of rows one thread gathers at a time; data that are two inputs count twice."""

_PICOSECONDS = 100
"""What a byte costs that comes from memory."""

_PIECE, _BLOCK = 128, 512
"""A copy of so many bytes is a few moves of vectors on every target; and how many bytes of such copies a loop holds."""

_LINE = 64
"""Bytes: what a cache brings at once."""

_AHEAD = 2048
"""About how many bytes before they are copied rows are asked for: they come from anywhere in memory."""


def write_drive(roles: Roles, places: Places, family: str) -> tuple[str, set[str]]:
    """Write `drive`; return it and the functions that it declares.

    Args:
        roles: what the inputs of the step are.
        places: for each input and output, and for `status`, the number of its buffer and its dtype.
        family: of CPUs.
    """
    text, declares = _DriveWriter(roles, places).text()
    return text + write_flushing("drive", "steps", family), declares


class _DriveWriter:
    def __init__(self, roles: Roles, places: Places) -> None:
        self.roles, self.places, self.out = roles, places, Emitter()

    def text(self) -> tuple[str, set[str]]:
        """Write the function and those it calls; return them and what they declare."""
        out = self.out
        self._epochs()
        out.do(f"ret i64 {DONE}")
        steps = f"define internal i64 @steps{out.function('(ptr %plan) noinline nounwind')}"
        gather, declares = self._gather_function()
        return "".join((gather, write_share("share_rows"), steps)), out.declares | declares

    def _epochs(self) -> None:
        """Go through the epochs, and in each through those of its batches that belong to the stretch."""
        out = self.out
        first, number, batches = (self._load(name) for name in ("first", "count", "batches"))
        stop = out.get(f"add i64 {first}, {number}")
        begin = out.get(f"udiv i64 {first}, {batches}")
        beyond = out.get(f"sub i64 {out.get(f'add i64 {stop}, {batches}')}, 1")
        end = out.get(f"udiv i64 {beyond}, {batches}")

        def epoch(place: str) -> None:
            self._shuffle(place)
            before = out.get(f"mul i64 {place}, {batches}")
            start = out.most(out.get(f"sub i64 {first}, {before}"), "0")
            limit = out.least(out.get(f"sub i64 {stop}, {before}"), batches)
            losses = self._load("losses", "ptr")
            loss = out.get(f"getelementptr double, ptr {losses}, i64 {out.get(f'sub i64 {place}, {begin}')}")
            out.loop(start, limit, 1, lambda batch: self._step(out.get(f"add i64 {before}, {batch}"), batch, loss))

        out.do(f"store i64 0, ptr {self._field('done')}")
        out.loop(begin, end, 1, epoch)

    def _shuffle(self, epoch: str) -> None:
        """Make the order of an epoch, unless it is there."""
        out = self.out
        function = self._load("shuffle", "ptr")
        other = out.get(f"icmp ne i64 {self._load('ordered')}, {epoch}")
        wanted = out.get(f"and i1 {out.get(f'icmp ne ptr {function}, null')}, {other}")

        def shuffle() -> None:
            order, numbers = (self._load(name, "ptr") for name in ("order", "numbers"))
            out.do(f"call void {function}(i64 {self._load('rows')}, ptr {order}, ptr {numbers}, i64 {epoch})")
            out.do(f"store i64 {epoch}, ptr {self._field('ordered')}")

        out.when(wanted, shuffle)

    def _step(self, number: str, batch: str, loss: str) -> None:
        """Run the step of a number, which is a batch of its epoch."""
        out, size = self.out, self._load("batch")
        begin = out.get(f"mul i64 {batch}, {size}")
        left = out.get(f"sub i64 {self._load('rows')}, {begin}")
        short = out.get(f"icmp slt i64 {left}, {size}")
        n = out.get(f"select i1 {short}, i64 {left}, i64 {size}")
        buffers = out.get(f"select i1 {short}, ptr {self._load('rest', 'ptr')}, ptr {self._load('whole', 'ptr')}")
        picked = out.get(f"getelementptr i64, ptr {self._load('order', 'ptr')}, i64 {begin}")
        done = out.get(f"sub i64 {number}, {self._load('first')}")
        self._gather(picked, buffers, n)
        self._vary(done)
        if self.roles.counts:
            out.do(f"store i64 {number}, ptr {self._buffer(buffers, STEP)}")
        out.do(f"call void @program(i64 {n}, ptr {buffers}, ptr {self._load('team', 'ptr')})")
        self._check(buffers)
        self._add_loss(buffers, n, loss)
        out.do(f"store i64 {out.get(f'add i64 {done}, 1')}, ptr {self._field('done')}")

    def _load(self, name: str, type_: str = "i64") -> str:
        return self.out.get(f"load {type_}, ptr {self._field(name)}")

    def _field(self, name: str) -> str:
        return self.out.get(f"getelementptr i64, ptr %plan, i64 {FIELDS.index(name)}")

    def _item(self, table: str, place: int | str) -> str:
        """Load a pointer from a table of pointers."""
        return self.out.get(f"load ptr, ptr {self.out.get(f'getelementptr ptr, ptr {table}, i64 {place}')}")

    def _buffer(self, buffers: str, name: str) -> str:
        return self._item(buffers, self.places[name][0])

    def _read(self, buffers: str, name: str) -> str:
        """Load a float output as a double."""
        dtype = self.places[name][1]
        number = self.out.get(f"load {SCALARS[dtype]}, ptr {self._buffer(buffers, name)}")
        return number if dtype == "float64" else self.out.get(f"fpext {SCALARS[dtype]} {number} to double")

    def _gather(self, picked: str, buffers: str, n: str) -> None:
        """Copy the rows of the batch, shared out if they are many."""
        out, length = self.out, sum(map(_row_bytes, self.roles.data))
        out.do(f"store ptr {picked}, ptr {self._field('picked')}")
        out.do(f"store ptr {buffers}, ptr {self._field('buffers')}")
        parts = out.divide(out.add(n, str(_rows_a_part(length) - 1)), str(_rows_a_part(length)))
        cost, team = out.multiply(n, str(length * _PICOSECONDS)), self._load("team", "ptr")
        out.do(f"call void @share_rows(i64 {n}, i64 {parts}, i64 {cost}, ptr @gather, ptr %plan, ptr {team})")

    def _gather_function(self) -> tuple[str, set[str]]:
        """Write the function that copies the rows of one part, one data input after another."""
        writer = _DriveWriter(self.roles, self.places)
        out, size = writer.out, _rows_a_part(sum(map(_row_bytes, self.roles.data)))
        start = out.multiply("%part", str(size))
        stop = out.least("%n", out.add(start, str(size)))
        picked, buffers, sources = (writer._load(name, "ptr") for name in ("picked", "buffers", "sources"))
        for place, value in enumerate(self.roles.data):
            source, target = writer._item(sources, place), writer._buffer(buffers, value.name)
            rows = functools.partial(writer._rows, _row_bytes(value), source, target, picked, (start, stop))
            out.when(out.get(f"icmp ne ptr {source}, null"), rows)
        out.do("ret void")
        head = "define internal void @gather(i64 %n, i64 %part, i64 %worker, ptr %plan) nounwind"
        return out.function(head), out.declares

    def _rows(self, length: int, source: str, target: str, picked: str, span: tuple[str, str]) -> None:
        """Copy rows; meanwhile the whole lines of a row to come are asked for, and the memory that it goes to."""
        out, further = self.out, str(-(-_AHEAD // max(length, 1)))
        last = out.subtract("%n", "1")

        def row(base: str, number: str) -> str:
            return out.get(f"getelementptr i8, ptr {base}, i64 {out.multiply(number, str(length))}")

        def wanted(place: str) -> str:
            number = out.get(f"load i64, ptr {out.get(f'getelementptr i64, ptr {picked}, i64 {place}')}")
            return row(source, number)

        def one(place: str) -> None:
            to, later = row(target, place), wanted(out.least(out.add(place, further), last))
            self._row(length, (wanted(place), to, later, out.after(to, str(_AHEAD))))

        out.loop(*span, 1, one)

    def _row(self, length: int, places: Sequence[str]) -> None:
        """Copy one row from the first place to the second, and ask for the third, to read, and the fourth, to write."""
        whole = length // _BLOCK * _BLOCK
        if whole > _BLOCK:
            self.out.loop("0", str(whole), _BLOCK, lambda at: self._block(places, at, _BLOCK))
        elif whole:
            self._block(places, "0", _BLOCK)
        self._block(places, str(whole), length - whole)

    def _block(self, places: Sequence[str], start: str, size: int) -> None:
        out, (source, target, later, below) = self.out, places
        for line in range(0, size // _LINE * _LINE, _LINE):
            at = out.add(start, str(line))
            for base, how in ((later, READ), (below, WRITTEN)):
                out.call("void", "llvm.prefetch.p0", [f"ptr {out.after(base, at)}", *how])
        for begin in range(0, size, _PIECE):
            here, there = (out.after(base, out.add(start, str(begin))) for base in (source, target))
            arguments = [f"ptr {there}", f"ptr {here}", f"i64 {min(_PIECE, size - begin)}", "i1 false"]
            out.call("void", "llvm.memcpy.p0.p0.i64", arguments)

    def _vary(self, step: str) -> None:
        """Set the inputs that differ from step to step."""
        out = self.out
        number = out.get(f"load i64, ptr {self._field('varying')}")
        targets, values = (out.get(f"load ptr, ptr {self._field(name)}") for name in ("targets", "values"))

        def one(place: str) -> None:
            address = out.get(f"getelementptr double, ptr {self._item(values, place)}, i64 {step}")
            out.do(f"store double {out.get(f'load double, ptr {address}')}, ptr {self._item(targets, place)}")

        out.loop("0", number, 1, one)

    def _check(self, buffers: str) -> None:
        """Return at a step that used an index out of range, or gave something that is not finite."""
        out = self.out
        status = out.get(f"load i64, ptr {self._buffer(buffers, 'status')}")
        self._leave(out.get(f"icmp ne i64 {status}, 0"), OUT_OF_RANGE)
        for name in CHECKED:
            number = self._read(buffers, name)
            # infinity less itself, and NaN less anything, is NaN, which is unordered with all
            nothing = out.get(f"fsub double {number}, {number}")
            self._leave(out.get(f"fcmp uno double {nothing}, {nothing}"), DIVERGED)

    def _leave(self, condition: str, outcome: int) -> None:
        leaving, going_on = self.out.name("leave"), self.out.name("on")
        self.out.do(f"br i1 {condition}, label %{leaving}, label %{going_on}")
        self.out.label(leaving)
        self.out.do(f"ret i64 {outcome}")
        self.out.label(going_on)

    def _add_loss(self, buffers: str, n: str, loss: str) -> None:
        out = self.out
        weighted = out.get(f"fmul double {self._read(buffers, COST)}, {out.get(f'uitofp i64 {n} to double')}")
        total = out.get(f"load double, ptr {loss}")
        out.do(f"store double {out.get(f'fadd double {total}, {weighted}')}, ptr {loss}")


def _row_bytes(value: Value) -> int:
    return count(value.type.shape[1:]).coefficient * BYTES[value.type.dtype]


def _rows_a_part(length: int) -> int:
    return max(_PART // max(length, 1), 1)
