"""`clearprop train`."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import click

from clearprop.cli.choices import IMAGE_CHANGES, Choices, Source
from clearprop.cli.defaults import CONVOLUTIONAL, SIZES
from clearprop.cli.options import (
    FILE,
    NetworkFile,
    Trained,
    Widths,
    Word,
    backend_option,
    data_dir_option,
    flags,
    given_options,
    image_options,
    read_config,
    setting_option,
    text_file_options,
)
from clearprop.cli.output import table
from clearprop.cli.training import go_on, start

_HELP = """\
Train a network on DATA: a CSV, Parquet, .npz, .npy or IDX file, a folder of images by class (DATA/CLASS/*.png, or
DATA/train/CLASS/*.png with test beside train), a text (.txt) to learn to write, series in the columns of a table
(--forecast), or one of the bundled sets iris, wine, breast-cancer, digits, diabetes and fashion-mnist.

The test part is held out before anything is learned from the data, and measured once, at the end. Early
stopping keeps the weights of the best epoch, where the data has a validation part of its own or one is held out
(from 1000 rows on). Ctrl-C writes a checkpoint; --resume RUN goes on, to the same bits.
"""
_EPILOG = """\b
Examples:
  clearprop train digits
  clearprop train houses.csv --target price --layers 64,32 --epochs 50
  clearprop train houses.csv --config run.toml --seed 3
  clearprop train photos --size 32 --scaling channel --augment flip,shift
  clearprop train fashion-mnist --arch resnet-small --epochs 5
  clearprop train few-photos --start-from runs/photos-1 --new-head --freeze "conv2d1.*"
  clearprop train novel.txt --cell gru --epochs 5
  clearprop train weather.csv --forecast temperature,wind --window 48 --horizon 6
  clearprop train --resume runs/houses-1
"""
_WITH_RESUME = ("data", "resume", "progress")
_option = partial(setting_option, Choices)


def _sizes() -> str:
    """The table of defaults that depend on the number of rows."""
    rows: list[tuple[str, ...]] = [("from rows", "layers", "lr", "epochs", "batch", "l2", "validation", "patience")]
    for size in reversed(SIZES + CONVOLUTIONAL):
        widths = ",".join(map(str, size.layers)) or "convolutional"
        numbers = (size.lr, size.epochs, size.batch_size, size.l2, size.validation, size.patience)
        rows.append((str(size.samples), widths, *(f"{number:g}" for number in numbers)))
    return f"\n\b\nDefaults by size:\n{table(rows)}\n"


@click.command(help=_HELP + _sizes(), epilog=_EPILOG)
@click.argument("data", required=False)
@click.option(
    "--target", metavar="NAME", help="The column to learn, or several: A,B (of .npy and IDX: the file of the labels)."
)
@_option("--arch", help="auto is a convolutional network for images of 10 x 10 pixels or more, and else mlp.")
@_option("--network", NetworkFile(), metavar="FILE", help="A TOML file that describes the hidden layers instead.")
@_option("--start-from", Trained(), metavar="RUN", help="Go on from the network of a run or model file, on new data.")
@click.option("--new-head", is_flag=True, help="With --start-from: a new last layer.")
@_option("--freeze", metavar="A,B", help="Parameters that stay as they are, by patterns such as conv2d*.")
@_option("--layers", Widths(), metavar="N,N", help='Widths of the layers of mlp, or "none".  [default: by size]')
@_option("--activation", help="Of dense layers, relu by default; of rnn cells, tanh.")
@_option("--weights", help="How weights start; auto suits the activation, lsuv looks at the data.")
@_option("--output-bias", help="How the output's biases start; class_prior from how frequent each class is.")
@_option("--class-weight", help="balanced: every class counts as much in training, however rare.")
@_option("--optimizer", help="The last five take all samples at once, and find their own steps.")
@_option("--lr", metavar="X", help="The learning rate.  [default: by size and optimiser]")
@_option("--rates", metavar="A=X,B=Y", help="Learning rates of parameters by patterns, such as conv2d*=0.0001.")
@_option("--clip-norm", metavar="X", help="Scale gradients down whose norm, of all together, is above X.")
@_option("--epochs", metavar="N", help="At most so many epochs.  [default: by size]")
@_option("--batch-size", metavar="N", help="Samples a step.  [default: by size]")
@_option("--dropout", metavar="R", help="After each hidden layer.")
@_option("--l2", metavar="X", help="Weight decay, X/2 sum w^2.  [default: by size]")
@_option("--l1", metavar="X", help="X sum |w|.")
@_option(
    "--schedule",
    help="Of the learning rate; step drops it to a tenth after each third of the epochs.  [default: cosine]",
)
@_option("--loss")
@_option("--task")
@_option(
    "--validation",
    metavar="R",
    help="The part that chooses the epoch, unless the data has its own.  [default: by size]",
)
@_option("--test", metavar="R", help="The part held out for the end, unless the data has its own.")
@_option("--patience", metavar="N", help="Stop after N epochs no better.  [default: by size]")
@_option("--metrics", metavar="A,B", help="Recorded each epoch, by scikit-learn's names.")
@_option("--dtype")
@_option("--seed", metavar="N", help="Decides every random number.")
@_option("--cell", help="Of texts and series: the layers; transformer for texts.  [default: lstm; of series gru]")
@_option("--units", metavar="N", help="Of texts and series: the width of the layers.  [default: 128; of series 32]")
@_option("--depth", metavar="N", help="Of texts and series: how many such layers.  [default: 1]")
@_option("--window", metavar="N", help="Of texts and series: time steps a sample.  [default: 64; of series 24]")
@click.option("--stateful", is_flag=True, help="Of a text: windows go on where those before them ended.")
@_option("--forecast", metavar="A,B", help="Columns to tell the next values of: learns series, split in time.")
@_option("--covariates", metavar="A,B", help="Of series: further columns to tell them from.")
@_option("--time", metavar="NAME", help="Of series: the column to sort by.  [default: the column of dates]")
@_option("--horizon", metavar="N", help="Of series: how many time steps to tell.  [default: 1]")
@_option("--season", metavar="N", help="Of series: its length, for the forecast beside.  [default: found; 1 for none]")
@_option("--level", help="Of a text: what a token is.  [default: char]")
@_option("--vocabulary", metavar="N", help="Of a text: tokens to know.  [default: all characters, or 20000 words]")
@backend_option
@data_dir_option
@text_file_options
@image_options
@_option(
    "--scaling",
    help="Of images, by statistics of the training part: pixels from 0 to 1; standardised as a whole, by channel or by "
    "pixel; whitened by PCA or ZCA.",
)
@_option("--epsilon", metavar="X", help="Of pca and zca.")
@_option("--augment", metavar="A,B", help=f"Change images at random in training: {', '.join(IMAGE_CHANGES)}.")
@click.option("--show-batch", type=FILE, metavar="FILE", help="Draw the first batch as training sees it, as PNG.")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    metavar="FILE",
    help="A TOML file with these options by name; what is typed goes before it.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The run's folder.  [default: runs/NAME-N]")
@click.option(
    "--resume", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="RUN", help="Go on with a run."
)
@_option("--checkpoint-every", metavar="STEPS", help="Beside one every 10 seconds.")
@click.option("--progress", type=Word(["auto", "live", "plain", "quiet"]), default="auto", show_default=True)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data: str | None,
    out: Path | None,
    resume: Path | None,
    progress: str,
    show_batch: Path | None,
    **given: Any,
) -> None:
    """Train a new run, or go on with one."""
    if resume is not None:
        _refuse_options(ctx)
        go_on(resume, data, progress)
        return
    if data is None:
        raise click.UsageError("Missing argument 'DATA'.", ctx)
    sources = {field.name: given[field.name] for field in dataclasses.fields(Source) if field.name != "data"}
    choices = {field.name: given[field.name] for field in dataclasses.fields(Choices)}
    start(Source(data, **sources), Choices(**choices), out, progress, show_batch, given_options(ctx))


def _refuse_options(ctx: click.Context) -> None:
    """A resumed run takes its options from its settings, so that its numbers stay the same."""
    odd = [name for name in given_options(ctx) if name not in _WITH_RESUME]
    if odd:
        raise click.UsageError(f"--resume takes the run's own options: leave out {flags(odd)}", ctx)
