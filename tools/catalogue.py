"""The catalogue: count its members and what each is checked against, and keep the tables of docs/catalogue true.

    python tools/catalogue.py             print the counts
    python tools/catalogue.py --write     write the tables and plots of docs/catalogue anew
    python tools/catalogue.py --check     fail where a table differs from what --write would write

Everything comes from the registries of the package and the tables in tests/tables and tests/golden, so that a new
member is counted, and missed in the docs, by itself.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import catalogue_plots

from clearprop import losses, nn, optim

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "catalogue"
sys.path.insert(0, str(ROOT / "tests" / "tables"))

Names = Mapping[str, Callable[[], Any]]
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


LAYERS: dict[str, tuple[type, ...]] = {
    "convolution": (nn.Conv1D, nn.Conv2D, nn.DepthwiseConv2D, nn.ConvTranspose1D, nn.ConvTranspose2D),
    "pooling": (
        nn.MaxPool1D, nn.MaxPool2D, nn.AveragePool1D, nn.AveragePool2D, nn.GlobalMaxPool, nn.GlobalAveragePool,
        nn.Upsample, nn.Flatten, nn.ChannelsLast,
    ),
    "normalisation": (
        nn.BatchNorm, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.InstanceNorm, nn.LocalResponseNorm,
    ),
}  # fmt: skip
"""Layers without names; tests/nn/test_layers.py has a reference in NumPy for each."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of member: the names of the registry, the classes, and which of them each reference checks."""

    names: Names
    classes: tuple[type, ...]
    checked: Mapping[str, set[str]]


def exported(module: Any, base: type, names: Names) -> tuple[type, ...]:
    """Return the classes of a registry in its order, then those that have no name."""
    named = [type(make()) for make in names.values()]
    things = (getattr(module, name) for name in module.__all__)
    others = [
        kind
        for kind in things
        if inspect.isclass(kind)
        and issubclass(kind, base)
        and dataclasses.is_dataclass(kind)
        and not inspect.isabstract(kind)
    ]
    return tuple(dict.fromkeys([*named, *others]))


def golden(name: str) -> set[str]:
    """Return the classes that PyTorch's figures in tests/golden cover."""
    return described(json.loads((ROOT / "tests" / "golden" / f"{name}.json").read_text(encoding="utf-8")))


def described(value: Any) -> set[str]:
    """Return every class that JSON data name, however deep."""
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    named = {value["type"]} if isinstance(value, dict) and "type" in value else set()
    return named.union(*map(described, parts))


def sources(cases: Iterable[tuple[Any, str]]) -> dict[str, set[str]]:
    """Return the checked classes, given themselves or as instances, by who checks them."""
    found: dict[str, set[str]] = {}
    for thing, source in cases:
        found.setdefault(source, set()).add((thing if isinstance(thing, type) else type(thing)).__name__)
    return found


def kinds() -> dict[str, Kind]:
    """Return every kind of member by the name of its table."""
    tables = ("activation", "initializer", "loss", "noise", "penalty", "schedule", "whole_batch")
    table = {name: importlib.import_module(f"{name}_table") for name in tables}
    rules = importlib.import_module("optimizer_references")
    start, penalty = table["initializer"], table["penalty"]
    found = {
        "activations": [(case.layer, case.source) for cases in table["activation"].CASES.values() for case in cases],
        "initialisers": [
            *((thing, "SciPy") for thing in start.CASES),
            *((thing, "NumPy") for thing in (*start.OTHERS, *start.DATA_DRIVEN)),
        ],
        "losses": [(case.loss, case.source) for case in table["loss"].CASES],
        "penalties": [(thing, "NumPy") for thing in penalty.PENALTIES],
        "constraints": [(thing, "NumPy") for thing in penalty.CONSTRAINTS],
        "noise": [(nn.NOISE[name](), source) for name, source in table["noise"].SOURCES.items()],
        **{title: [(kind, "NumPy") for kind in kinds] for title, kinds in LAYERS.items()},
        "activity": [(nn.ActivityPenalty(nn.L1()), "NumPy"), (nn.KLSparsity(), "SciPy")],
        "optimisers": [(kind(), "NumPy") for kind in rules.RULES],
        "wrappers": [(kind(), "NumPy") for kind in rules.WRAPPERS],
        "whole_batch": [
            (optim.WHOLE_BATCH[name](), source) for name, by in table["whole_batch"].SOURCES.items() for source in by
        ],
        "schedules": [(schedule, "NumPy") for schedule, _ in table["schedule"].FORMULAS],
    }
    checked = {title: sources(cases) for title, cases in found.items()}
    steps = exported(optim, optim.Optimizer, optim.OPTIMIZERS)
    members: dict[str, tuple[Names, tuple[type, ...]]] = {
        "activations": (nn.ACTIVATIONS, exported(nn, nn.Activation, nn.ACTIVATIONS)),
        "initialisers": (nn.INITIALIZERS, exported(nn, nn.Initializer, nn.INITIALIZERS)),
        "losses": (losses.LOSSES, exported(losses, losses.Loss, losses.LOSSES)),
        "penalties": (nn.PENALTIES, exported(nn, nn.Penalty, nn.PENALTIES)),
        "activity": ({}, (nn.ActivityPenalty, nn.KLSparsity)),
        "constraints": (nn.CONSTRAINTS, exported(nn, nn.Constraint, nn.CONSTRAINTS)),
        **{title: ({}, kinds) for title, kinds in LAYERS.items()},
        "noise": (nn.NOISE, tuple(nn.NOISE.values())),
        "optimisers": (optim.OPTIMIZERS, tuple(kind for kind in steps if not issubclass(kind, optim.Wrapper))),
        "wrappers": (optim.WRAPPERS, exported(optim, optim.Wrapper, optim.WRAPPERS)),
        "whole_batch": (optim.WHOLE_BATCH, exported(optim, optim.WholeBatch, optim.WHOLE_BATCH)),
        "schedules": (optim.SCHEDULES, exported(optim, optim.Schedule, optim.SCHEDULES)),
    }
    figures = {"optimisers": "optimizers", "wrappers": "optimizers"} | dict.fromkeys(LAYERS, "layers")
    for title in ("activations", "losses", "optimisers", "wrappers", "schedules", *LAYERS):
        checked[title]["PyTorch"] = golden(figures.get(title, title))
    return {title: Kind(*members[title], checked[title]) for title in members}


