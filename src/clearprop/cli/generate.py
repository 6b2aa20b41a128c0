"""`clearprop generate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clearprop.cli.options import RUN, Limited, backend_option
from clearprop.cli.text import tell_unknown
from clearprop.data import TextEncoding, printable
from clearprop.model import LENGTH, TEMPERATURE, TOP_K, generate, load
from clearprop.train import PARAMETERS

_EPILOG = """\b
Examples:
  clearprop generate runs/novel-1
  clearprop generate runs/novel-1 --prompt "It was" --length 500 --temperature 0.7 --seed 3
"""


@click.command(epilog=_EPILOG)
@click.argument("run", type=RUN)
@click.option("--prompt", default="", metavar="TEXT", help="What the model reads first, and goes on from.")
@click.option(
    "--length", type=Limited(LENGTH), default=500, show_default=True, metavar="N", help="How many tokens to write."
)
@click.option(
    "--temperature",
    type=Limited(TEMPERATURE),
    default=1.0,
    show_default=True,
    metavar="X",
    help="Below 1 likely tokens become likelier; 0 takes the likeliest.",
)
@click.option("--top-k", type=Limited(TOP_K), metavar="N", help="Draw from the N likeliest tokens.  [default: all]")
@click.option("--seed", type=Limited(PARAMETERS["seed"]), default=0, show_default=True, help="Decides every draw.")
@backend_option
def command(
    run: Path, prompt: str, length: int, temperature: float, top_k: int | None, seed: int, backend: str
) -> None:
    """Write text with RUN (its folder, or a model file), which was trained on text; it is shown as it is written."""
    model = load(run)
    model.backend = backend
    pieces = generate(model, prompt, length, temperature=temperature, top_k=top_k, seed=seed)
    if prompt and isinstance(model.encoding, TextEncoding):
        tell_unknown(model.encoding.tokens(prompt), "the prompt")
    _show(prompt)
    for piece in pieces:
        _show(piece)
    click.echo()


def _show(text: str) -> None:
    """Write a piece of text at once; to a terminal without what could steer it."""
    shown = "\n".join(printable(line, len(line)) for line in text.split("\n")) if sys.stdout.isatty() else text
    click.echo(shown, nl=False)
