"""`clearprop predict`."""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
import numpy as np

from clearprop.cli.about import about
from clearprop.cli.choices import Source
from clearprop.cli.headers import as_trained
from clearprop.cli.idle import refuse_idle
from clearprop.cli.measuring import scores
from clearprop.cli.options import (
    RUN,
    backend_option,
    bad_images_option,
    data_dir_option,
    given_options,
    layout_option,
    text_file_options,
)
from clearprop.cli.output import note
from clearprop.cli.series import next_values
from clearprop.data import ColumnKind, Encoding, SeriesEncoding, Table, TextEncoding, iter_tables, printable
from clearprop.data.columns import Array
from clearprop.errors import SettingsError
from clearprop.files import replacing
from clearprop.losses import DistributionLoss, Loss
from clearprop.model import Model, load

_ROWS = 65536
_EPILOG = """\b
Examples:
  clearprop predict runs/houses-1 new.csv -o prices.csv
  clearprop predict runs/iris-1 flowers.csv --probabilities | head
  clearprop predict runs/photos-1 new-photos -o classes.csv
"""


@dataclass(frozen=True)
class _Piece:
    """Some samples, and the files they came from if they are images."""

    features: Table | Array
    files: tuple[str, ...] = ()


@click.command(epilog=_EPILOG)
@click.argument("run", type=RUN)
@click.argument("data")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="[default: stdout]"
)
@click.option("--probabilities", is_flag=True, help="Add a column for the probability of each class.")
@data_dir_option
@backend_option
@text_file_options
@layout_option
@bad_images_option
def command(run: Path, data: str, output: Path | None, probabilities: bool, backend: str, **reading: Any) -> None:
    """Predict each row of DATA with RUN (its folder, or a model file) and write CSV: the column "prediction", on
    request a column for each class, and where the loss gives them quantiles or the standard deviation. Of series it is
    the time steps after the last row, with their times.

    DATA may also be an image, or a folder with images anywhere in it: the column "file" then comes first. Columns of
    tables are found by their names; the target may be there or not. CSV and Parquet files may be larger than memory.
    What is unusual about the rows (new categories, missing values) is told on stderr. FILE is written in full or not
    at all; a pipe gets the rows as they come.
    """
    model = load(run)
    model.backend = backend
    encoding = model.encoding
    if isinstance(encoding, TextEncoding):
        raise SettingsError(f"{run} was trained on text: `clearprop generate {run}` writes some")
    if encoding is None:
        raise SettingsError(f"{run} holds a model that was fitted to arrays, not to data: use it from Python")
    if probabilities and encoding.task == "regression":
        raise SettingsError("--probabilities needs classes, and this model predicts numbers: leave it out")
    if probabilities and not model.loss.probabilities:
        raise SettingsError(f"--probabilities: {model.loss!r} gives scores, which are none: leave it out")
    if output is not None and output.exists() and Path(data).exists() and output.samefile(data):
        raise SettingsError(f"{output} is the data itself: choose another --output")
    with about(Path(data).name), as_trained(Source(data, **reading), encoding) as source, _opened(output) as file:
        if isinstance(encoding, SeriesEncoding):
            rows = _forecast(model, source, encoding)
        else:
            rows = _predictions(model, encoding, _parts(source, encoding), probabilities)
        clean = printable if file.isatty() else str
        csv.writer(file, lineterminator="\n").writerows([clean(value) for value in row] for row in rows)


def _parts(source: Source, encoding: Encoding) -> Iterator[_Piece]:
    """Yield the features in pieces; the target, if it is there, left out."""
    name = encoding.target_name
    target = name if isinstance(name, tuple) else () if name is None else (name,)
    kinds = encoding.kinds | dict.fromkeys(target, ColumnKind("text"))  # whatever it holds, it is left out
    if source.in_arrays:
        dataset = source.to_form(encoding.form).load(require_target=False, kinds=kinds)
        features = dataset.features
        for line in dataset.notes if dataset.form is not None else ():
            note(printable(line, 300))
        for start in range(0, len(features), _ROWS):
            rows = slice(start, start + _ROWS)
            yield _Piece(features.take(rows) if isinstance(features, Table) else features[rows], dataset.files[rows])
        return
    for table in iter_tables(
        source.data,
        rows=_ROWS,
        delimiter=source.delimiter,
        encoding=source.encoding,
        header=source.has_header,
        kinds=kinds,
    ):
        yield _Piece(table.drop([name for name in target if name in table.columns]))


