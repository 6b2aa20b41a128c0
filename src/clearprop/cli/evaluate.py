"""`clearprop evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from clearprop.cli.about import about
from clearprop.cli.choices import Choices, Recipe, Source
from clearprop.cli.defaults import check_metrics
from clearprop.cli.headers import as_trained
from clearprop.cli.idle import refuse_idle
from clearprop.cli.measuring import measured, metrics_for, report
from clearprop.cli.options import (
    RUN,
    backend_option,
    bad_images_option,
    data_dir_option,
    given_options,
    layout_option,
    setting_option,
    text_file_options,
)
from clearprop.cli.output import note, result, width_of
from clearprop.cli.preparing import Part
from clearprop.cli.series import series_part
from clearprop.cli.tasks import divide_any, measured_any, reported_any
from clearprop.cli.text import tell_unknown, text_part
from clearprop.cli.transfer import kinds_of_features
from clearprop.data import AnyEncoding, Encoding, SeriesEncoding, TextEncoding, printable
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model, Run, load

_EPILOG = """\b
Examples:
  clearprop evaluate runs/iris-1
  clearprop evaluate runs/houses-1 houses-2025.csv --metrics r2,max_error
  clearprop evaluate runs/photos-1 new-photos
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RUN)
@click.argument("data", required=False)
@setting_option(Choices, "--metrics", metavar="A,B", help="Further metrics, by scikit-learn's names.")
@click.option("--target", metavar="NAME", help="The target column of DATA.  [default: that of the run]")
@data_dir_option
@backend_option
@text_file_options
@layout_option
@bad_images_option
def command(run: Path, data: str | None, metrics: tuple[str, ...], backend: str, **reading: Any) -> None:
    """Measure RUN (its folder, or a model file) on DATA; without DATA, on the run's own held-out test part."""
    model = load(run)
    model.backend = backend
    if model.encoding is None:
        raise SettingsError(f"{run} holds a model that was fitted to arrays, not to data with a target: use Python")
    if not isinstance(model.encoding, Encoding):
        _evaluate_sequence(model, model.encoding, run, data, metrics, reading)
        return
    check_metrics(metrics, model.encoding.task)
    if data is None:
        part, title = test_part(run, model.encoding)
    else:
        part, title = given_part(Source(data, **reading), model.encoding)
    wanted = metrics_for(model.encoding.task, metrics)
    with about(title):
        _print(model, part, wanted, title)


def _evaluate_sequence(
    model: Model,
    encoding: TextEncoding | SeriesEncoding,
    run: Path,
    data: str | None,
    metrics: tuple[str, ...],
    reading: dict[str, Any],
) -> None:
    """Measure a model of text or of series, which have figures of their own."""
    if metrics:
        raise SettingsError(f"--metrics: {encoding.form} has its own figures, which are always given: leave it out")
    if data is None:
        part, title = test_part(run, encoding)
    else:
        part, title = _given_sequence(Source(data, **reading), encoding, (model.sample_shape or (1,))[0])
    if isinstance(encoding, TextEncoding):
        tell_unknown(np.asarray(part.features), title)
    result(reported_any(measured_any(model, part), encoding, title, len(part), width_of()))


def _given_sequence(source: Source, encoding: TextEncoding | SeriesEncoding, window: int) -> tuple[Part, str]:
    """Return all windows of a source, and what it is called."""
    given = given_options(click.get_current_context())
    if isinstance(encoding, TextEncoding):
        text = source.load_text()
        refuse_idle(text, source.data, given)
        return text_part(encoding, text.text, window), text.name
    series = source.load_series(encoding.columns, encoding.time, encoding.kinds)
    refuse_idle(series, source.data, given)
    return series_part(encoding, series), printable(series.name)


def _print(model: Model, part: Part, metrics: tuple[str, ...], title: str) -> None:
    values, prediction = measured(model, part, metrics)
    result(report(model, part, values, prediction, f"{title} ({len(part)} rows)", width_of()))


def test_part(folder: Path, encoding: AnyEncoding) -> tuple[Part, str]:
    """Return the test part that a run held out, and what it is called."""
    if not folder.is_dir():
        raise SettingsError(f"{folder} is a model file, which has no test part: name the DATA to measure it on")
    recipe = Recipe.of(Run(folder))
    part = divide_any(recipe.load(kinds=kinds_of_features(encoding)), recipe.choices).test
    if part is None:
        raise SettingsError(f"{folder} kept no test part (--test 0): name the DATA to measure it on")
    return part, "test"


def given_part(source: Source, encoding: Encoding) -> tuple[Part, str]:
    """Return all samples of a source, its images in the form of training, and what it is called."""
    trained = encoding.target_name
    name = source.target or (",".join(trained) if isinstance(trained, tuple) else trained)
    named = tuple(part.strip() for part in name.split(",")) if name and isinstance(trained, tuple) else name
    kinds = replace(encoding, target_name=named).kinds
    with as_trained(source, encoding) as read:
        dataset = replace(read, target=name).to_form(encoding.form).load(kinds=kinds)
    if dataset.target is None:
        raise DataError(f"{dataset.name} has no target to compare with: name it with --target")
    for line in dataset.notes if dataset.form is not None else ():
        note(printable(line, 300))
    return Part(dataset.features, dataset.target, dataset.files), printable(dataset.name)
