"""Measure clearprop beside PyTorch, JAX and scikit-learn, and write docs/benchmarks.md. A missing peer is left out.

    python bench/run.py                          everything
    python bench/run.py --workloads digits wide  the steps of these alone; printed, not written
    python bench/run.py --convolutions           convolutions alone, in parts of the peak; printed, not written
    python bench/run.py --processes              from the command to 97 % on digits; printed, not written
    python bench/run.py --isolate                each side in a process of its own
    python bench/run.py --quick                  a few short rounds beside scikit-learn, printed: the tests' pass

How far it is goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fresh
import real
import whole
from convolutions import measure_convolutions
from latency import CELLS, latency, writing
from peers import OURS, PEERS, installed, sides_of
from report import Findings, convolutions_table, page, whole_table
from steps import Plan, measure

from clearprop.backends.native.peak import measure_peak
from clearprop.bench import IMAGES, SEQUENCES, WORKLOADS, Workload, cores
from clearprop.compile import BACKENDS, DEFAULT_BACKEND, choose_backend

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SLOW_TO_COMPILE = "torch.compile"
ONE_FORM = ("torch", "jax, loop", "scikit-learn")
"""Peers of which a one-row prediction is measured; their other forms predict in the same way."""
FIRST = ("digits", "fashion", "wide")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few short rounds beside scikit-learn alone, printed")
    parser.add_argument("--isolate", action="store_true", help="each side in a process of its own")
    parser.add_argument("--workloads", nargs="*", metavar="NAME", help="the steps of these alone, printed")
    parser.add_argument("--convolutions", action="store_true", help="each convolution of the image workloads, printed")
    parser.add_argument("--processes", action="store_true", help="whole processes that learn the digits, printed")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each side in a round (default 0.5)")
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds (default 5)")
    parser.add_argument(
        "--backend", choices=[DEFAULT_BACKEND, *sorted(BACKENDS)], default=DEFAULT_BACKEND, help="of clearprop"
    )
    options = parser.parse_args(arguments)
    findings = Findings()
    if options.convolutions:
        print(convolutions(findings, [w for w in IMAGES if not options.workloads or w.name in options.workloads], 0.1))
        return
    if options.processes:
        print(processes(findings, installed(list(PEERS))[0], options.backend))
        return
    if options.quick:
        names = ["scikit-learn"]
        chosen = [workload for workload in WORKLOADS if workload.name in ("xor", "digits")]
        plan = Plan(0.01, 1, options.isolate, options.backend)
    else:
        names, findings.notes = installed(list(PEERS))
        every = (*WORKLOADS, *real.PICTURES, *IMAGES, *SEQUENCES)
        chosen = [workload for workload in every if not options.workloads or workload.name in options.workloads]
        missing = real.missing() if set(chosen) & set(real.PICTURES) else ""
        if missing:
            findings.notes.append(missing)
            chosen = [workload for workload in chosen if workload not in real.PICTURES]
        plan = Plan(options.seconds, options.rounds, options.isolate, options.backend)
    fill(findings, chosen, names, plan, everything=not options.workloads, quick=options.quick)
    text = page(findings, choose_backend(plan.backend), plan.isolate)
    if options.quick or options.workloads:
        print(text)
    else:
        REPORT.write_text(text, encoding="utf-8")
        say(f"written to {REPORT}")


def fill(
    findings: Findings, workloads: Sequence[Workload], names: list[str], plan: Plan, everything: bool, quick: bool
) -> None:
    """Measure one thing after another."""
    find_peaks(findings, quick)
    for workload in workloads:
        say(f"{workload.name}: a step")
        longer = replace(plan, seconds=max(plan.seconds, real.SECONDS)) if workload in real.PICTURES else plan
        findings.steps.append(measure(workload, [OURS, *names], longer))
        say(f"  {found(findings)}")
        find_peaks(findings, quick)
    if everything:
        convolutions(findings, workloads, 0.01 if quick else 0.3)
        starts(findings, names, plan.backend, quick)
        predictions(findings, [OURS, *names], plan.backend, quick)
        for cell in ("gru",) if quick else CELLS:
            say(f"a character by {cell}")
            findings.writing[cell] = writing(cell, 0.05 if quick else 2.0)


def find_peaks(findings: Findings, quick: bool) -> None:
    """Measure the peaks once more: who shares the machine comes and goes."""
    for n in sorted({1, cores()}):
        findings.peaks.setdefault(n, []).append(measure_peak(n, 2 if quick else 10))


def convolutions(findings: Findings, workloads: Sequence[Workload], seconds: float) -> str:
    """Measure each convolution; return the table."""
    for rates in measure_convolutions(workloads, sorted({1, cores()}), seconds):
        say(f"{rates.convolution.workload}: {rates.convolution.name}")
        findings.convolutions.append(rates)
    return convolutions_table(findings.convolutions)


def starts(findings: Findings, names: Sequence[str], backend: str, quick: bool) -> None:
    """Measure fresh processes: imports, first steps with their memory, and the whole way to 97 % on digits."""
    if quick:
        findings.first[OURS, "digits"] = fresh.first_step(OURS, "digits", backend)
        findings.whole = whole.measure([OURS], backend, 1)
        return
    sides = [OURS, *names]
    say("imports")
    findings.imports = fresh.import_seconds(keep(sides, fresh.IMPORTS), 5)
    for workload in FIRST:
        for name in sides:
            if name != SLOW_TO_COMPILE or workload == FIRST[0]:
                say(f"{name}: first step of {workload}")
                findings.first[name, workload] = fresh.first_step(name, workload, backend)
    processes(findings, names, backend)


def processes(findings: Findings, names: Sequence[str], backend: str) -> str:
    """Measure whole processes, from their start to 97 % on digits; return the table."""
    say("whole processes")
    findings.whole = whole.measure([whole.COMMAND_NAME, *keep([OURS, *names], whole.SIDES)], backend, 7)
    return whole_table(findings.whole)


def predictions(findings: Findings, names: Sequence[str], backend: str, quick: bool) -> None:
    """Measure predictions of one row: of each side's forms the fastest."""
    chosen, seconds = (("digits",), 0.05) if quick else (("digits", "fashion"), 1.0)
    for workload in (workload for workload in WORKLOADS if workload.name in chosen):
        data = workload.data()
        for name in keep(names, (OURS, *ONE_FORM)):
            say(f"{name}: one row of {workload.name}")
            times = [latency(side, workload, data, seconds) for side in sides_of(name, backend)]
            findings.latency[name, workload.name] = min(times)


def keep(names: Sequence[str], known: Sequence[str] | dict[str, str]) -> list[str]:
    """Return the names that are known."""
    return [name for name in names if name in known]


def found(findings: Findings) -> str:
    """Return the last step's figures in one line."""
    last = findings.steps[-1]
    times = ", ".join(f"{' '.join(filter(None, key))} {1e6 * t:.1f} us" for key, t in last.seconds.items())
    return times if last.ratio is None else f"{times}; ratio {last.ratio:.2f}, goal {last.workload.goal:g}"


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