def _forecast(model: Model, source: Source, encoding: SeriesEncoding) -> Iterator[Sequence[str]]:
    """Yield the heading, and a row for each time step after the end of the series."""
    series = source.load_series(encoding.columns, encoding.time, encoding.kinds)
    refuse_idle(series, source.data, given_options(click.get_current_context()))
    times, values = next_values(model, series)
    told = encoding.columns[: encoding.told]
    names = [f"prediction_{name}" for name in told] if len(told) > 1 else ["prediction"]
    yield [encoding.time or "step", *names]
    yield from ([time, *map(_number, row)] for time, row in zip(times, values.tolist(), strict=True))


def _predictions(
    model: Model, encoding: Encoding, parts: Iterator[_Piece], probabilities: bool
) -> Iterator[Sequence[str]]:
    """Yield the heading, and a row for each sample."""
    told: set[str] = set()
    for i, piece in enumerate(parts):
        _tell(encoding.inspect(piece.features), told)
        prediction = model.predict(piece.features)
        if encoding.task == "multilabel":
            header, rows = _answers(prediction, encoding, probabilities)
        elif encoding.classes is None:
            header, rows = _numbers(prediction, model.loss, encoding)
        else:
            header, rows = _labels(prediction, encoding, encoding.classes, probabilities)
        names = ([file] for file in piece.files) if piece.files else itertools.repeat(list[str]())
        if i == 0:  # not before the first part is known to be right
            yield [*(["file"] if piece.files else []), *header]
        yield from ([*name, *row] for name, row in zip(names, rows, strict=False))


def _tell(notes: Iterable[str], told: set[str]) -> None:
    for line in notes:
        if line not in told:
            note(printable(line, 300))
        told.add(line)


def _numbers(prediction: Array, loss: Loss, encoding: Encoding) -> tuple[list[str], Iterator[list[str]]]:
    """Return names and rows of the point of each target, and of what the loss says beside it."""
    blocks = {"prediction": loss.point(prediction)}
    if isinstance(loss, DistributionLoss):
        blocks |= loss.spread(prediction)
    ends = _ends(encoding)
    values = np.hstack([np.reshape(block, (len(prediction), -1)) for block in blocks.values()])
    return [f"{block}{end}" for block in blocks for end in ends], ([*map(_number, row)] for row in values.tolist())


def _ends(encoding: Encoding) -> list[str]:
    """Return what ends the name of each target's column."""
    targets = encoding.target_name
    numbered = targets if isinstance(targets, tuple) else range(1, encoding.n_outputs + 1)
    return [f"_{name}" for name in numbered] if encoding.n_outputs > 1 else [""]


def _answers(prediction: Array, encoding: Encoding, probabilities: bool) -> tuple[list[str], Iterator[list[str]]]:
    """Return names and rows of the answer to each question, and on request of its probability (or score)."""
    ends = _ends(encoding)
    names = [f"{block}{end}" for block in ("prediction", "probability")[: 1 + probabilities] for end in ends]
    pairs = zip(encoding.decode(prediction).tolist(), prediction.tolist(), strict=True)
    return names, ([*map(str, row), *(map(_number, likely) if probabilities else ())] for row, likely in pairs)


def _labels(
    prediction: Array, encoding: Encoding, classes: Array, probabilities: bool
) -> tuple[list[str], Iterator[list[str]]]:
    """Return names and rows of the labels, and on request of the probability of each class."""
    likely = scores(prediction)
    names = ["prediction", *(f"probability_{label}" for label in classes.tolist() if probabilities)]
    labels = zip(encoding.decode(likely).tolist(), likely.tolist(), strict=True)
    return names, ([str(label), *(map(_number, row) if probabilities else ())] for label, row in labels)


def _number(value: float) -> str:
    """Nine significant digits, which tell any two float32 numbers apart."""
    return f"{value:.9g}"


@contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    """Open stdout, or what is named, a file to be replaced when it is complete."""
    if output is None:
        yield sys.stdout
        return
    with replacing(output, "w", encoding="utf-8", newline="") as file:
        yield file
