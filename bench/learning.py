"""Learn images and text with clearprop and with PyTorch, the same network and settings, and write docs/learning.md.

    python bench/learning.py                 whole fits of every lesson, three seeds, both libraries; then their pace
    python bench/learning.py --only vgg-small --learners PyTorch --seeds 1 --threads 1
    python bench/learning.py --quick         a part of each lesson, nothing written: to see that it runs

Fashion-MNIST and the King James Bible are packages of Debian: dataset-fashion-mnist and bible-kjv. Whole fits take an
hour together. Each outcome is kept in runs/learning, and what is there with the same settings is not measured again: a
run can be stopped and gone on with. Each table of the page has the lessons of which nothing is missing. The pace is
measured by itself, on all cores and in turns, so that whole fits may run while the machine does something else.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from lessons import LESSONS, UNITS, WINDOW, Clearprop, Lesson, Material, material, steps_of_an_epoch

import clearprop as cp
from clearprop.bench.machine import cores, count_of, cpu_name
from clearprop.bench.rounds import seconds_a_step
from clearprop.bench.sides import Train

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "learning.md"
KEPT = ROOT / "runs" / "learning"
LEARNERS = (Clearprop.name, "PyTorch")
SECONDS, ROUNDS = 1.0, 7
"""How long each library trains in a turn when the pace is measured, and how many turns it has."""
QUICK_SAMPLES = 256
T = TypeVar("T", float, dict[str, float])


@dataclass(frozen=True)
class Row:
    """What was measured of a lesson: for each learner the test figures by seed, and the seconds of a step."""

    lesson: Lesson
    steps_per_epoch: int
    figures: dict[str, list[float]]
    pace: dict[str, float]

    @property
    def steps(self) -> int:
        """How many steps a fit takes."""
        return self.lesson.epochs * self.steps_per_epoch

    def learnt(self, seeds: int) -> bool:
        """Return whether all whole fits were measured."""
        return all(len(self.figures[name]) == seeds for name in LEARNERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few samples, one seed, nothing kept or written")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--only", nargs="*", choices=[lesson.name for lesson in LESSONS], help="only these lessons")
    parser.add_argument("--learners", nargs="*", choices=LEARNERS, default=LEARNERS, help="only these libraries")
    parser.add_argument("--measure", nargs="*", choices=("fits", "pace"), default=("fits", "pace"), help="only these")
    parser.add_argument("--threads", type=int, default=cores(), help="of whole fits (default all cores)")
    options = parser.parse_args()
    lessons = [lesson for lesson in LESSONS if not options.only or lesson.name in options.only]
    rows = [measured(lesson, options) for lesson in lessons]
    seeds = 1 if options.quick else options.seeds
    print(*tables(rows, seeds), sep="\n\n")
    missing = [row.lesson.name for row in rows if not (row.learnt(seeds) and row.pace)]
    if missing:
        print(f"outcomes are missing of {', '.join(missing)}: run again, with --only and --learners for a part of them")
    if not options.quick and not options.only:
        REPORT.write_text(page(rows, seeds))
        print(f"written to {REPORT}")


def measured(lesson: Lesson, options: argparse.Namespace) -> Row:
    """Measure what is wanted of a lesson and not kept, and return what there is."""
    data, kept = material(lesson.data), Kept(KEPT)
    if options.quick:
        lesson, data, kept = dataclasses.replace(lesson, epochs=1), data.first(QUICK_SAMPLES), Kept(None)
    row = Row(lesson, steps_of_an_epoch(lesson, data), {}, {})
    for name in LEARNERS:
        wanted = options.measure if name in options.learners else ()
        results = [
            kept.outcome(
                f"{lesson.name} {name} {seed}",
                lesson.settings(data),
                partial(whole_fit, name, options.threads, lesson, data, seed) if "fits" in wanted else None,
            )
            for seed in range(1 if options.quick else options.seeds)
        ]
        row.figures[name] = [value for value in results if value is not None]
    take_turns = partial(pace, lesson, data, *((0.01, 1) if options.quick else (SECONDS, ROUNDS)))
    settings = lesson.settings(data) | {"threads": cores()}
    seconds = kept.outcome(f"{lesson.name} pace", settings, take_turns if "pace" in options.measure else None)
    row.pace.update(seconds or {})
    return row


def whole_fit(name: str, threads: int, lesson: Lesson, data: Material, seed: int) -> float:
    return learner(name, threads).learn(lesson, data, seed)


def pace(lesson: Lesson, data: Material, seconds: float, rounds: int) -> dict[str, float]:
    """Return the seconds of a step of each library, which take turns."""
    sides: dict[str, Train] = {name: learner(name, cores()).trainer(lesson, data) for name in LEARNERS}
    return seconds_a_step(sides, seconds, rounds)


def learner(name: str, threads: int) -> Any:
    """Return a library as what learns; PyTorch is imported when it is asked for."""
    if name == Clearprop.name:
        return Clearprop(threads)
    return importlib.import_module("peers.torch_learning").Torch(threads)


@dataclass(frozen=True)
class Kept:
    """Outcomes in a folder, one JSON file each; with None for the folder, nothing is kept."""

    folder: Path | None

    def outcome(self, name: str, settings: dict, measure: Callable[[], T] | None) -> T | None:
        """Return the outcome that is kept with these settings, or measure it and keep it; None if there is neither."""
        file = None if self.folder is None else self.folder / f"{name.replace(' ', '-')}.json"
        if file is not None and file.exists():
            record = json.loads(file.read_text())
            if record["settings"] == settings:
                return record["outcome"]
        if measure is None:
            return None
        value = measure()
        print(f"{name}: {value}", flush=True)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"outcome": value, "settings": settings}, indent=1))
        return value


def figures_of(row: Row) -> list[str]:
    lesson = row.lesson
    wanted = "-" if lesson.wanted is None else f"{lesson.wanted:.2f}"
    numbers = [lesson.epochs, lesson.batch, lesson.rate, row.steps]
    settings = [lesson.name, lesson.data, *map(str, numbers), lesson.figure, wanted]
    return [*settings, *(spread(row.figures[name]) for name in LEARNERS)]


def times_of(row: Row) -> list[str]:
    ours, theirs = (row.pace[name] for name in LEARNERS)
    a_step, a_fit = ([factor * one for one in (ours, theirs)] for factor in (1000, row.steps))
    return [row.lesson.name, *(f"{ms:.2f}" for ms in a_step), *(f"{s:.0f}" for s in a_fit), f"{theirs / ours:.2f}"]


def tables(rows: list[Row], seeds: int) -> tuple[str, str]:
    """Return the table of figures and that of times, with the lessons of which nothing is missing there."""
    figures = table(FIGURES, [figures_of(row) for row in rows if row.learnt(seeds)])
    return figures, table(TIMES, [times_of(row) for row in rows if row.pace])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def spread(values: list[float]) -> str:
    """Return the mean, and the standard deviation between seeds where there are several."""
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


PAGE = """# Learning beside PyTorch

