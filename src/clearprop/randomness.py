"""Keys: named, independent streams of random numbers that all follow from one seed; and the order of an epoch."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.errors import SettingsError


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


def philox(key: Any, step: Any, stream: int, shape: Any) -> Any:
    """Philox 4x32-10 (Salmon et al., SC 2011): the counter is (block, stream, step low, step high)."""
    count = int(np.prod(shape, dtype=np.int64))
    word = np.uint64(0xFFFFFFFF)
    c0 = np.arange(-(-count // 4), dtype=np.uint64)
    low, high = int(step) & 0xFFFFFFFF, int(step) >> 32 & 0xFFFFFFFF
    c1, c2, c3 = (np.full_like(c0, part) for part in (stream, low, high))
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        product0, product1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        high0, high1 = product0 >> np.uint64(32), product1 >> np.uint64(32)
        c0, c1 = high1 ^ c1 ^ np.uint64(k0), product1 & word
        c2, c3 = high0 ^ c3 ^ np.uint64(k1), product0 & word
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    blocks = np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)
    return blocks.reshape(-1)[:count].reshape(shape)


def shuffle_key(seed: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Return the two words that key the orders of a run's epochs."""
    return Key(seed).child("shuffle").words()


def shuffled(n: int, key: Any, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the order in which an epoch visits n samples: a permutation of 0 .. n-1, a pure function of the three.

    The inside-out form of Fisher and Yates' shuffle: for i = 0 .. n-1, order[i] = order[j] and order[j] = i with
    j = floor(word (i + 1) / 2^32); the words are those of Philox 4x32-10 with counter (block, 0, epoch) and `key`.
    Each j from 0 to i comes of floor or ceil(2^32 / (i + 1)) of the 2^32 words, so its probability differs from
    1 / (i + 1) by less than 2^-32.

    Source: D. Lemire, Fast random integer generation in an interval (ACM TOMACS 2019), without its rejection.

    Raises:
        SettingsError: n is more than 2^32, so that some samples could never be drawn.
    """
    if n > 2**32:
        raise SettingsError(f"at most {2**32} samples can be shuffled, received {n}; give shuffle=False")
    words = philox(key, epoch, 0, (n,)).astype(np.uint64)
    places = (words * np.arange(1, n + 1, dtype=np.uint64)) >> np.uint64(32)
    order = [0] * n
    for i, j in enumerate(places.tolist()):
        order[i] = order[j]
        order[j] = i
    return np.array(order, np.int64)
