"""Let the tests of this folder, and `measure.py`, share their helpers, and cut work otherwise."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clearprop.backends.native import cuts, native, partition
from clearprop.backends.native.cache import Memo

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def recut(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what changes constants of a module by which work is cut; programs are then compiled anew."""

    def change(module: ModuleType, **constants: Any) -> None:
        for name, value in constants.items():
            monkeypatch.setattr(module, name, value)
        monkeypatch.setattr(native, "_COMPILED", Memo(most=64))

    return change


@pytest.fixture
def fine(recut: Callable[..., None]) -> None:
    """Cut everything, and into parts of 64 elements; products that lead a nest into parts of few rows."""
    recut(partition, SMALL=0, CHUNK=64, PANEL=64)
    recut(cuts, _SMALL=0, _LED_ROWS=8)
