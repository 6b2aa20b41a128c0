"""The function `program`: it calls the kernels one after another, and shares out the parts of large ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clearprop.backends.native.emitter import BYTES, Emitter
from clearprop.backends.native.extents import ZERO, Extent, count
from clearprop.backends.native.kernels import Parts
from clearprop.backends.native.team import RUN, THRESHOLD
from clearprop.ir import Value

GLUE = "noinline optnone nounwind"
"""Of functions that only call others: LLVM makes code of them the fast way, which no step can feel."""


_WORTH = 20
"""A step goes to a team if what the team would share of it costs as many times the threshold of a kernel."""


@dataclass
class Call:
    """One kernel of a program.

    Attributes:
        name: its function, `void name(i64 n, i64 count, i64 part, i64 worker, ptr ...)`.
        length: what %count is.
        parts: how it is cut, along one or several axes; the numbers of parts multiply.
        buffers: the values that its pointers are those of.
        cost: about how many picoseconds all of it takes on one core; a sum.
        finish: what puts the parts' results together, only when there are several; its %part is how many.
        follower: what goes on with each part, in pieces of its own.
        then: what goes on with each part, by the part's number.
    """

    name: str = ""
    length: Extent = ZERO
    parts: tuple[Parts, ...] = ()
    buffers: list[Value] = field(default_factory=list)
    cost: tuple[Extent, ...] = ()
    finish: Call | None = None
    follower: Follower | None = None
    then: Call | None = None

    @property
    def alone(self) -> bool:
        """Whether it has one part whatever n is."""
        return all(parts.alone for parts in self.parts)


@dataclass(frozen=True)
class Follower:
    """A kernel over all elements of another one's result, in pieces, which goes on with each part of it.

    Each worker has memory for one part of the result.

    Attributes:
        call: of the follower; its parts are pieces of one width.
        result: what the leader makes and the follower reads.
        size: how many elements all of the result has.
        each: how many a part has.
    """

    call: Call
    result: Value
    size: int
    each: int

    def moves(self, value: Value) -> bool:
        """Whether a buffer of the follower has an element for each of the result."""
        return count(value.type.shape) == Extent(self.size)

    @property
    def width(self) -> int:
        """How many elements a piece has."""
        return self.call.parts[0].width

    @property
    def pieces(self) -> int:
        """How many pieces a part has."""
        return -(-self.each // self.width)

    @property
    def all_pieces(self) -> int:
        """How many pieces there are."""
        whole, rest = divmod(self.size, self.each)
        return whole * self.pieces + -(-rest // self.width)


@dataclass
class Repeat:
    """The calls of a loop's body, made once a time step; pointers in the table of buffers move along.

    Attributes:
        calls: those of one step.
        length: how many steps.
        reverse: whether the last place comes first.
        along: pointers to the place of the step in a larger buffer: the pointer, the buffer, and bytes from place to
            place.
        turns: pointers to one of two places in turn, so that a step reads the one that the step before wrote.
        carried: pointers to the state: the pointer, where it starts, and the pointer to what the step makes of it.
        finals: what is copied after the last step: the buffer, from which pointer, and how many bytes.
    """

    calls: list[Call | Repeat]
    length: int
    reverse: bool
    along: list[tuple[Value, Value, Extent]] = field(default_factory=list)
    turns: list[tuple[Value, Value, Extent]] = field(default_factory=list)
    carried: list[tuple[Value, Value, Value]] = field(default_factory=list)
    finals: list[tuple[Value, Value, Extent]] = field(default_factory=list)


def kernels_of(calls: Sequence[Call | Repeat], times: int = 1) -> Iterator[tuple[Call, int]]:
    """Iterate over the calls, those of loops once, each with how many times it is made."""
    for call in calls:
        if isinstance(call, Repeat):
            yield from kernels_of(call.calls, times * call.length)
        else:
            yield call, times


@dataclass(frozen=True)
class Region:
    """Work that a team may share: its cost in picoseconds, a sum, how it is cut, and how many times it is done."""

    cost: tuple[Extent, ...]
    parts: tuple[Parts, ...]
    times: int = 1

    def cost_at(self, n: int) -> int:
        """Return what it costs once, for batches of n."""
        return sum(item.at(n) for item in self.cost)

    def is_worth(self, n: int, threshold: int) -> bool:
        """Whether it goes to the team for batches of n."""
        return any(parts.at(n) > 1 for parts in self.parts) and self.cost_at(n) >= threshold


def is_step_worth(regions: Sequence[Region], n: int, threshold: int) -> bool:
    """Whether steps of a batch of n go to a team: little work is done sooner where its data are already."""
    shared = [region.cost_at(n) * region.times for region in regions if region.is_worth(n, threshold)]
    return bool(shared) and sum(shared) >= _WORTH * threshold


def write_program(
    calls: Sequence[Call | Repeat], table: Sequence[Value], constants: Mapping[Value, str]
) -> tuple[str, set[str]]:
    """Return the text of `program` and of the tasks, and what it declares.

    A task is a call that may have several parts, as a function of the part.
    """
    writer = _Writer(table, constants)
    for call in calls:
        writer.any(call)
    writer.out.do("ret void")
    program = writer.out.function(f"define void @program(i64 %n, ptr %buffers, ptr %team) {GLUE}")
    return "".join((*writer.tasks, write_share("share") if writer.tasks else "", program)), writer.out.declares


class _Writer:
    def __init__(self, table: Sequence[Value], constants: Mapping[Value, str]) -> None:
        self.out = Emitter()
        self.places = {value: place for place, value in enumerate(table)}
        self.constants = constants
        self.tasks: list[str] = []

    def any(self, call: Call | Repeat) -> None:
        """Append a call or a loop of calls."""
        if isinstance(call, Repeat):
            self.repeat(call)
        else:
            self.call(call, f"task{len(self.tasks)}")

    def repeat(self, loop: Repeat) -> None:
        """Append a loop of calls."""
        for pointer, first, _ in loop.carried:
            self._point(pointer, self._load(self.out, first))

        def step(count: str) -> None:
            place = self.out.get(f"sub i64 {loop.length - 1}, {count}") if loop.reverse else count
            turn = self.out.get(f"and i64 {count}, 1") if loop.turns else "0"
            for index, moving in ((place, loop.along), (turn, loop.turns)):
                for pointer, buffer, size in moving:
                    distance = self.out.multiply(index, _number(self.out, size))
                    at = self.out.get(f"getelementptr i8, ptr {self._load(self.out, buffer)}, i64 {distance}")
                    self._point(pointer, at)
            for call in loop.calls:
                self.any(call)
            new = [(pointer, self._load(self.out, made)) for pointer, _, made in loop.carried]
            for pointer, address in new:
                self._point(pointer, address)

        self.out.loop("0", str(loop.length), 1, step)
        for buffer, pointer, size in loop.finals:
            arguments = [f"ptr {self._load(self.out, value)}" for value in (buffer, pointer)]
            bytes_ = _number(self.out, size)
            self.out.call("void", "llvm.memcpy.p0.p0.i64", [*arguments, f"i64 {bytes_}", "i1 false"])

    def _point(self, pointer: Value, address: str) -> None:
        place = self.out.get(f"getelementptr ptr, ptr %buffers, i64 {self.places[pointer]}")
        self.out.do(f"store ptr {address}, ptr {place}")

    def call(self, call: Call, task: str) -> None:
        """Append the call of one kernel."""
        if call.alone:
            self._part(self.out, call, "0", "0")
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
        cost = "0"
        for item in call.cost:
            cost = self.out.add(cost, _number(self.out, item))
        self.out.do(f"call void @share(i64 %n, i64 {parts}, i64 {cost}, ptr @{task}, ptr %buffers, ptr %team)")
        if call.finish is not None:
            pieces = parts if call.follower is None else str(call.follower.all_pieces)
            self._direct(self.out, call.finish, pieces, "0")

    def _task(self, call: Call, name: str) -> None:
        out = Emitter()
        if call.follower is None:
            self._part(out, call, "%part", "%worker")
        else:
            self._followed(out, call, call.follower)
        out.do("ret void")
        head = f"define internal void @{name}(i64 %n, i64 %part, i64 %worker, ptr %buffers) {GLUE}"
        self.tasks.append(out.function(head))

    def _part(self, out: Emitter, call: Call, part: str, worker: str) -> None:
        self._direct(out, call, part, worker)
        if call.then is not None:
            self._direct(out, call.then, part, worker)

    def _followed(self, out: Emitter, call: Call, follower: Follower) -> None:
        """Write a part, and the pieces of the follower that it is made of.

        Both kernels find their elements by numbers in the whole; pointers are moved so that the worker's memory is met.
        """
        start = out.multiply("%part", str(follower.each))
        length = out.least(str(follower.each), out.subtract(str(follower.size), start))
        before = out.multiply("%part", str(follower.pieces))
        skipped = out.multiply(before, str(follower.width))
        own = out.multiply("%worker", str(follower.each))
        self._direct(out, call, "%part", "%worker", {follower.result: out.subtract(own, start)})
        moved = {value: out.subtract(start, skipped) for value in follower.call.buffers if follower.moves(value)}
        moved[follower.result] = out.subtract(own, skipped)
        pieces = out.divide(out.add(length, str(follower.width - 1)), str(follower.width))
        end = out.add(skipped, length)

        def piece(place: str) -> None:
            self._direct(out, follower.call, out.add(before, place), "%worker", moved, end)

        out.loop("0", pieces, 1, piece)

    def _direct(
        self,
        out: Emitter,
        call: Call,
        part: str,
        worker: str,
        moved: Mapping[Value, str] | None = None,
        length: str = "",
    ) -> None:
        """Append a call, with some pointers moved by so many elements, and perhaps another length."""
        pointers = []
        for value in call.buffers:
            pointer = self._load(out, value)
            if moved and value in moved:
                distance = out.multiply(moved[value], str(BYTES[value.type.dtype]))
                pointer = out.get(f"getelementptr i8, ptr {pointer}, i64 {distance}")
            pointers.append(f", ptr {pointer}")
        length = length or _number(out, call.length)
        out.do(f"call void @{call.name}(i64 %n, i64 {length}, i64 {part}, i64 {worker}{''.join(pointers)})")

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
