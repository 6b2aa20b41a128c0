"""Which rows train and which are held out, and in which order batches visit them: pure functions of a seed."""

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import Array
from clearprop.data.target_encoding import guess_task
from clearprop.errors import DataError, SettingsError
from clearprop.randomness import shuffle_key, shuffled

# The spawn key that keeps this stream apart from others drawn from the same seed.
SPLIT_STREAM = 0x5917

Indices = NDArray[np.int64]


def batch_order(n: int, *, seed: int, epoch: int) -> Indices:
    """Return the order in which an epoch visits `n` samples: a permutation of 0 .. n-1, int64 of shape (n,).

    It is a pure function of (n, seed, epoch), so a run that was stopped in the middle of an epoch goes on with the
    same order; see `randomness.shuffled`.

    Raises:
        SettingsError: the seed is negative.
    """
    _check_seed(seed)
    return shuffled(n, shuffle_key(seed), epoch)


def split(
    n_or_target: int | Array, fraction: float, *, seed: int, stratify: bool | None = None
) -> tuple[Indices, Indices]:
    """Divide rows into a training part and a held-out part.

    round(n * fraction) rows are held out, at least 1 and at most n - 1. Stratified, each class is held out in
    proportion, by largest remainders (ties go to the class that sorts first), and keeps at least one row for training:
    a class of a single row is never held out. If every class has a single row the split is not stratified.

    Args:
        n_or_target: the number of rows, or the target, (n,) or (n, k).
        fraction: the part to hold out, between 0 and 1.
        seed: any non-negative integer; the same seed gives the same rows on every machine.
        stratify: whether to keep the proportions of the classes; None does so for a target that is classes
            (by the rule of `Encoding.fit`).

    Returns:
        The row numbers (training, held out), each sorted, int64.

    Raises:
        SettingsError: `fraction` is not between 0 and 1, or `stratify` without a one-dimensional target.
        DataError: there are fewer than 2 rows.
    """
    if not 0 < fraction < 1:
        raise SettingsError(f"the fraction to hold out is {fraction}: expected a number between 0 and 1")
    target = None if isinstance(n_or_target, int | np.integer) else _comparable(np.asarray(n_or_target))
    n = int(n_or_target) if target is None else len(target)
    if n < 2:
        raise DataError(f"there are {n} rows: at least 2 are needed to hold some out")
    if stratify and (target is None or target.ndim != 1):
        raise SettingsError("stratify needs the labels, an array of shape (n,), in place of the number of rows")
    count = min(max(1, round(n * fraction)), n - 1)
    generator = _generator(seed, SPLIT_STREAM)
    if target is not None and target.ndim == 1 and _stratified(target, stratify):
        held = _held_by_class(target, count, generator)
    else:
        held = generator.permutation(n)[:count]
    mask = np.zeros(n, dtype=np.bool_)
    mask[held] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _comparable(target: Array) -> Array:
    """A target whose entries can be sorted: objects as text."""
    return target.astype(str) if target.dtype.kind == "O" else target


def _stratified(target: Array, wanted: bool | None) -> bool:
    chosen = guess_task(target).task == "classification" if wanted is None else wanted
    return chosen and len(np.unique(target)) < len(target)


def _held_by_class(target: Array, count: int, generator: np.random.Generator) -> Indices:
    _, codes, sizes = np.unique(target, return_inverse=True, return_counts=True)
    taken = _shares(sizes, count)
    order: Indices = generator.permutation(len(target))
    by_class: Indices = order[np.argsort(codes[order], kind="stable")]  # class after class, each in random order
    starts = np.cumsum(sizes) - sizes
    parts: list[Indices] = [by_class[start : start + k] for start, k in zip(starts, taken, strict=True)]
    return np.concatenate(parts)


def _shares(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """How many rows of each class to hold out: `count` in all where that leaves each class one row."""
    room = sizes - 1
    wanted = sizes * (count / sizes.sum())
    shares: Indices = np.minimum(np.floor(wanted).astype(np.int64), room)
    while shares.sum() < min(count, int(room.sum())):
        lacking = np.where(shares < room, wanted - shares, -np.inf)
        shares[int(np.argmax(lacking))] += 1
    return shares


def _generator(seed: int, *spawn_key: int) -> np.random.Generator:
    _check_seed(seed)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=spawn_key)))


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise SettingsError(f"the seed is {seed}: expected a non-negative integer")
