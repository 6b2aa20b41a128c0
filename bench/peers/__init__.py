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
    """Return the forms of a side: with one thread, which suits small networks, and with all.

    Of a peer's forms the fastest counts; of ours the last, whose threads clearprop chooses.

    Raises:
        ImportError: its library is not installed.
    """
    threads = sorted({1, cores()})
    if name == OURS:
        ours = importlib.import_module("clearprop.bench.ours").Clearprop
        return [*(ours(backend, count) for count in threads[:-1]), ours(backend)]
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
