"""The time of a step: every side of a workload in turns, in one process or in one each."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from peers import OURS, sides_of

from clearprop.bench import Train, Unavailable, Workload, seconds_a_step

Key = tuple[str, str]
"""A side's name and its form."""


@dataclass
class Measured:
    """A workload and the seconds of a step of each side; `notes` say who is missing and why."""

    workload: Workload
    seconds: dict[Key, float]
    notes: list[str] = field(default_factory=list)

    def best(self) -> dict[str, float]:
        """Return the seconds of each side's fastest form."""
        names = dict.fromkeys(name for name, _ in self.seconds)
        return {name: min(t for (of, _), t in self.seconds.items() if of == name) for name in names}

    @property
    def ours(self) -> float:
        """Seconds of our step, with the threads that clearprop chooses."""
        return self.seconds[OURS, ""]

    @property
    def fastest_peer(self) -> Key | None:
        """The fastest form of all peers; None where there is none."""
        peers = [key for key in self.seconds if key[0] != OURS]
        return min(peers, key=self.seconds.__getitem__, default=None)

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the fastest peer we are."""
        return None if self.fastest_peer is None else self.seconds[self.fastest_peer] / self.ours

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached."""
        return None if self.ratio is None else self.ratio >= self.workload.goal


@dataclass(frozen=True)
class Plan:
    """How long each side trains in a round, and how many rounds there are."""

    seconds: float
    rounds: int
    isolate: bool
    backend: str


def measure(workload: Workload, names: Iterable[str], plan: Plan) -> Measured:
    """Prepare each form of each side, then time them in turns."""
    notes: list[str] = []
    with ExitStack() as stack:
        trains: dict[Key, Train] = {}
        data = None if plan.isolate else workload.data()
        for name in names:
            for i, side in enumerate(sides_of(name, plan.backend)):
                try:
                    if plan.isolate:
                        train = stack.enter_context(remote(name, i, workload, plan.backend))
                    else:
                        train = side.prepare(workload, data)
                    train(1)
                except Unavailable as reason:
                    notes.append(f"{workload.name}, {name}: {reason}")
                    break
                trains[side.name, side.form] = train
        return Measured(workload, seconds_a_step(trains, plan.seconds, plan.rounds), notes)


@contextlib.contextmanager
def remote(name: str, form: int, workload: Workload, backend: str) -> Iterator[Train]:
    """Give a `Train` whose work is done in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, name, form, workload, backend))
    process.start()
    theirs.close()

    def train(steps: int) -> float:
        ours.send(steps)
        answer = ours.recv()
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    try:
        yield train
    finally:
        ours.close()
        process.join()


def serve(connection: Connection, name: str, form: int, workload: Workload, backend: str) -> None:
    """Answer with the seconds of a step, until the other end is closed."""
    try:
        train = sides_of(name, backend)[form].prepare(workload, workload.data())
    except Unavailable as reason:
        connection.recv()
        connection.send(reason)
        return
    with contextlib.suppress(EOFError):
        while True:
            steps = connection.recv()
            try:
                connection.send(train(steps))
            except Unavailable as reason:
                connection.send(reason)
