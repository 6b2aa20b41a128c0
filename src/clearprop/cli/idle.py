"""Options that have no use with what is learnt: they are refused, never passed over in silence."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from clearprop.cli.choices import OF_SERIES, OF_TEXT, RECURRENT, Choices
from clearprop.cli.options import flags
from clearprop.data import Dataset, Series, Table, Text
from clearprop.data.loading import is_delimited
from clearprop.errors import SettingsError

_IMAGES = ("size", "resize", "color", "bad_images", "memory", "layout", "scaling", "epsilon", "augment", "show_batch")
_TRANSFER = ("start_from", "new_head")
_SAMPLES = ("target", "data_dir", "arch", "network", "layers", "output_bias", "class_weight", "metrics", *_TRANSFER)
_COLUMNS = ("delimiter", "header", "no_header")

_IDLE = {
    "a text": (*_IMAGES, *_SAMPLES, *OF_SERIES, *_COLUMNS),
    "series": (*_IMAGES, *_SAMPLES, *OF_TEXT),
    "a table": (*_IMAGES, *RECURRENT, *OF_TEXT),
    "arrays": (*RECURRENT, *OF_TEXT),
}
"""The options that have no use with each kind of data."""


def refuse_idle(data: Dataset | Text | Series, name: str, given: Collection[str]) -> None:
    """Raise `SettingsError` if an option was given that does nothing for this kind of data, which has this name."""
    kind = _kind(data)
    odd = [option for option in _IDLE[kind] if option in given]
    if odd:
        _refuse(f"{data.name} is learnt as {kind}, which", odd)
    columns = [option for option in _COLUMNS if option in given]
    if columns and not is_delimited(name):
        _refuse(f"{data.name} is no text file with columns, and", columns)


def refuse_without_forecast(given: Collection[str]) -> None:
    """Raise `SettingsError` if options of series are given for samples, before a target is asked for."""
    odd = [name for name in OF_SERIES if name in given]
    if odd:
        raise SettingsError(
            f"{flags(odd)}: that is for a series, of which --forecast NAME names the column to tell; "
            f"for samples, leave out {flags(odd)}"
        )


def _refuse(what: str, names: list[str]) -> NoReturn:
    raise SettingsError(f"{what} has no use for some options: leave out {flags(names)}")


def refuse_fractions(data: Dataset | Text | Series, choices: Choices, given: Collection[str]) -> None:
    """Raise `SettingsError` if a fraction is to be held out of data that has such a part of its own."""
    if not isinstance(data, Dataset):
        return
    for name, own in (("validation", data.validation), ("test", data.test)):
        fraction = getattr(choices, name)
        if own is not None and name in given and fraction:
            raise SettingsError(
                f"{data.name} has a {name} part of its own, with {len(own[1])} samples, so that --{name} {fraction:g} "
                f"would hold nothing out: leave it out, or do without the part by --{name} 0"
            )


def _kind(data: Dataset | Text | Series) -> str:
    if isinstance(data, Text):
        return "a text"
    if isinstance(data, Series):
        return "series"
    return "a table" if isinstance(data.features, Table) else "arrays"