def counts() -> str:
    """Return the table of members and of those that are checked against each independent reference."""
    references = ("PyTorch", "SciPy", "scikit-learn", "NumPy", "NIST")
    rows: list[tuple[str, ...]] = [("kind", "classes", "names", *references, "any")]
    for title, kind in kinds().items():
        own = {cls.__name__ for cls in kind.classes}
        each = [kind.checked.get(name, set()) & own for name in references]
        numbers = (len(own), len(kind.names), *map(len, each), len(set().union(*each)))
        rows.append((title, *map(str, numbers)))
    total = [sum(int(row[column]) for row in rows[1:]) for column in range(1, len(rows[0]))]
    rows.append(("all", *map(str, total)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)) for row in rows)


def signature(cls: type) -> str:
    """Return a class with its settings and their defaults, but for its name."""
    words = []
    for item in dataclasses.fields(cls):
        default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        if item.name != "name":
            words.append(item.name if default is dataclasses.MISSING else f"{item.name}={shown(default)}")
    return f"{cls.__name__}({', '.join(words)})"


def shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def table_of(kind: Kind) -> str:
    """Return the Markdown table of a kind."""
    lines = ["| name | class, with its defaults | what it is |", "|---|---|---|"]
    for cls in kind.classes:
        names = ", ".join(f"`{name}`" for name, make in kind.names.items() if type(make()) is cls)
        text = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
        lines.append(f"| {names} | `{escaped(signature(cls))}` | {escaped(text)} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Return what every page should say."""
    known = kinds()
    result = {}
    for path in sorted(PAGES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        result[path] = MARK.sub(
            lambda found: found[1] + (table_of(known[found[2]]) if found[2] in known else "") + found[3], text
        )
    return result


def out_of_date() -> list[str]:
    """Return what is wrong with the pages: tables that differ, members without a panel in the plots."""
    wrong = [
        f"{path.name}: a table is out of date"
        for path, text in pages().items()
        if path.read_text(encoding="utf-8") != text
    ]
    for name, drawn in catalogue_plots.panels().items():
        plot = (PAGES / name).read_text(encoding="utf-8") if (PAGES / name).exists() else ""
        wrong += [f"{name}: no panel for {title}" for title in drawn if f">{title}</text>" not in plot]
    return wrong


def main(arguments: list[str]) -> int:
    if "--write" in arguments:
        for path, text in pages().items():
            path.write_text(text, encoding="utf-8")
        for name, drawn in catalogue_plots.panels().items():
            (PAGES / name).write_text(catalogue_plots.svg(drawn), encoding="utf-8")
    if "--check" in arguments:
        wrong = out_of_date()
        print(
            "\n".join([*wrong, "run: python tools/catalogue.py --write"]) if wrong else "catalogue: the tables are true"
        )
        return 1 if wrong else 0
    if not arguments:
        print(counts())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
