"""What a gradient check found, as a table that reads by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clearprop.errors import ClearpropError


class WrongGradientError(ClearpropError, AssertionError):
    """A derived gradient is not the derivative; the message holds the evidence and where to look."""


@dataclass(frozen=True)
class Worst:
    """The entry (or, when `index` is None, the random direction) that disagrees most."""

    index: tuple[int, ...] | None
    derived: float
    numeric: float
    uncertainty: float

    def __str__(self) -> str:
        place = "along a random direction" if self.index is None else f"at {list(self.index)}"
        return (
            f"{place} the derived value is {self.derived:.9g}, "
            f"and differences give {self.numeric:.9g} (give or take {self.uncertainty:.0e})"
        )


@dataclass(frozen=True)
class TensorCheck:
    """What was found of one gradient: that of `output` (cost or penalty) by the parameter `name`.

    Attributes:
        output, name: of what, by what.
        shape: the parameter's shape.
        verdict: "right", "wrong", "not checked: kink" or "not checked: too small".
        error: norm(derived - numeric) / (norm(derived) + norm(numeric)) over the entries compared, where the
            denominator is at least the norm of the differences' own uncertainty over the tolerance; the relative
            error of a random direction where that is larger.
        entries: how many entries were looked at, of `size`.
        directions: how many random directions, which cover every entry.
        kinks: entries and directions set aside, because the function has a kink within the smallest useful step.
        too_small: entries and directions set aside, because differences cannot tell the number from rounding.
        stopped: entries and directions that agree only with what stop_gradient keeps constant held constant.
        worst: the one that disagrees most, if any was compared.
        hint: what a wrong gradient looks like.
    """

    output: str
    name: str
    shape: tuple[int, ...]
    verdict: str
    error: float
    entries: int
    size: int
    directions: int = 0
    kinks: int = 0
    too_small: int = 0
    stopped: int = 0
    worst: Worst | None = None
    hint: str = ""

    @property
    def layer(self) -> str:
        """The layer that the parameter belongs to; empty if it has none."""
        return self.name.rpartition(".")[0]


@dataclass(frozen=True)
class GradientReport:
    """The gradient of an objective against differences of its values, tensor by tensor.

    Attributes:
        tensors: one entry for each output and each parameter that it depends on.
        tolerance: the largest relative error allowed.
        suspects: when something is wrong, the operations whose own derivative is wrong at this point, the one
            nearest to the loss first, each with its layer and its numbers.
        left_out: parameters that were not asked for (the frozen ones).
        failure: why there is no gradient at all, if there is none.
    """

    tensors: tuple[TensorCheck, ...]
    tolerance: float
    suspects: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())
    failure: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; what was not checked does not count against it, but the table says so."""
        return not self.failure and not self.wrong

    @property
    def wrong(self) -> tuple[TensorCheck, ...]:
        """The tensors whose gradient is wrong."""
        return tuple(tensor for tensor in self.tensors if tensor.verdict == "wrong")

    @property
    def worst(self) -> float:
        """The largest error of all tensors; 0 if there is none."""
        return max((tensor.error for tensor in self.tensors), default=0.0)

    def raise_if_wrong(self) -> None:
        """Raise `WrongGradientError`, with the whole report as its message, unless everything is right."""
        if not self.ok:
            raise WrongGradientError(str(self))

    def __str__(self) -> str:
        verdict = "right" if self.ok else "wrong"
        lines = [f"gradient check: {verdict} (largest relative error {self.worst:.1e}, at most {self.tolerance:.0e})"]
        if self.tensors:
            lines += ["", *_table([_HEAD, *(_row(tensor) for tensor in self.tensors)])]
        lines += self._remarks()
        if not self.ok:
            lines += ["", *self._evidence()]
        return "\n".join(lines)

    def _remarks(self) -> list[str]:
        remarks = []
        if any(tensor.kinks for tensor in self.tensors):
            remarks.append("at kinks: not differentiable there; the derived value is that of the side it lies on")
        if any(tensor.too_small for tensor in self.tensors):
            remarks.append("too small: differences cannot tell these from rounding; they are consistent with it")
        if any(tensor.stopped for tensor in self.tensors):
            count = sum(tensor.stopped for tensor in self.tensors)
            remarks.append(f"{count} value(s) agree only with what stop_gradient keeps constant held, as it asks")
        if self.left_out:
            remarks.append(f"left out: {', '.join(self.left_out)}")
        return ["", *remarks] if remarks else []

    def _evidence(self) -> list[str]:
        lines = [self.failure] if self.failure else []
        for tensor in self.wrong:
            layer = f" (layer {tensor.layer})" if tensor.layer else ""
            lines.append(f"the gradient of the {tensor.output} by {tensor.name}{layer} is wrong: {tensor.worst}")
            lines += [f"  {tensor.hint}"] if tensor.hint else []
        if self.suspects:
            lines += ["", "what to look at: these operations' own derivatives (vjp) are wrong here"]
            return lines + [f"  {suspect}" for suspect in self.suspects]
        return [
            *lines,
            "",
            "what to look at: each operation's own derivative (vjp) is right here, so look at what puts them together: "
            "how cotangents are added up (clearprop.grad), the passes, the backend",
        ]


_HEAD = ("of", "by", "shape", "verdict", "error", "compared", "at kinks", "too small")


def _row(tensor: TensorCheck) -> tuple[str, ...]:
    directions = f" + {tensor.directions} directions" if tensor.directions else ""
    shape = "(" + ", ".join(map(str, tensor.shape)) + ("," if len(tensor.shape) == 1 else "") + ")"
    return (
        tensor.output,
        tensor.name,
        shape,
        tensor.verdict,
        f"{tensor.error:.1e}",
        f"{tensor.entries:,} of {tensor.size:,}{directions}",
        str(tensor.kinks or ""),
        str(tensor.too_small or ""),
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
