"""`clearprop check`."""

from __future__ import annotations

from pathlib import Path

import click

from clearprop.checks import check_gradients
from clearprop.cli.choices import Recipe
from clearprop.cli.output import result
from clearprop.cli.tasks import divide_any
from clearprop.cli.transfer import kinds_of_features
from clearprop.model import Run, load

_EPILOG = """\b
Example:
  clearprop check runs/iris-1 --gradients
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--gradients", is_flag=True, help="Compare every derivative with centred differences.")
@click.option(
    "--samples", type=click.IntRange(1), default=16, show_default=True, metavar="N", help="Training samples to take."
)
@click.pass_context
def command(ctx: click.Context, run: Path, gradients: bool, samples: int) -> None:
    """Check the trained network of RUN on some of its own training samples; the status is 1 if something is wrong."""
    if not gradients:
        raise click.UsageError("name what to check: --gradients", ctx)
    model = load(run)
    recipe = Recipe.of(Run(run))
    part = divide_any(recipe.load(kinds=kinds_of_features(model.encoding)), recipe.choices).train
    part = part.take(slice(0, samples))
    found = check_gradients(model, part.features, part.target)
    result(str(found))
    if not found.ok:
        raise click.exceptions.Exit(1)
