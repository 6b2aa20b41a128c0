"""Keys: named, independent streams of random numbers that all follow from one seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Key:
    """A place in the tree of random streams; a child's stream depends on its name, not on its siblings.

    Attributes:
        seed: the run's seed, a non-negative integer.
        path: the names from the root, hashed.
    """

    seed: int
    path: tuple[int, ...] = ()

    def child(self, name: str) -> Key:
        """Return the key of a named part, such as a layer or a parameter."""
        return Key(self.seed, (*self.path, zlib.crc32(name.encode())))

    def generator(self) -> np.random.Generator:
        """Return a NumPy generator (Philox) at the start of this key's stream."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=self.path)))

    def words(self) -> np.ndarray[Any, np.dtype[np.uint32]]:
        """Return the two words that key the random bits inside of a program."""
        words = np.random.SeedSequence(self.seed, spawn_key=self.path).generate_state(2, np.uint32)
        return words.astype(np.uint32, copy=False)
