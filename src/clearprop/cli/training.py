"""Training a run: start one, go on with one, and what is told at its end."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from clearprop.cli.choices import Choices, Recipe, Source
from clearprop.cli.folders import check_free, claimed
from clearprop.cli.idle import refuse_fractions, refuse_idle, refuse_without_forecast
from clearprop.cli.measuring import at_best
from clearprop.cli.output import figures, note, result, width_of
from clearprop.cli.pictures import write_batch
from clearprop.cli.preparing import Part, Prepared
from clearprop.cli.signals import check
from clearprop.cli.tasks import measured_any, prepare_any, recognised_any, reported_any, task_of
from clearprop.cli.transfer import Origin
from clearprop.data import printable
from clearprop.errors import DivergedError, SettingsError
from clearprop.files import write_json
from clearprop.model import Run, load
from clearprop.optim import SciPyMinimizer, WholeBatch
from clearprop.train import EarlyStopping, History

ENDED = ("finished", "early stopping")
_STATUS = {"interrupted": 130, "terminated": 143}


def start(
    source: Source, choices: Choices, out: Path | None, progress: str, show_batch: Path | None, given: Collection[str]
) -> None:
    """Train a new run; on request draw its first batch before. `given` are the options that somebody gave."""
    if out is not None:
        check_free(out)
    if source.has_samples(choices):
        refuse_without_forecast(given)
    origin = Origin.of(choices) if source.has_samples(choices) else None
    source = source if origin is None else origin.formed(source)
    dataset = source.load_for(choices, None if origin is None else origin.kinds)
    refuse_idle(dataset, source.data, given)
    refuse_fractions(dataset, choices, given)
    prepared = prepare_any(dataset, choices)
    if prepared.choices.patience is not None and prepared.parts.validation is None:
        raise SettingsError("--patience watches a validation part, and there is none: add --validation 0.1 or so")
    if progress != "quiet":
        note(recognised_any(dataset, prepared, width_of(stream_is_stderr=True)))
        note()
    if show_batch is not None:
        write_batch(prepared, show_batch)
    check()
    with claimed(out, dataset.name) as run:
        recipe = Recipe(source.located(), prepared.choices, dataset.name, dataset.fingerprint)
        recipe.save(run, {"task": task_of(prepared.encoding), "samples": _sizes(prepared)})
        history = _fit(prepared, run, progress, resume=False)
    _conclude(prepared, run, history, progress)


def go_on(folder: Path, data: str | None, progress: str) -> None:
    """Go on with a run from its checkpoint, or from the start if it was stopped before its first one.

    The run keeps where its data is now.
    """
    run = Run(folder)
    with run.held():
        _go_on(run, data, progress)


def _go_on(run: Run, data: str | None, progress: str) -> None:
    recipe = Recipe.of(run)
    origin = Origin.of(recipe.choices)
    dataset = recipe.load(data, None if origin is None else origin.kinds)
    if data is not None:
        recipe.moved(data, dataset.name).save(run, {})
    prepared = prepare_any(dataset, recipe.choices)
    before = run.history() if run.history_file.exists() else History()
    if before.reason == "diverged":
        rate = recipe.choices.lr
        other = "--optimizer" if rate is None else f"--lr (it was {rate:g})"
        raise SettingsError(
            f"{run.path} diverged, and would again: the same settings give the same numbers. "
            f"Train a new run with another {other}"
        )
    if before.reason in ENDED and run.model_file.exists():
        note(f"{run.path} has ended already ({before.reason}); its figures:")
        prepared.model.parameters = load(run.path).parameters
        _conclude(prepared, run, before, progress)
        return
    if not run.checkpoint.exists():
        note(f"{run.path} has no checkpoint: it starts again")
    history = _fit(prepared, run, progress, resume=run.checkpoint.exists())
    _conclude(prepared, run, history, progress)


def _fit(prepared: Prepared[Any], run: Run, progress: str, *, resume: bool) -> History:
    choices, parts = prepared.choices, prepared.parts
    held_out = parts.validation
    check()
    try:
        return prepared.model.fit(
            parts.train.features,
            parts.train.target,
            epochs=choices.epochs or 1,
            batch_size=choices.batch_size or 1,
            validation_data=None if held_out is None else (held_out.features, held_out.target),
            metrics=choices.metrics,
            class_weight=None if choices.class_weight == "none" else choices.class_weight,
            early_stopping=None if choices.patience is None else EarlyStopping("val_loss", choices.patience),
            progress=progress,
            run=run,
            resume=resume,
            stateful=choices.stateful,
            checkpoint_steps=choices.checkpoint_every,
        )
    except DivergedError:
        rate = "" if choices.lr is None else "; --lr sets the learning rate"
        note(f"The last good weights are in {_shown(run)}{rate}.")
        raise


def _conclude(prepared: Prepared[Any], run: Run, history: History, progress: str) -> None:
    """Measure the test part, write the figures down, and say what can be done next."""
    if history.reason in _STATUS and isinstance(prepared.model.optimizer, SciPyMinimizer):
        note(f"{history.reason} after {len(history)} epochs; the weights so far are in {_shown(run)}.")
        raise click.exceptions.Exit(_STATUS[history.reason])
    if history.reason in _STATUS:
        note(f"{history.reason} after {len(history)} epochs; a checkpoint is written. To go on:")
        note(f"  clearprop train --resume {_quoted(run)}")
        raise click.exceptions.Exit(_STATUS[history.reason])
    validation = at_best(history)
    tested = _tested(prepared)
    write_json(run.results, {"samples": _sizes(prepared), "validation": validation, "test": tested})
    width = width_of()
    if tested is not None and prepared.parts.test is not None:
        result(reported_any(tested, prepared.encoding, "test", len(prepared.parts.test), width))
    elif validation:
        result(figures(validation, "validation", width))
    best = f", best epoch {history.best_epoch}" if history.best_epoch else ""
    result(f"run: {_shown(run)} ({len(history)} epochs{best}, {sum(history.seconds):.1f} s)")
    if progress != "quiet":
        _next(run, isinstance(prepared.model.optimizer, WholeBatch), task_of(prepared.encoding))


def _tested(prepared: Prepared[Any]) -> dict[str, float] | None:
    part: Part | None = prepared.parts.test
    if part is None:
        return None
    return measured_any(prepared.model, part, prepared.choices.metrics)


def _sizes(prepared: Prepared[Any]) -> dict[str, int]:
    parts = prepared.parts
    named = (("train", parts.train), ("validation", parts.validation), ("test", parts.test))
    return {name: 0 if part is None else len(part) for name, part in named}


_USES = {"text": "generate {}", "series": "predict {} DATA"}
"""What a run is for, where it does not predict rows of a table."""


def _next(run: Run, without_step: bool, task: str) -> None:
    folder = _quoted(run)
    command = _command()
    note("\nnext:")
    note(f"  {command} evaluate {folder}")
    note(f"  {command} {_USES.get(task, 'predict {} DATA -o predictions.csv').format(folder)}")
    if not without_step:
        note(f"  {command} source {folder}")
    note(f"  {command} check {folder} --gradients")


def _command() -> str:
    """Return what to type for this program: its name where the shell finds it, else the path it was started by."""
    started = Path(sys.argv[0])
    found = started.name != "clearprop" or shutil.which("clearprop") is not None
    return "clearprop" if found else printable(os.path.relpath(started), 200)


def _quoted(run: Run) -> str:
    return shlex.quote(_shown(run))


def _shown(run: Run) -> str:
    return printable(run.path, 200)
