"""`clearprop pictures`, and the picture of the first batch that `clearprop train` draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clearprop import pictures
from clearprop.cli.choices import Source
from clearprop.cli.evaluate import given_part, test_part
from clearprop.cli.options import RUN, bad_images_option, data_dir_option
from clearprop.cli.output import note, result, table, width_of
from clearprop.cli.preparing import Part, Prepared
from clearprop.data import Encoding, Table, printable
from clearprop.data.columns import Array
from clearprop.errors import DataError, SettingsError
from clearprop.model import Model, load

_EPILOG = """\b
Examples:
  clearprop pictures runs/photos-1
  clearprop pictures runs/photos-1 new-photos -o pictures
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RUN)
@click.argument("data", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the PNG files go.  [default: pictures in the run's folder]",
)
@click.option("--layer", metavar="NAME", help="Whose feature maps are drawn.  [default: the first that has any]")
@data_dir_option
@bad_images_option
def command(
    run: Path, data: str | None, output: Path | None, layer: str | None, data_dir: str | None, bad_images: str
) -> None:
    """Draw what RUN (its folder, or a model file) learnt and where it is wrong, as PNG files: the filters of its first
    layer, the maps a layer makes of the first image, the confusion of its classes, and its worst mistakes on DATA;
    without DATA, on the run's own held-out test part.
    """
    model = load(run)
    if not isinstance(model.encoding, Encoding):
        raise SettingsError(
            f"{run} holds a model that was fitted to arrays or text: draw with clearprop.pictures from Python"
        )
    if data is None:
        part, _ = test_part(run, model.encoding)
    else:
        part, _ = given_part(Source(data, data_dir=data_dir, bad_images=bad_images), model.encoding)
    if isinstance(part.features, Table):
        raise DataError("pictures are drawn of images, and the samples are rows of a table")
    folder = output or (run if run.is_dir() else run.parent) / "pictures"
    drawings = _drawings(model, part.features, part, layer)
    figures = {name: _drawn(name, draw) for name, draw in drawings.items()}  # all of them, before any is written
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        if figure is not None:
            pictures.save(figure, folder / f"{name}.png")
            note(f"written to {printable(folder / f'{name}.png', 200)}")
    confused = pictures.most_confused(model, part.features, part.target)
    if confused:
        result(table([("actual", "taken for", "times"), *confused], {2}, width_of()))


def _drawings(model: Model, features: Array, part: Part, layer: str | None) -> dict[str, Callable[[], Any]]:
    target = part.target
    return {
        "filters": lambda: pictures.filters(model),
        "maps": lambda: pictures.feature_maps(model, features[0], layer),
        "confusion": lambda: pictures.confusion(model, features, target),
        "mistakes": lambda: pictures.worst_mistakes(model, features, target, files=part.files),
    }


def _drawn(name: str, draw: Callable[[], Any]) -> Any:
    """Draw one picture; one that there is nothing to draw for is told, and None."""
    try:
        return draw()
    except DataError as error:
        note(f"no {name}.png: {error}")
        return None


def write_batch(prepared: Prepared[Any], path: Path) -> None:
    """Draw the first batch that a fit will see."""
    size = prepared.choices.batch_size or 1
    pictures.save(pictures.first_batch(prepared.model, prepared.parts.train.features, size), path)
    note(f"the first batch is drawn in {printable(path, 200)}")
