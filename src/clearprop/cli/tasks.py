"""What differs between learning from samples, to write a text and to forecast series, chosen by what was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clearprop.cli.choices import Choices
from clearprop.cli.measuring import measured, metrics_for
from clearprop.cli.output import figures
from clearprop.cli.preparing import Part, Parts, Prepared, divide, prepare
from clearprop.cli.recognised import recognised
from clearprop.cli.series import divide_series, measured_series, prepare_series, recognised_series, reported_series
from clearprop.cli.text import divide_text, measured_text, prepare_text, recognised_text
from clearprop.data import AnyEncoding, Dataset, Series, SeriesEncoding, Text, TextEncoding
from clearprop.model import Model

Data = Dataset | Text | Series


def prepare_any(data: Data, choices: Choices) -> Prepared[Any]:
    """Return everything that a fit takes; see `prepare`, `prepare_text` and `prepare_series`."""
    if isinstance(data, Text):
        return prepare_text(data, choices)
    return prepare_series(data, choices) if isinstance(data, Series) else prepare(data, choices)


def divide_any(data: Data, choices: Choices) -> Parts:
    """Return the parts as they were divided for training, for complete choices."""
    if isinstance(data, Text):
        return divide_text(data, choices)[1]
    return divide_series(data, choices)[1] if isinstance(data, Series) else divide(data, choices)


def recognised_any(data: Data, prepared: Prepared[Any], width: int | None) -> str:
    """Return in words what was recognised."""
    if isinstance(data, Text):
        return recognised_text(data, prepared)
    return recognised_series(data, prepared) if isinstance(data, Series) else recognised(data, prepared, width)


def measured_any(model: Model, part: Part, metrics: Sequence[str] = ()) -> dict[str, float]:
    """Return the figures of the end, on a part held out."""
    encoding = model.encoding
    if isinstance(encoding, TextEncoding):
        return measured_text(model, part)
    if isinstance(encoding, SeriesEncoding):
        return measured_series(model, part)
    assert encoding is not None
    return measured(model, part, metrics_for(encoding.task, metrics))[0]


def task_of(encoding: AnyEncoding) -> str:
    """Return what is learnt: "classification", "regression", "text" or "series"."""
    return encoding.form if isinstance(encoding, TextEncoding | SeriesEncoding) else encoding.task


def reported_any(values: dict[str, float], encoding: AnyEncoding, name: str, count: int, width: int | None) -> str:
    """Return the figures of so many samples of a part as a table."""
    if isinstance(encoding, SeriesEncoding):
        return reported_series(values, encoding, f"{name} ({count} windows)", width)
    return figures(values, f"{name} ({count} {'windows' if task_of(encoding) == 'text' else 'rows'})", width)
