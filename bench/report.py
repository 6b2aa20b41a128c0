"""The page: Markdown tables out of what was measured."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from convolutions import Rates
from fresh import First
from peers import OURS, PEERS
from steps import Measured
from whole import Whole

from clearprop.bench import cores, count_of, cpu_name
from clearprop.version import __version__

PACKAGES = {"torch": "PyTorch", "jax": "JAX", "scikit-learn": "scikit-learn", "numpy": "NumPy", "llvmlite": "llvmlite"}

PAGE = """# Speed beside the peers

Made by `make bench`; do not edit. Adam, float32, ReLU and cross-entropy unless the name says otherwise (xor: tanh;
autoencoder: squared error). Sequences are of random tokens: an embedding, a recurrent layer or a causal transformer
block, and a dense layer at each time step (gru: after the last). The sides take turns, one after another in one
process{isolated}; the figures are medians over the rounds. Every step gathers its batch out of the whole data, in an
order that is new each epoch. Of a peer's forms (one thread, all threads) the fastest counts. Data are random, or
Fashion-MNIST where the name ends in "images": many of its pixels are seldom anything but 0, and the means of their
gradients become so small that arithmetic with them takes many times as long where they do not count as zero.

- torch: eager, with the fused Adam, and `set_flush_denormal`; torch.compile: forward, gradient and Adam as one graph;
- jax, loop: the whole loop in `lax.fori_loop`; jax, step: one jitted call a step; both donate their buffers;
- scikit-learn: `MLPClassifier` or `MLPRegressor`, what a fit of more epochs takes longer;
- clearprop: `Model.fit` with the {backend} backend, the seconds of its epochs.

Machine: {machine}. Versions: {versions}.
{peak}
## A step

Microseconds; the ratio is the fastest peer's time over clearprop's.

{steps}
{speed}{convolutions}{fresh}{whole}{latency}{writing}{notes}"""


@dataclass
class Findings:
    """Everything that was measured; what is empty has no section.

    Attributes:
        steps: the time of a step, a workload each.
        peaks: the machine's GFLOP/s by the number of threads, each time they were measured.
        convolutions: which part of the peak each convolution reaches.
        imports: seconds of an import by side.
        first: the first step by side and workload.
        whole: the whole process on digits by side.
        latency: seconds of a one-row prediction by side and workload.
        writing: seconds of a character that a network writes, by its cell.
        notes: who is missing and why.
    """

    steps: list[Measured] = field(default_factory=list)
    peaks: dict[int, list[float]] = field(default_factory=dict)
    convolutions: list[Rates] = field(default_factory=list)
    imports: dict[str, float] = field(default_factory=dict)
    first: dict[tuple[str, str], First] = field(default_factory=dict)
    whole: dict[str, Whole] = field(default_factory=dict)
    latency: dict[tuple[str, str], float] = field(default_factory=dict)
    writing: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def page(findings: Findings, backend: str, isolated: bool = False) -> str:
    """Return the whole page."""
    highest = {threads: max(rates) for threads, rates in findings.peaks.items()}
    notes = [*findings.notes, *(note for measured in findings.steps for note in measured.notes)]
    return PAGE.format(
        isolated=", each in a process of its own" if isolated else "",
        backend=backend,
        machine=machine(),
        versions=versions(),
        peak=peak_text(highest, findings.peaks) if highest else "",
        steps=steps_table(findings.steps),
        speed=section("Of the machine's peak", SPEED, speed_table(findings.steps, highest)),
        convolutions=section(
            "Convolutions of the machine's peak",
            CONVOLUTIONS,
            convolutions_table(findings.convolutions),
        ),
        fresh=section("Start and memory", FRESH, fresh_table(findings.imports, findings.first)),
        whole=section("From the command to 97 % on digits", WHOLE, whole_table(findings.whole)),
        latency=section("Predicting one row", LATENCY, latency_table(findings.latency)),
        writing=section("Writing a character", WRITING, writing_table(findings.writing)),
        notes=section("Left out", "", "\n".join(f"- {note}" for note in dict.fromkeys(notes))),
    )


SPEED = """clearprop's matrix products alone count as operations, as many as the layers say; the rest of a step is time
without any. Networks of tokens need fewer: a small embedding goes through the layer after it once a token.
"""
CONVOLUTIONS = """Each convolution of the image workloads alone, forward and its derivatives in the filters and in the
input: which part it reaches of the peak of as many threads, measured at the same time. Images and cotangents come
padded, as what is before them leaves them in a step. Operations are those of the formula; what is added to fill
vectors does not count. `python bench/run.py --convolutions` prints this table.
"""
FRESH = """Seconds, each in a fresh process: importing what a fit needs, compiled to bytecode as an installer leaves it;
from the model to the end of its first step, with empty caches on disk and with what a first process left there. Memory
is the most that a process had in a fit, the data included, in MiB.
"""
WHOLE = """Seconds of a process from its start to its end: 64-64-10 learns for fifteen epochs of batch 32, Adam at 0.01,
from the same rows, and reaches at least 97 % on the rest. The scripts are in `bench/scripts`; `clearprop train` reads,
divides, encodes, evaluates and keeps the run as well. The sides take turns; the ratio is the fastest peer's time over
ours, with caches. `python bench/run.py --processes` prints this table.
"""
LATENCY = """Microseconds from a NumPy row to a NumPy row of probabilities.
"""
WRITING = """Microseconds of clearprop: an embedding and a layer of 128 units; the character is drawn, and read with the
states kept, so that every one costs the same.
"""


def section(title: str, text: str, table: str) -> str:
    """Return a section, or nothing where its table is empty."""
    body = f"{text}\n{table}" if text else table
    return f"\n## {title}\n\n{body}\n" if table else ""


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; its first column is words, the others are figures."""
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def microseconds(seconds: float | None) -> str:
    """Return a time with three digits or more, or a dash."""
    if seconds is None:
        return "-"
    return three_digits(1e6 * seconds)


