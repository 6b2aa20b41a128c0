"""One derived number against differences: is it right, wrong, at a kink, or too small to tell?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from clearprop.checks.differences import SMALL, Along, Estimate, estimate

_CLEAR = 1e-3


class Finding(Enum):
    """What was found of one number."""

    RIGHT = "right"
    STOPPED = "right with what stop_gradient keeps constant"
    KINK = "kink"
    UNCLEAR = "unclear"
    WRONG = "wrong"


@dataclass(frozen=True)
class Piece:
    """A function to take differences of, and what it means if they agree with it."""

    along: Along
    agrees: Finding = Finding.RIGHT


@dataclass(frozen=True)
class Judgement:
    """What was found of a derived number, and the numeric estimate that tells."""

    finding: Finding
    derived: float
    numeric: Estimate

    @property
    def error(self) -> float:
        """|derived - numeric| / (|derived| + |numeric|); infinite when either is not finite."""
        size = abs(self.derived) + abs(self.numeric.number)
        if not math.isfinite(size):
            return math.inf
        return abs(self.derived - self.numeric.number) / size if size else 0.0


def judge(derived: float, pieces: Sequence[Piece], step: float, noise: float, tolerance: float) -> Judgement:
    """Compare a derived number with differences of the function, and then of its held forms.

    Where the function itself agrees, it is right. Where it does not, the form with every decision held tells: it is
    smooth, and away from kinks it is the same function, so a number that disagrees with it is wrong, and one that
    agrees was only disturbed by a kink within the step. A kink that could not be held is known by its two one-sided
    derivatives, which differ; the derived number must then lie between them.

    Args:
        derived: the number to judge.
        pieces: the function, then its held forms, the last the smoothest.
        step: the first step size.
        noise: the rounding error of a value.
        tolerance: the largest relative error allowed.
    """

    if derived == 0 and _is_flat(pieces[0].along, step):
        return Judgement(Finding.RIGHT, derived, Estimate(0.0, 0.0))

    def done(found: Estimate) -> bool:
        size, gap = abs(derived) + abs(found.number), abs(derived - found.number)
        if found.uncertainty <= 0.5 * tolerance * size and gap <= tolerance * size:
            return True
        return found.uncertainty <= _CLEAR * abs(found.number) and gap > 10 * found.uncertainty

    first: Judgement | None = None
    last: Judgement | None = None
    for piece in pieces:
        found = estimate(piece.along, step, noise, done)
        last = Judgement(_compare(derived, found, tolerance), derived, found)
        first = first or last
        if last.finding is Finding.RIGHT:
            closer = last if piece is pieces[0] else _closer(last, pieces[0].along, step, noise, tolerance)
            return closer or Judgement(piece.agrees, derived, found)
    assert first is not None
    assert last is not None
    if last.finding is Finding.WRONG:
        if _between_sides(derived, pieces[-1].along, step, noise, tolerance):
            return Judgement(Finding.KINK, derived, last.numeric)
        return last
    return Judgement(Finding.UNCLEAR, derived, first.numeric)


def _is_flat(along: Along, step: float) -> bool:
    """Tell whether both sides have exactly the same value, near and far, as for a unit that is off."""
    return all(along(step * factor) == along(-step * factor) for factor in (1.0, 1e-2, 1e-4))


def _compare(derived: float, found: Estimate, tolerance: float) -> Finding:
    if not math.isfinite(derived):
        return Finding.WRONG
    if not math.isfinite(found.uncertainty):
        return Finding.UNCLEAR
    size = abs(derived) + abs(found.number)
    if abs(derived - found.number) > tolerance * size + found.uncertainty:
        return Finding.WRONG
    return Finding.RIGHT if found.uncertainty <= _CLEAR * size or size == 0 else Finding.UNCLEAR


def _closer(held: Judgement, along: Along, step: float, noise: float, tolerance: float) -> Judgement | None:
    """Look at the function itself again, with small steps: the kink may lie beside the point."""

    def done(found: Estimate) -> bool:
        return _compare(held.derived, found, tolerance) is Finding.RIGHT

    found = estimate(along, step, noise, done, ladder=SMALL)
    return Judgement(Finding.RIGHT, held.derived, found) if done(found) else None


def _between_sides(derived: float, along: Along, step: float, noise: float, tolerance: float) -> bool:
    def done(found: Estimate) -> bool:
        return found.uncertainty <= 0.5 * tolerance * abs(found.number)

    sides = [estimate(along, step, noise, done, side) for side in (-1, 1)]
    low, high = sorted(sides, key=lambda side: side.number)
    gap = high.number - low.number
    doubt = low.uncertainty + high.uncertainty
    if not (math.isfinite(gap) and gap > 10 * doubt and gap > _CLEAR * abs(high.number)):
        return False
    return low.number - doubt <= derived <= high.number + doubt
