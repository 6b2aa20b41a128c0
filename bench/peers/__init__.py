"""Every side by its name: clearprop, and the peers in their best forms. A side's library is imported only for it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from clearprop.bench import Side, cores

OURS = "clearprop"
PEERS = {
    "torch": "peers.with_torch",
    "torch.compile": "peers.with_torch",
    "jax, loop": "peers.with_jax",
    "jax, step": "peers.with_jax",
    "scikit-learn": "peers.with_sklearn",
}
"""The columns of the table: each peer and the module whose `sides` are its forms."""


def sides_of(name: str, backend: str) -> list[Side]:
    """Return the forms of a side, of which the fastest counts: with one thread, which suits small networks, and all.

    Raises:
        ImportError: its library is not installed.
    """
    if name == OURS:
        return [importlib.import_module("clearprop.bench.ours").Clearprop(backend)]
    threads = sorted({1, cores()})
    return [side for side in importlib.import_module(PEERS[name]).sides(threads) if side.name == name]


def installed(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of some peers can run here, and a line for each that is left out."""
    found, notes = [], []
    for name in names:
        try:
            importlib.import_module(PEERS[name])
            found.append(name)
        except ImportError as error:
            notes.append(f"{name} is left out: {error}")
    return found, notes
