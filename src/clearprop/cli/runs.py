"""`clearprop runs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from clearprop.cli.choices import SECTION, Choices, Recipe
from clearprop.cli.folders import RUNS
from clearprop.cli.measuring import at_best
from clearprop.cli.output import note, number, result, table, width_of
from clearprop.errors import ClearpropError
from clearprop.files import read_json
from clearprop.model import Run
from clearprop.model.run import folders_in
from clearprop.train import History

_HEADING = ("run", "data", "rows", "hidden", "epochs", "best", "metric", "validation", "test", "seconds", "state")
_RIGHT = (2, 4, 5, 7, 8, 9)
_NARROW = (0, 4, 6, 7, 8, 10)
_WIDE = 100
_EPILOG = """\b
Examples:
  clearprop runs
  clearprop runs experiments
"""


@click.command(epilog=_EPILOG)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
def command(folder: Path | None) -> None:
    """List the runs in FOLDER (default: runs) with their figures; FOLDER may be a single run too."""
    folder = folder or RUNS
    runs = [Run(folder)] if Run(folder).exists() else [run for run in folders_in(folder) if run.exists()]
    if not runs:
        note(f"there are no runs in {folder}; `clearprop train DATA` makes one")
        return
    result(_listed([_HEADING, *(_row(run) for run in runs)], width_of()))


def _listed(rows: list[tuple[str, ...]], width: int | None) -> str:
    """Return the table; in a narrow terminal the columns that matter most."""
    shown = _NARROW if width is not None and width < _WIDE else tuple(range(len(_HEADING)))
    right = [place for place, column in enumerate(shown) if column in _RIGHT]
    return table([[row[column] for column in shown] for row in rows], right, width)


@dataclass(frozen=True)
class _Trained:
    """What a run learnt, as far as it is written down: one that a program made tells no data and no layers."""

    data: str = "-"
    rows: int = 0
    hidden: str = "-"
    metrics: Sequence[str] = ()


def _row(run: Run) -> tuple[str, ...]:
    name = run.path.name or str(run.path)
    try:
        trained = _trained(run)
        history = run.history() if run.history_file.exists() else History()
        results = _record(read_json(run.results)) if run.results.exists() else {}
    except (ClearpropError, OSError) as error:
        return (name, *["-"] * (len(_HEADING) - 2), f"cannot be read: {error}")
    metric = next(iter(trained.metrics), "loss")
    return (
        name,
        trained.data,
        str(trained.rows or "-"),
        trained.hidden,
        str(len(history)),
        str(history.best_epoch or "-"),
        metric,
        number(at_best(history).get(metric)),
        number(_record(results.get("test")).get(metric)),
        f"{sum(history.seconds):.1f}",
        history.reason or "not ended",
    )


def _trained(run: Run) -> _Trained:
    settings = run.read_settings()
    if SECTION not in settings:
        metrics = _record(settings.get("fit")).get("metrics")
        return _Trained(metrics=[str(name) for name in metrics] if isinstance(metrics, list) else ())
    recipe = Recipe.of(run)
    rows = sum(size for size in _record(settings.get("samples")).values() if isinstance(size, int))
    return _Trained(recipe.name, rows, _hidden(recipe.choices), recipe.choices.metrics)


def _record(value: Any) -> dict[str, Any]:
    """Return what was read, if it is a mapping."""
    return value if isinstance(value, dict) else {}


def _hidden(choices: Choices) -> str:
    if choices.cell is not None:
        return "-".join([str(choices.units)] * (choices.depth or 1))
    return "-".join(map(str, choices.layers or ())) or "none"
