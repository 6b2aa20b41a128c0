"""The function `program`: it calls the kernels one after another, and shares out the parts of large ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clearprop.backends.native.emitter import Emitter
from clearprop.backends.native.extents import ZERO, Extent
from clearprop.backends.native.kernels import Parts
from clearprop.backends.native.team import RUN, THRESHOLD
from clearprop.ir import Value

GLUE = "noinline optnone nounwind"
"""Of functions that only call others: LLVM makes code of them the fast way, which no step can feel."""


@dataclass
class Call:
    """One kernel of a program.

    Attributes:
        name: its function, `void name(i64 n, i64 count, i64 part, i64 worker, ptr ...)`.
        length: what %count is.
        parts: how it is cut, along one or several axes; the numbers of parts multiply.
        buffers: the values that its pointers are those of.
        cost: about how many picoseconds all of it takes on one core.
        finish: what puts the parts' results together, only when there are several; its %part is how many.
    """

    name: str = ""
    length: Extent = ZERO
    parts: tuple[Parts, ...] = ()
    buffers: list[Value] = field(default_factory=list)
    cost: Extent = ZERO
    finish: Call | None = None

    @property
    def alone(self) -> bool:
        """Whether it has one part whatever n is."""
        return all(parts.alone for parts in self.parts)


@dataclass(frozen=True)
class Region:
    """Work that a team may share: its cost in picoseconds, and how it is cut."""

    cost: Extent
    parts: tuple[Parts, ...]

    def is_worth(self, n: int, threshold: int) -> bool:
        """Whether it goes to the team for batches of n."""
        return any(parts.at(n) > 1 for parts in self.parts) and self.cost.at(n) >= threshold


def write_program(calls: Sequence[Call], table: Sequence[Value], constants: Mapping[Value, str]) -> str:
    """Return the text of `program` and of the tasks: a call that may have several parts, as a function of the part."""
    writer = _Writer(table, constants)
    for number, call in enumerate(calls):
        writer.call(call, f"task{number}")
    writer.out.do("ret void")
    program = writer.out.function(f"define void @program(i64 %n, ptr %buffers, ptr %team) {GLUE}")
    return "".join((*writer.tasks, write_share("share") if writer.tasks else "", program))


class _Writer:
    def __init__(self, table: Sequence[Value], constants: Mapping[Value, str]) -> None:
        self.out = Emitter()
        self.places = {value: place for place, value in enumerate(table)}
        self.constants = constants
        self.tasks: list[str] = []

    def call(self, call: Call, task: str) -> None:
        """Append the call of one kernel."""
        if call.alone:
            self._direct(self.out, call, "0", "0")
            return
        self._task(call, task)
        parts = "1"
        for cut in call.parts:
            parts = self.out.multiply(parts, cut.count(self.out, _number(self.out, cut.size)))
        if parts.isdigit():
            self._parts(call, task, parts)
            return
        many = self.out.get(f"icmp sgt i64 {parts}, 1")
        yes, no, after = (self.out.name(hint) for hint in ("many", "one", "both"))
        self.out.do(f"br i1 {many}, label %{yes}, label %{no}")
        self.out.label(yes)
        self._parts(call, task, parts)
        self.out.do(f"br label %{after}")
        self.out.label(no)
        self.out.do(f"call void @{task}(i64 %n, i64 0, i64 0, ptr %buffers)")
        self.out.do(f"br label %{after}")
        self.out.label(after)

    def _parts(self, call: Call, task: str, parts: str) -> None:
        cost = _number(self.out, call.cost)
        self.out.do(f"call void @share(i64 %n, i64 {parts}, i64 {cost}, ptr @{task}, ptr %buffers, ptr %team)")
        if call.finish is not None:
            self._direct(self.out, call.finish, parts, "0")

    def _task(self, call: Call, name: str) -> None:
        out = Emitter()
        self._direct(out, call, "%part", "%worker")
        out.do("ret void")
        head = f"define internal void @{name}(i64 %n, i64 %part, i64 %worker, ptr %buffers) {GLUE}"
        self.tasks.append(out.function(head))

    def _direct(self, out: Emitter, call: Call, part: str, worker: str) -> None:
        count = _number(out, call.length)
        arguments = "".join(f", ptr {self._load(out, value)}" for value in call.buffers)
        out.do(f"call void @{call.name}(i64 %n, i64 {count}, i64 {part}, i64 {worker}{arguments})")

    def _load(self, out: Emitter, value: Value) -> str:
        if value in self.constants:
            return self.constants[value]
        place = out.get(f"getelementptr ptr, ptr %buffers, i64 {self.places[value]}")
        return out.get(f"load ptr, ptr {place}")


def _number(out: Emitter, extent: Extent) -> str:
    text = str(extent.coefficient)
    for _ in range(extent.power):
        text = out.multiply(text, "%n")
    return text


def write_share(name: str) -> str:
    """Return the function that gives parts to the team where there is one, it is free, and they cost enough.

    It is `void name(i64 n, i64 parts, i64 cost, ptr task, ptr buffers, ptr team)`.
    """
    out = Emitter()
    taken = out.slot("i1", "false")

    def ask() -> None:
        limit = out.get(f"getelementptr i64, ptr %team, i64 {THRESHOLD}")
        worth = out.get(f"icmp sge i64 %cost, {out.get(f'load i64, ptr {limit}')}")
        out.when(worth, lambda: out.do(f"store i1 {_run(out)}, ptr {taken}"))

    def alone() -> None:
        out.loop("0", "%parts", 1, lambda part: out.do(f"call void %task(i64 %n, i64 {part}, i64 0, ptr %buffers)"))

    out.when(out.get("icmp ne ptr %team, null"), ask)
    shared = out.get(f"load i1, ptr {taken}")
    out.when(out.get(f"xor i1 {shared}, true"), alone)
    out.do("ret void")
    parameters = "i64 %n, i64 %parts, i64 %cost, ptr %task, ptr %buffers, ptr %team"
    return out.function(f"define internal void @{name}({parameters}) {GLUE}")


def _run(out: Emitter) -> str:
    place = out.get(f"getelementptr i64, ptr %team, i64 {RUN}")
    run = out.get(f"load ptr, ptr {place}")
    return out.get(f"call i1 {run}(ptr %team, ptr %task, i64 %n, i64 %parts, ptr %buffers, i64 %cost)")
