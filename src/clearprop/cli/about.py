"""Errors that name the data they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clearprop.data import printable
from clearprop.errors import DataError


@contextmanager
def about(name: str) -> Iterator[None]:
    """Put the name of the data before an error that does not give it."""
    try:
        yield
    except DataError as error:
        if printable(name) in str(error):
            raise
        raise DataError(f"{printable(name)}: {error}") from error
