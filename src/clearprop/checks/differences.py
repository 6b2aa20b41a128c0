"""Numeric derivatives with an error bar: centred differences, extrapolated, over a ladder of step sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Along = Callable[[float], float]
"""The value of a function at an offset from where the derivative is taken."""

LADDER = (1.0, 0.1, 10.0, 1e-2, 100.0, 1e-3, 1e3, 1e-4, 1e-5, 1e-6)
"""Step sizes to try, as multiples of the first, the likeliest first."""

SMALL = (1e-2, 1e-4, 1e-5, 1e-6)
"""Step sizes that stay clear of a kink nearby, at the price of rounding."""


@dataclass(frozen=True)
class Estimate:
    """A derivative, and by how much it may be off."""

    number: float
    uncertainty: float


NOTHING = Estimate(math.nan, math.inf)


def estimate(
    along: Along,
    step: float,
    noise: float,
    done: Callable[[Estimate], bool],
    side: int = 0,
    ladder: Sequence[float] = LADDER,
) -> Estimate:
    """Estimate the derivative of a function at offset 0.

    With D(h) = (f(h) - f(-h)) / 2h, Richardson's R(h) = (4 D(h) - D(2h)) / 3 has an error of order h^4, and
    (16 R(h) - R(2h)) / 15 one of order h^6. The uncertainty is taken as |R(h) - R(2h)|, about fifteen times the error
    of R(h), plus that of rounding, 4 noise / h; where the two R differ by a tenth, h is too large for either to hold.

    Step sizes are tried until one estimate will do. If none does, the smallest step size is trusted first, and a
    larger one, which suffers less from rounding, as long as it agrees with those below it: beyond saturation or a
    kink, large steps agree with each other on something else.

    Args:
        along: the function.
        step: the first h.
        noise: the rounding error of a value of the function.
        done: tells whether an estimate will do.
        side: 0 for centred differences; 1 or -1 for those of that side only, whose errors are of order h^2 and h^3.
        ladder: the step sizes to try, as multiples of the first.

    Source: Richardson (1911); the error bar is Ridders' (1982), the choice of the step size Lepski's (1991).
    """
    found: dict[float, Estimate] = {}
    for factor in ladder:
        found[factor] = _extrapolated(along, step * factor, noise, side)
        if done(found[factor]):
            return found[factor]
    return _agreed([found[factor] for factor in sorted(found)])


def _agreed(rising: Sequence[Estimate]) -> Estimate:
    """Choose the most certain of the estimates that agree, from the smallest step size up."""
    best = NOTHING
    trusted: list[Estimate] = []
    for estimate in rising:
        if not math.isfinite(estimate.uncertainty):
            continue
        if any(abs(estimate.number - e.number) > 2 * (estimate.uncertainty + e.uncertainty) for e in trusted):
            break
        trusted.append(estimate)
        best = min(best, estimate, key=lambda e: e.uncertainty)
    return best


def _extrapolated(along: Along, h: float, noise: float, side: int) -> Estimate:
    quotients = [_quotient(along, h * width, side) for width in (4, 2, 1)]
    if not all(math.isfinite(quotient) for quotient in quotients):
        return NOTHING
    far, middle, near = quotients
    first, second = (1, 3) if side else (3, 15)
    coarse, fine = middle + (middle - far) / first, near + (near - middle) / first
    gap, rounding = abs(fine - coarse), 4 * noise / h
    if gap > 0.1 * abs(fine) and gap > rounding:
        return NOTHING
    return Estimate(fine + (fine - coarse) / second, gap + rounding)


def _quotient(along: Along, h: float, side: int) -> float:
    if side:
        return (along(side * h) - along(0.0)) / (side * h)
    return (along(h) - along(-h)) / (2 * h)
