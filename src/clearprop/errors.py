"""The errors clearprop raises: each says what happened, what was expected, what came, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable


class ClearpropError(Exception):
    """Base of every error that a user can mend.

    The message names what happened and the remedy; the command line prints it without a traceback and exits
    with status 2.
    """


class ShapeError(ClearpropError, ValueError):
    """A tensor does not have the shape or dtype that an operation or a layer expects."""


class ProgramError(ClearpropError, ValueError):
    """A program breaks a rule of the intermediate representation (single assignment, types, names)."""


class DataError(ClearpropError, ValueError):
    """The data cannot be used as given; the message names the file, row and column where there is one."""


class HeaderError(DataError):
    """A table lacks a column, or its first line is not what it was taken for, names or values.

    Attributes:
        columns: the names that are asked for and that no column has.
    """

    def __init__(self, message: str, columns: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


class SettingsError(ClearpropError, ValueError):
    """A setting (an option, an argument, a configuration file) has a value that is not allowed."""


class MissingNameError(ClearpropError, KeyError):
    """Code asks for a parameter, a hyper-parameter or a slot by a name that there is not; the message lists those."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would put quotes around it


class FileFormatError(ClearpropError, ValueError):
    """A model or checkpoint file is damaged, foreign, or of a newer format."""


class BackendError(ClearpropError, RuntimeError):
    """A backend cannot run on this computer, or it cannot run a program."""


class BackendNote(UserWarning):
    """A program runs on the reference backend, because the native one cannot run it; the message says why."""


class DivergedError(ClearpropError, ArithmeticError):
    """Training produced a non-finite loss; the last good weights were kept."""