def three_digits(value: float) -> str:
    """Return a number with three digits, or as many as are before its point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> str:
    """Return the CPU, its cores, the system and Python."""
    return f"{cpu_name()}, {cores()} cores, {platform.system()}, Python {platform.python_version()}"


def versions() -> str:
    """Return the versions of what is installed."""
    found = [f"clearprop {__version__}"]
    for package, name in PACKAGES.items():
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def steps_table(steps: Sequence[Measured]) -> str:
    """Return the table of ratios and goals."""
    heading = ["workload", "network", "batch", OURS, *PEERS, "ratio", "goal", "met"]
    return markdown(heading, [steps_row(measured) for measured in steps])


def steps_row(measured: Measured) -> list[str]:
    """Return a workload's row; the fastest peer is in bold."""
    workload, best = measured.workload, measured.best()
    cells = {name: microseconds(best.get(name)) for name in PEERS}
    if measured.fastest_peer is not None:
        name, form = measured.fastest_peer
        cells[name] = f"**{cells[name]}**" + (f" ({form})" if form else "")
    ratio = "-" if measured.ratio is None else f"{measured.ratio:.2f}"
    met = {None: "-", True: "yes", False: "no"}[measured.met]
    size = [workload.name, workload.network, str(workload.batch)]
    return [*size, microseconds(measured.ours), *cells.values(), ratio, f"{workload.goal:g}", met]


def peak_text(highest: Mapping[int, float], peaks: Mapping[int, Sequence[float]]) -> str:
    """Return what the machine can do, and the least that others on it left between the workloads."""
    best = ", ".join(f"{three_digits(rate)} GFLOP/s with {count_of(threads)}" for threads, rate in highest.items())
    lowest = " and ".join(three_digits(min(rates)) for rates in peaks.values())
    times = min(map(len, peaks.values()))
    return (
        f"Measured peak of fused multiply-adds, float32: {best}.\n"
        f"The lowest of {times} measurements between the workloads, for others may use the machine: {lowest}.\n"
    )


def speed_table(steps: Sequence[Measured], peaks: Mapping[int, float]) -> str:
    """Return the table of operations a second: with one thread and with all, and the parts of their peaks."""
    rows = []
    for measured in steps:
        cells = [measured.workload.name, f"{1e-6 * measured.workload.flops:.3g}"]
        for threads, peak in peaks.items():
            seconds = measured.seconds.get((OURS, count_of(threads)), measured.ours)
            rate = 1e-9 * measured.workload.flops / seconds
            cells += [microseconds(seconds), f"{rate:.3g}", f"{100 * rate / peak:.1f} %"]
        rows.append(cells)
    heading = ["workload", "MFLOP a step"]
    for threads in peaks:
        heading += [f"{count_of(threads)}: us", "GFLOP/s", "of the peak"]
    return markdown(heading, rows)


def convolutions_table(found: Sequence[Rates]) -> str:
    """Return the table of the parts of the peak that convolutions reach."""
    keys = list(dict.fromkeys(key for item in found for key in item.parts))
    keys.sort(key=lambda key: key[1])
    rows = []
    for item in found:
        parts = [f"{100 * item.parts[key]:.0f} %" if key in item.parts else "-" for key in keys]
        rows.append([item.convolution.workload, item.convolution.name, f"{1e-6 * item.convolution.flops:.3g}", *parts])
    heading = ["workload", "convolution", "MFLOP", *(f"{name}, {count_of(threads)}" for name, threads in keys)]
    return markdown(heading, rows)


def fresh_table(imports: Mapping[str, float], first: Mapping[tuple[str, str], First]) -> str:
    """Return the table of imports, first steps and memory."""
    workloads = list(dict.fromkeys(workload for _, workload in first))
    heading = ["side", "import"]
    for workload in workloads:
        heading += [f"first step, {workload}", "with caches", "memory"]
    rows = []
    for name in dict.fromkeys([*imports, *(name for name, _ in first)]):
        cells = [name, f"{imports[name]:.2f}" if name in imports else "-"]
        for workload in workloads:
            found = first.get((name, workload))
            cells += ["-"] * 3 if found is None else [f"{found.cold:.2f}", f"{found.cached:.2f}", f"{found.memory:.0f}"]
        rows.append(cells)
    return markdown(heading, rows)


def whole_table(whole: Mapping[str, Whole]) -> str:
    """Return the table of whole processes."""
    peers = [found.cached for name, found in whole.items() if not name.startswith(OURS)]
    rows = []
    for name, found in whole.items():
        ratio = f"{min(peers) / found.cached:.2f}" if peers and name.startswith(OURS) else ""
        rows.append([name, f"{found.cold:.2f}", f"{found.cached:.2f}", f"{found.accuracy:.4f}", ratio])
    return markdown(["side", "first time", "with caches", "accuracy", "ratio"], rows)


def latency_table(latency: Mapping[tuple[str, str], float]) -> str:
    """Return the table of one-row predictions."""
    workloads = list(dict.fromkeys(workload for _, workload in latency))
    names = dict.fromkeys(name for name, _ in latency)
    rows = [[name, *(microseconds(latency.get((name, of))) for of in workloads)] for name in names]
    return markdown(["side", *workloads], rows)


def writing_table(writing: Mapping[str, float]) -> str:
    """Return the table of characters written."""
    return markdown(["cell", "a character"], [[cell, microseconds(seconds)] for cell, seconds in writing.items()])
