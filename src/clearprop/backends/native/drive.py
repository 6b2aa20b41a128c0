"""The loop over training steps as LLVM text: `i64 drive(ptr plan)` runs `program` on one batch after another.

For each batch it gathers the rows of the data, sets the number of the step and what varies, calls the program, checks
that objective and health are finite, and adds cost times rows to the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

from clearprop.backends.native.emitter import BYTES, SCALARS, Emitter
from clearprop.backends.native.extents import count
from clearprop.backends.stepping import CHECKED, COST, STEP, Roles
from clearprop.ir import Value

FIELDS = (
    *("first", "rows", "batch", "order", "varying", "targets", "values"),
    *("sources", "whole", "rest", "team", "done", "loss"),
)
"""The eight-byte fields of the plan.

first: the number of the first step. rows, batch, order: how many rows, how many a batch takes, and which.
varying, targets, values: how many inputs vary, and for each a pointer to the input and to its values.
sources: a pointer to all rows of each data input. whole, rest: the buffers for a whole batch, and for the last one.
team: the threads that share large kernels, or 0.
done, loss: results: the steps that are done, and the sum of losses (a double, which starts from what it holds).
"""

DONE, DIVERGED, OUT_OF_RANGE = range(3)
"""What `drive` returns: all steps are done, or why it stopped at a step."""

Places = Mapping[str, tuple[int, str]]


def write_drive(roles: Roles, places: Places) -> tuple[str, set[str]]:
    """Write `drive`; return it and the functions that it declares.

    Args:
        roles: what the inputs of the step are.
        places: for each input and output, and for `status`, the number of its buffer and its dtype.
    """
    return _DriveWriter(roles, places).text()


class _DriveWriter:
    def __init__(self, roles: Roles, places: Places) -> None:
        self.roles, self.places, self.out = roles, places, Emitter()

    def text(self) -> tuple[str, set[str]]:
        """Write the function; return it and what it declares."""
        out = self.out
        plan = {name: out.get(f"load i64, ptr {self._field(name)}") for name in FIELDS[:4]}
        pointers = {name: out.get(f"load ptr, ptr {self._field(name)}") for name in ("whole", "rest", "team")}
        before = out.get(f"add i64 {plan['rows']}, {plan['batch']}")
        steps = out.get(f"udiv i64 {out.get(f'sub i64 {before}, 1')}, {plan['batch']}")

        def step(i: str) -> None:
            begin = out.get(f"mul i64 {i}, {plan['batch']}")
            left = out.get(f"sub i64 {plan['rows']}, {begin}")
            short = out.get(f"icmp slt i64 {left}, {plan['batch']}")
            n = out.get(f"select i1 {short}, i64 {left}, i64 {plan['batch']}")
            buffers = out.get(f"select i1 {short}, ptr {pointers['rest']}, ptr {pointers['whole']}")
            self._gather(buffers, self._order(begin), n)
            self._vary(i)
            if self.roles.counts:
                number = out.get(f"add i64 {plan['first']}, {i}")
                out.do(f"store i64 {number}, ptr {self._buffer(buffers, STEP)}")
            out.do(f"call void @program(i64 {n}, ptr {buffers}, ptr {pointers['team']})")
            self._check(buffers)
            self._add_loss(buffers, n)
            out.do(f"store i64 {out.get(f'add i64 {i}, 1')}, ptr {self._field('done')}")

        out.do(f"store i64 0, ptr {self._field('done')}")
        out.loop("0", steps, 1, step)
        out.do(f"ret i64 {DONE}")
        return f"define i64 @drive{out.function('(ptr %plan) nounwind')}", out.declares

    def _field(self, name: str) -> str:
        return self.out.get(f"getelementptr i64, ptr %plan, i64 {FIELDS.index(name)}")

    def _order(self, begin: str) -> str:
        order = self.out.get(f"load ptr, ptr {self._field('order')}")
        return self.out.get(f"getelementptr i64, ptr {order}, i64 {begin}")

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

    def _gather(self, buffers: str, order: str, n: str) -> None:
        """Copy the rows of the batch, one data input after another."""
        sources = self.out.get(f"load ptr, ptr {self._field('sources')}")
        for place, value in enumerate(self.roles.data):
            source, target = self._item(sources, place), self._buffer(buffers, value.name)
            self._rows(value, source, target, order, n)

    def _rows(self, value: Value, source: str, target: str, order: str, n: str) -> None:
        out, length = self.out, count(value.type.shape[1:]).coefficient * BYTES[value.type.dtype]

        def one(row: str) -> None:
            index = out.get(f"load i64, ptr {out.get(f'getelementptr i64, ptr {order}, i64 {row}')}")
            start, to = (
                out.get(f"getelementptr i8, ptr {base}, i64 {out.multiply(at, str(length))}")
                for base, at in ((source, index), (target, row))
            )
            out.call("void", "llvm.memcpy.p0.p0.i64", [f"ptr {to}", f"ptr {start}", f"i64 {length}", "i1 false"])

        out.loop("0", n, 1, one)

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

    def _add_loss(self, buffers: str, n: str) -> None:
        out, address = self.out, self._field("loss")
        weighted = out.get(f"fmul double {self._read(buffers, COST)}, {out.get(f'uitofp i64 {n} to double')}")
        total = out.get(f"load double, ptr {address}")
        out.do(f"store double {out.get(f'fadd double {total}, {weighted}')}, ptr {address}")