Made by `make learning`; do not edit. Both libraries learn the same arrays with the same layers from the same first
values, with Adam, the same schedule, batch and number of epochs, in float32, each in an order of its own. Before a fit
the two networks are seen to say the same of samples. Figures are of the whole test part: the mean and the standard
deviation over {seeds} seeds, which decide the first values, the order, dropout and mirroring.

{figures}

Times are for {threads}. The libraries take turns of about a second; a step is the median of {rounds} turns, without
compilation, and a fit is that times its steps. PyTorch runs eagerly, with its fused Adam and images channels last. The
ratio is PyTorch's time divided by clearprop's.

{times}

Machine: {machine}. Versions: {versions}.

- The networks of images are those of the [command line](recipes/images.md), on Fashion-MNIST: 60 000 images, and 10 000
  to test on. Images are mirrored at random, and the learning rate goes through one cycle up to the rate in the table.
- `char-lstm` is an embedding and an LSTM of {units} on the King James Bible (`bible -f gen1:1-rev22:21`, 4.4 million
  characters) in windows of {window}, each from a zero state, with a cosine. The first seven tenths are learnt, and
  the last two tested on, as [`clearprop train`](recipes/text.md) does.
"""
FIGURES = ("network", "data", "epochs", "batch", "rate", "steps", "figure", "wanted", *LEARNERS)
TIMES = ("network", *(f"{name}, {unit}" for unit in ("ms a step", "s a fit") for name in LEARNERS), "ratio")


def page(rows: list[Row], seeds: int) -> str:
    """Return the page, with the machine and the versions."""
    figures, times = tables(rows, seeds)
    names = {"clearprop": cp.__version__, "PyTorch": metadata.version("torch"), "NumPy": metadata.version("numpy")}
    return PAGE.format(
        seeds=seeds,
        threads=count_of(cores()),
        rounds=ROUNDS,
        machine=f"{cpu_name()}, {platform.system()}, Python {platform.python_version()}",
        versions=", ".join(f"{name} {version}" for name, version in names.items()),
        figures=figures,
        times=times,
        units=UNITS,
        window=WINDOW,
    )


if __name__ == "__main__":
    main()
