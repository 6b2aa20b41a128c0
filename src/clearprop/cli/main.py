"""The entry point: `clearprop COMMAND`. Commands are loaded when they are asked for, so that help answers at once."""

from __future__ import annotations

import codecs
import difflib
import gc
import importlib
import io
import os
import sys
import traceback
import warnings
from typing import Any, TextIO

import click

from clearprop.cli.signals import install
from clearprop.errors import ClearpropError, DivergedError
from clearprop.version import __version__

COMMANDS = {
    "train": ("clearprop.cli.train", "Train a network on a table, arrays, a text or a bundled set."),
    "evaluate": ("clearprop.cli.evaluate", "Measure a run on its held-out test part, or on other data."),
    "predict": ("clearprop.cli.predict", "Predict the rows of a table; CSV comes out."),
    "pictures": ("clearprop.cli.pictures", "Draw what a run on images learnt, and its mistakes."),
    "generate": ("clearprop.cli.generate", "Write text with a run that was trained on text."),
    "source": ("clearprop.cli.source", "Print a run's training step as a Python module."),
    "check": ("clearprop.cli.check", "Check a run's gradients against finite differences."),
    "runs": ("clearprop.cli.runs", "List runs with their figures."),
    "bench": ("clearprop.cli.bench", "Measure how fast this machine trains."),
}
"""Every command: the module whose `command` it is, and what it does in one line."""

_EPILOG = """\b
Examples:
  clearprop train iris
  clearprop train houses.csv --target price --layers 64,32
  clearprop predict runs/houses-1 new.csv -o prices.csv

\b
Exit status:
  0    done
  1    training diverged, or a check found something wrong
  2    the data, an option or a file cannot be used
  130  interrupted (Ctrl-C), 143 terminated, 141 the reader of the output went away
"""


class CommandLine(click.Group):
    """The group of all commands: loads one when it is needed, turns errors into messages and statuses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command, and call the context's object if it has one; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        if ctx.obj is not None:
            ctx.obj()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with; an unknown one gets a suggestion."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; help is written here."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except OSError as error:
            raise click.exceptions.Exit(_report(error)) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a user can mend becomes a message on stderr and an exit status."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (ClearpropError, OSError, MemoryError, KeyboardInterrupt) as error:
            if ctx.params["debug"]:
                traceback.print_exc()
            raise click.exceptions.Exit(_report(error)) from error


def _collect() -> None:
    """Collect garbage from now on; what was made till then is never looked at."""
    gc.freeze()
    gc.enable()


def _report(error: BaseException) -> int:
    """Say what happened on stderr; return the exit status."""
    if isinstance(error, BrokenPipeError):
        # The interpreter flushes stdout once more when it ends, and that must not fail again.
        sys.stdout = _nowhere()
        return 141
    if isinstance(error, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    click.echo(f"Error: {shown(_message(error))}", err=True)
    return 1 if isinstance(error, DivergedError) else 2


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _message(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error}): use fewer samples, a smaller network or a smaller batch"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def shown(text: str) -> str:
    """Return a message with control and format characters as escapes, line breaks apart."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


@click.group(cls=CommandLine, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clearprop", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Train neural networks you can read."""


def main() -> None:
    """Run the command line on the arguments of the process.

    No garbage is collected until the command is loaded: loading leaves none, and looking for it then, and again at the
    end, takes an eighth of a short command's time.
    """
    collected = gc.isenabled()
    gc.disable()
    # a stream that was closed before the start is None
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        _take_any_text(stream)
    install()
    warnings.formatwarning = _format_warning
    try:
        cli(prog_name="clearprop", obj=_collect if collected else None)
    finally:
        if collected:
            gc.enable()


def _take_any_text(stream: TextIO) -> None:
    """Let a stream write every character: UTF-8 in place of ASCII, and escapes for what its encoding lacks."""
    if isinstance(stream, io.TextIOWrapper):
        ascii_only = codecs.lookup(stream.encoding).name == "ascii"
        stream.reconfigure(encoding="utf-8" if ascii_only else stream.encoding, errors="backslashreplace")


def _format_warning(message: Warning | str, *place: Any, **more: Any) -> str:
    return f"Warning: {shown(str(message))}\n"
