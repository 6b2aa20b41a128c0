"""Training on series: the parts in the order of time, the scales, the recurrent network, and the forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from clearprop.cli.about import about
from clearprop.cli.choices import Choices
from clearprop.cli.networks import recurrent
from clearprop.cli.output import number, table
from clearprop.cli.preparing import Part, Parts, Prepared, made
from clearprop.cli.recurrences import complete_recurrent
from clearprop.data import Series, SeriesEncoding, find_season, printable, split_by_position
from clearprop.data.columns import Array
from clearprop.errors import DataError, SettingsError
from clearprop.losses import LOSSES, OutputLoss
from clearprop.model import Model

_WINDOW = 24
_USUAL: dict[str, Any] = {
    "cell": "gru",
    "units": 32,
    "depth": 1,
    "horizon": 1,
    "lr": 0.005,
    "epochs": 100,
    "batch_size": 16,
    "l2": 0.0,
    "schedule": "cosine",
    "validation": 0.1,
    "patience": 20,
}
"""What training on series takes where an option is left out."""

_ERRORS: dict[str, Callable[[Array], Any]] = {
    "root_mean_squared_error": lambda error: np.sqrt(np.mean(error**2)),
    "mean_absolute_error": lambda error: np.mean(np.abs(error)),
}
"""The figures of a forecast, from its errors."""


def complete(series: Series, choices: Choices) -> Choices:
    """Put a value in the place of every choice that was left open; the season is looked for in the training part.

    Raises:
        SettingsError: an option has no use with series.
    """
    loss = "squared_error" if choices.loss == "auto" else choices.loss
    if LOSSES[loss].task != "regression" or not issubclass(LOSSES[loss], OutputLoss):
        raise SettingsError(
            f"--loss {loss} does not fit series, which are numbers: leave it out, or take squared_error"
        )
    window = _WINDOW if choices.season is None else max(_WINDOW, 2 * choices.season)
    choices = complete_recurrent(choices, "series", _USUAL | {"window": window})
    choices = dataclasses.replace(choices, loss=loss, metrics=())
    if choices.season is None:
        train = series.values[divided(series, choices)[0], 0]
        return dataclasses.replace(choices, season=find_season(train, choices.window or 1) or 1)
    if choices.season > (choices.window or 1):
        raise SettingsError(
            f"--season {choices.season} is longer than --window {choices.window}: the forecast of the season before "
            "needs all of it in the window"
        )
    return choices


def divided(series: Series, choices: Choices) -> tuple[slice, ...]:
    """Return the time steps that train, choose the epoch, and are held out for the end."""
    return split_by_position(len(series), choices.validation or 0.0, choices.test)


def divide_series(series: Series, choices: Choices) -> tuple[SeriesEncoding, Parts]:
    """Hold out the end for the test, and what is before it for validation; scale by what is left.

    The first windows of a part that is held out may know the time steps before it, but none of its targets was learnt.

    Raises:
        DataError: a part is too short.
    """
    window, horizon = choices.window or 1, choices.horizon or 1
    slices = divided(series, choices)
    for what, part, least in zip(
        ("training", "validation", "test"), slices, (window + horizon, horizon, horizon), strict=True
    ):
        steps = part.stop - part.start
        if 0 < steps < least or (what == "training" and steps < least):
            raise DataError(
                f"{len(series)} time steps leave {steps} for the {what} part, and it needs {least} for a window of "
                f"{window} and a horizon of {horizon}: take shorter ones, or change --validation or --test"
            )
    encoding = SeriesEncoding.fit(
        series.values[slices[0]],
        series.columns,
        told=len(choices.forecast),
        window=window,
        horizon=horizon,
        season=None if choices.season == 1 else choices.season,
        time=series.time,
        dtype=choices.dtype,
        decimals=series.decimals,
    )
    train, *held_out = (
        Part(*encoding.windows(series.values[max(part.start - window, 0) : part.stop]))
        if part.stop > part.start
        else None
        for part in slices
    )
    assert train is not None
    return encoding, Parts(train, *held_out)


def prepare_series(series: Series, choices: Choices) -> Prepared[SeriesEncoding]:
    """Divide by time, scale by the training part alone, and write the network.

    Raises:
        DataError, SettingsError: the series or a choice does not fit.
    """
    with about(series.name):
        choices = complete(series, choices)
        encoding, parts = divide_series(series, choices)
    layers = recurrent([], choices, outputs="last", units=encoding.n_outputs)
    return Prepared(made(layers, encoding, encoding.input_shape, choices), encoding, parts, choices)


def measured_series(model: Model, part: Part) -> dict[str, float]:
    """Return the loss, and the errors of the network and of the naive forecasts in the units of the columns.

    With several columns each error has the name of its column at the end.
    """
    encoding, windows = encoding_of(model), np.asarray(part.features)
    values = {"loss": model.evaluate(windows, part.target)["loss"]}
    forecasts = {"": np.asarray(model.predict(windows))}
    forecasts |= {start: encoding.naive(windows, season) for start, (_, season) in _baselines(encoding).items()}
    for start, forecast in forecasts.items():
        for k, end in enumerate(_ends(encoding)):
            errors = forecast[:, :, k] - part.target[:, :, k]
            values |= {f"{start}{name}{end}": float(figure(errors)) for name, figure in _ERRORS.items()}
    return values


def _baselines(encoding: SeriesEncoding) -> dict[str, tuple[str, int]]:
    """Return the forecasts to compare with: what their figures begin with, their name and their season."""
    naive = {"naive_": ("naive", 1)}
    season = encoding.season
    return naive if season is None else naive | {"seasonal_naive_": (f"seasonal naive ({season})", season)}


def _ends(encoding: SeriesEncoding) -> list[str]:
    """Return what the figures of each column that is told end with."""
    return [f"_{name}" for name in encoding.columns[: encoding.told]] if encoding.told > 1 else [""]


def reported_series(values: dict[str, float], encoding: SeriesEncoding, title: str, width: int | None) -> str:
    """Return the figures as a table, the naive forecasts beside the network."""
    names = {"": "network"} | {start: name for start, (name, _) in _baselines(encoding).items()}
    rows: list[tuple[str, ...]] = [(title, *(name.replace("_", " ") for name in _ERRORS))]
    for end in _ends(encoding):
        for start, name in names.items():
            shown = f"{printable(end.removeprefix('_'), 40)}: {name}" if end else name
            rows.append((shown, *(number(values[f"{start}{figure}{end}"]) for figure in _ERRORS)))
    return table(rows, {1, 2}, width)


def encoding_of(model: Model) -> SeriesEncoding:
    """Return the encoding of a model of series."""
    if not isinstance(model.encoding, SeriesEncoding):
        raise SettingsError("the model was not trained on series")
    return model.encoding


def series_part(encoding: SeriesEncoding, series: Series) -> Part:
    """Return all windows of series, with what came next.

    Raises:
        DataError: there are too few time steps for one.
    """
    with about(series.name):
        return Part(*encoding.windows(series.values))


def next_values(model: Model, series: Series) -> tuple[list[str], Array]:
    """Return the names of the time steps that come after a series, and the forecast for them, (horizon, told).

    Raises:
        DataError: the series is shorter than a window.
    """
    encoding = encoding_of(model)
    if len(series) < encoding.window:
        raise DataError(
            f"{series.name} has {len(series)} time steps, and the forecast starts from {encoding.window} of them"
        )
    window = series.values[None, -encoding.window :]
    return series.next_times(encoding.horizon), np.asarray(model.predict(window))[0]


def recognised_series(series: Series, prepared: Prepared[SeriesEncoding]) -> str:
    """Return columns, parts, season and network in words."""
    choices, encoding, parts = prepared.choices, prepared.encoding, prepared.parts
    count = sum(array.size for array in prepared.model.parameters.values())
    steps = zip(("train", "validation", "test"), divided(series, choices), strict=True)
    sizes = ", ".join(f"{part.stop - part.start} {name}" for name, part in steps if part.stop > part.start)
    told = ", ".join(printable(name, 40) for name in encoding.columns[: encoding.told])
    known = ", ".join(printable(name, 40) for name in encoding.columns[encoding.told :])
    season = "no season" if encoding.season is None else f"a season of {encoding.season}"
    return "\n".join(
        [
            f"{printable(series.name)}: {len(series)} time steps",
            *(f"  {printable(note, 300)}" for note in (*series.notes, *encoding.describe())),
            f"forecast: {told}{f', also from {known}' if known else ''}; "
            f"{encoding.horizon} step{'s' if encoding.horizon > 1 else ''} from {encoding.window}, {season}",
            f"time steps, in their order: {sizes}",
            f"network: {choices.depth} x {choices.cell} {choices.units}-{encoding.n_outputs}, {count} parameters; "
            f"{choices.optimizer} lr {choices.lr:g} {choices.schedule}, batches of {choices.batch_size}, "
            f"up to {choices.epochs} epochs on {len(parts.train)} windows",
        ]
    )
