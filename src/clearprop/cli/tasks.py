"""What differs between learning from samples and learning to write a text, chosen by what was read."""

from __future__ import annotations

from typing import Any

from clearprop.cli.choices import Choices
from clearprop.cli.measuring import measured, metrics_for
from clearprop.cli.preparing import Part, Parts, Prepared, divide, prepare
from clearprop.cli.recognised import recognised
from clearprop.cli.text import divide_text, measured_text, prepare_text, recognised_text
from clearprop.data import Dataset, Text
from clearprop.model import Model


def prepare_any(data: Dataset | Text, choices: Choices) -> Prepared[Any]:
    """Return everything that a fit takes; see `prepare` and `prepare_text`."""
    return prepare_text(data, choices) if isinstance(data, Text) else prepare(data, choices)


def divide_any(data: Dataset | Text, choices: Choices) -> Parts:
    """Return the parts as they were divided for training, for complete choices."""
    return divide_text(data, choices)[1] if isinstance(data, Text) else divide(data, choices)


def recognised_any(data: Dataset | Text, prepared: Prepared[Any], width: int | None) -> str:
    """Return in words what was recognised."""
    return recognised_text(data, prepared) if isinstance(data, Text) else recognised(data, prepared, width)


def measured_any(model: Model, part: Part, choices: Choices, task: str) -> dict[str, float]:
    """Return the figures of the end, on a part held out."""
    if choices.task == "text":
        return measured_text(model, part)
    return measured(model, part, metrics_for(task, choices.metrics))[0]
