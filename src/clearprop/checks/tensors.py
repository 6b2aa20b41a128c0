"""The gradient of one tensor against differences, entry by entry and along random directions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.backends.protocol import Executable
from clearprop.checks.differences import Along
from clearprop.checks.judgement import Finding, Judgement, Piece, judge
from clearprop.checks.report import TensorCheck, Worst

Array = np.ndarray[Any, Any]
_DIRECTIONS = 2
_COMPARED = (Finding.RIGHT, Finding.STOPPED, Finding.WRONG)


@dataclass(frozen=True)
class Form:
    """A form of the objective (as it is, or with decisions held), its inputs, and what agreement with it means."""

    run: Executable
    inputs: Mapping[str, Array]
    agrees: Finding = Finding.RIGHT


@dataclass(frozen=True)
class Checker:
    """Checks gradients of the outputs of one program at one point.

    Attributes:
        forms: the objective, then its held forms.
        noise: the rounding error of each output.
        epsilon, tolerance, max_entries, seed: see `check_objective`.
    """

    forms: Sequence[Form]
    noise: Mapping[str, float]
    epsilon: float
    tolerance: float
    max_entries: int
    seed: int

    @np.errstate(all="ignore")
    def tensor(self, name: str, derived: Mapping[str, Array]) -> list[TensorCheck]:
        """Check the gradient of some outputs by one input."""
        at = self.forms[0].inputs[name]
        misshapen = {output: gradient for output, gradient in derived.items() if gradient.shape != at.shape}
        checks = [_misshapen(output, name, at, gradient) for output, gradient in misshapen.items()]
        derived = {output: gradient for output, gradient in derived.items() if output not in misshapen}
        if not derived:
            return checks
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        entries = self._entries(next(iter(derived.values())), rng)
        found: dict[str, list[Judgement]] = {output: [] for output in derived}
        for entry in entries:
            numbers = {output: float(gradient.flat[entry]) for output, gradient in derived.items()}
            step = self.epsilon * max(1.0, abs(float(at.flat[entry])))
            self._judge_all(found, name, numbers, _one_entry(at, entry), step)
        sampled = len(entries) < at.size
        for _ in range(_DIRECTIONS if sampled else 0):
            signs = rng.choice([-1.0, 1.0], at.shape)
            numbers = {output: float(np.sum(gradient * signs)) for output, gradient in derived.items()}
            step = self.epsilon * max(1.0, float(np.sqrt(np.mean(np.square(at)))))
            self._judge_all(found, name, numbers, _direction(at, signs), step)
        places = [tuple(int(i) for i in np.unravel_index(entry, at.shape)) for entry in entries]
        return checks + [self._summary(output, name, at, places, judged) for output, judged in found.items()]

    def _entries(self, gradient: Array, rng: np.random.Generator) -> list[int]:
        """Every entry, or a sample of them with the one of the largest gradient."""
        if gradient.size <= self.max_entries:
            return list(range(gradient.size))
        drawn = rng.choice(gradient.size, self.max_entries, replace=False)
        drawn[0] = drawn[0] if (largest := int(np.argmax(np.abs(gradient)))) in drawn else largest
        return sorted(int(entry) for entry in drawn)

    def _judge_all(
        self,
        found: Mapping[str, list[Judgement]],
        name: str,
        numbers: Mapping[str, float],
        move: Callable[[float], Array],
        step: float,
    ) -> None:
        """Judge one derived number of each output; the outputs share the evaluations."""
        rays = [(_Ray(form, name, move), form.agrees) for form in self.forms]
        for output, number in numbers.items():
            pieces = [Piece(ray.along(output), agrees) for ray, agrees in rays]
            found[output].append(judge(number, pieces, step, self.noise[output], self.tolerance))

    def _summary(
        self, output: str, name: str, at: Array, places: Sequence[tuple[int, ...]], judged: Sequence[Judgement]
    ) -> TensorCheck:
        counts = {finding: sum(item.finding is finding for item in judged) for finding in Finding}
        entries = [item for item in judged[: len(places)] if item.finding in _COMPARED]
        directions = [item for item in judged[len(places) :] if item.finding in _COMPARED]
        worst = max(
            (i for i, item in enumerate(judged) if item.finding in _COMPARED),
            key=lambda i: (judged[i].finding is Finding.WRONG, _excess(judged[i])),
            default=None,
        )
        return TensorCheck(
            output,
            name,
            at.shape,
            _verdict(counts, len(judged)),
            max([self._norm_error(entries), *(item.error for item in directions)]),
            len(places),
            at.size,
            len(judged) - len(places),
            counts[Finding.KINK],
            counts[Finding.UNCLEAR],
            counts[Finding.STOPPED],
            None if worst is None else _worst(judged[worst], places[worst] if worst < len(places) else None),
            _hint(at.shape, entries) if counts[Finding.WRONG] else "",
        )

    def _norm_error(self, entries: Sequence[Judgement]) -> float:
        derived = np.array([item.derived for item in entries])
        numeric = np.array([item.numeric.number for item in entries])
        doubt = np.array([item.numeric.uncertainty for item in entries])
        if not np.isfinite(derived).all():
            return math.inf
        size = _norm(derived) + _norm(numeric)
        floor = _norm(doubt) / self.tolerance if np.isfinite(doubt).all() else 0.0
        return _norm(derived - numeric) / max(size, floor) if size else 0.0


class _Ray:
    """One form along one line through the point; a value that was computed is kept."""

    def __init__(self, form: Form, name: str, move: Callable[[float], Array]) -> None:
        self.form = form
        self.name = name
        self.move = move
        self.known: dict[float, dict[str, Array]] = {}

    def along(self, output: str) -> Along:
        def value(offset: float) -> float:
            if offset not in self.known:
                self.known[offset] = self.form.run({**self.form.inputs, self.name: self.move(offset)})
            return float(self.known[offset][output])

        return value


def _one_entry(at: Array, entry: int) -> Callable[[float], Array]:
    def move(offset: float) -> Array:
        moved = at.copy()
        moved.flat[entry] += offset
        return moved

    return move


def _direction(at: Array, signs: Array) -> Callable[[float], Array]:
    return lambda offset: at + offset * signs


def _misshapen(output: str, name: str, at: Array, gradient: Array) -> TensorCheck:
    hint = f"it has the shape {gradient.shape}, and the parameter {at.shape}"
    worst = Worst(None, math.nan, math.nan, math.nan)
    return TensorCheck(output, name, at.shape, "wrong", math.inf, 0, at.size, worst=worst, hint=hint)


def _verdict(counts: Mapping[Finding, int], total: int) -> str:
    if counts[Finding.WRONG]:
        return "wrong"
    if counts[Finding.RIGHT] or counts[Finding.STOPPED] or not total:
        return "right"
    return "not checked: kink" if counts[Finding.KINK] else "not checked: too small"


def _excess(item: Judgement) -> float:
    gap = abs(item.derived - item.numeric.number)
    return gap if math.isfinite(gap) else math.inf


def _worst(item: Judgement, index: tuple[int, ...] | None) -> Worst:
    return Worst(index, item.derived, item.numeric.number, item.numeric.uncertainty)


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values)) if values.size else 0.0


def _hint(shape: tuple[int, ...], entries: Sequence[Judgement]) -> str:
    """Say what the wrong entries have in common."""
    wrong = [item for item in entries if item.finding is Finding.WRONG]
    share = f"{len(wrong)} of {len(entries)} compared entries are wrong"
    if not wrong:
        return "the compared entries are right, and a random direction over all of them is not: others are wrong"
    if not all(math.isfinite(item.derived) for item in wrong):
        return f"{share}: some are not finite. A root, a logarithm or a quotient is taken at 0: keep it away from 0"
    if not any(item.derived for item in wrong):
        return f"{share}: all are 0. Does a stop_gradient, a conversion to integers or a vjp's None cut the flow?"
    if _is_transpose(shape, entries):
        return f"{share}: it is the transpose of the right one"
    ratios = [item.derived / item.numeric.number for item in wrong if item.numeric.number]
    factor = float(np.median(ratios)) if ratios else math.nan
    if len(ratios) < 2 or not factor or not max(abs(ratio / factor - 1) for ratio in ratios) < 1e-3:
        return share
    if abs(factor + 1) < 1e-3:
        return f"{share}: each has the opposite sign"
    return f"{share}: each is {factor:.4g} times what it should be"


def _is_transpose(shape: tuple[int, ...], entries: Sequence[Judgement]) -> bool:
    if len(shape) != 2 or shape[0] != shape[1] or len(entries) != shape[0] ** 2 or shape[0] < 2:
        return False
    derived = np.array([item.derived for item in entries]).reshape(shape)
    numeric = np.array([item.numeric.number for item in entries]).reshape(shape)
    return _norm(derived.T - numeric) < 1e-3 * _norm(numeric)
