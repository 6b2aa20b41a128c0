"""`clearprop source`."""

from __future__ import annotations

from pathlib import Path

import click

from clearprop.cli.options import RUN, Word
from clearprop.cli.output import note, result
from clearprop.compile import STAGES
from clearprop.data import printable
from clearprop.files import write_bytes
from clearprop.model import load

_EPILOG = """\b
Examples:
  clearprop source runs/iris-1
  clearprop source runs/iris-1 -o iris_step.py
  clearprop source runs/iris-1 --stage assembly | less
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RUN)
@click.option(
    "--stage",
    type=Word(["numpy", *STAGES]),
    default="numpy",
    show_default=True,
    help="numpy runs as printed; the others are what the training step becomes on its way to the machine.",
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="[default: stdout]"
)
def command(run: Path, stage: str, output: Path | None) -> None:
    """Print the training step of RUN (its folder, or a model file) as Python that runs with NumPy alone: forward pass,
    loss, penalty, backward pass and update, in the order of the textbook.
    """
    model = load(run)
    text = model.source() if stage == "numpy" else model.explain(stage)
    if output is None:
        result(text.rstrip("\n"))
    else:
        write_bytes(output, text.encode())
        note(f"written to {printable(output, 200)}")
