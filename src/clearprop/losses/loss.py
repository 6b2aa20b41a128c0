"""The loss contract, and the three quantities: loss (of a sample), cost (the mean), objective (cost + penalty)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from clearprop import ops
from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Type
from clearprop.ops import Tensor
from clearprop.settings import check_settings

Array = np.ndarray[Any, Any]


class Loss(ABC):
    """How far the network's output is from the target, for each sample.

    The network's output is taken before any final squashing (logits); `predict` applies it.

    Attributes:
        task: what targets are: "classification", "regression" (numbers), or "auto" where they say it themselves.
        probabilities: whether `predict` gives probabilities.
        answers: whether targets are answers, 0 or 1 for each output; 1 is said where `predict` gives more than 1/2.
    """

    task: ClassVar[str] = "auto"
    probabilities: ClassVar[bool] = False
    answers: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self)

    @abstractmethod
    def target_type(self, output: Type, given: Type) -> Type:
        """Return the type the target must have, from the output's and the given target's.

        Raises:
            ShapeError: no target like the given one fits the output; the message says what would.
        """

    def usual_target(self, output: Type) -> Type:
        """Return the type of the targets that an output usually meets: the output's own by default."""
        return output

    @abstractmethod
    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of every sample, of shape (n,)."""

    def residual(self, output: Tensor, target: Tensor) -> Tensor:
        """Write, for a loss that is a sum of squares, what is squared: (n, ...), per sample adding up to the loss.

        Raises:
            SettingsError: this loss is none.
        """
        raise SettingsError(
            f"{self!r} is no sum of squares, which Levenberg-Marquardt and Bayesian regularisation need: "
            "take SquaredError"
        )

    def predict(self, output: Tensor) -> Tensor:
        """Write what `Model.predict` gives from the network's output; the output itself by default."""
        return output

    def outputs_for(self, targets: int) -> int:
        """Return how many outputs a network has for so many numbers (or classes) a sample."""
        return targets

    def point(self, prediction: Array) -> Array:
        """Return of a prediction the numbers (n, targets) that stand for the targets: what metrics compare."""
        return prediction

    def in_units(self, prediction: Array, decode: Callable[[Array], Array]) -> Array:
        """Return a prediction in the units of a target that was standardised; decode undoes that for (n, targets)."""
        return decode(prediction)


class OutputLoss(Loss):
    """A loss of each output by itself; a sample's is their mean, or their sum.

    Subclasses have a field `over`, "mean" or "sum".
    """

    task: ClassVar[str] = "regression"
    over: str

    def target_type(self, output: Type, given: Type) -> Type:
        """The target has the output's shape; (n,) stands for (n, 1)."""
        return same_shape(self, output, given)

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each output, reduced over the outputs, of shape (n,)."""
        return over_outputs(self.per_output(output, target), self.over)

    @abstractmethod
    def per_output(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each output, of the output's shape."""


class ClassLoss(Loss):
    """A loss that asks which one of several classes; the outputs (n, ..., classes) are a score for each.

    The target is class indices (n, ...) or, where `soft`, probabilities of the output's shape too. The class that is
    predicted is the one of the highest number that `predict` gives.
    """

    task: ClassVar[str] = "classification"
    soft: ClassVar[bool] = True
    hard: ClassVar[bool] = True

    def target_type(self, output: Type, given: Type) -> Type:
        """Class indices (n, ...), or probabilities of the output's shape."""
        if output.rank < 2:
            raise ShapeError(f"{self.words} needs scores (n, classes), and the network gives {output}")
        if self.hard and not given.dtype.startswith("float") and given.shape == output.shape[:-1]:
            return Type("int64", output.shape[:-1])
        if self.soft and given.dtype.startswith("float") and given.shape == output.shape:
            return output
        indices = f"class indices {Type('int64', output.shape[:-1])}"
        wanted = " or ".join([indices] * self.hard + [f"probabilities {output}"] * self.soft)
        raise ShapeError(f"{self.words} of scores {output} takes {wanted}, received {given}{self._mend(output, given)}")

    def _mend(self, output: Type, given: Type) -> str:
        """Return the end of a message on a target that would fit in another shape or dtype; empty for others."""
        whole = not given.dtype.startswith("float")
        places = output.shape[:-1]
        if given.shape == output.shape and whole and output.shape[-1] != 1:
            return f": for one column a class, pass y.{'astype(float)' if self.soft else 'argmax(-1)'}"
        if not self.hard or given.shape not in (places, (*places, 1)):
            return ""
        words = "y" if given.shape == places else "y.ravel()" if len(places) == 1 else "y[..., 0]"
        words += "" if whole else ".astype(int)"
        return f": class indices are {'whole numbers' if given.shape == places else 'one a sample'}, pass {words}"

    def usual_target(self, output: Type) -> Type:
        """Class indices, if it takes them."""
        return Type("int64", output.shape[:-1]) if self.hard else output

    @property
    def words(self) -> str:
        """What the loss is called in messages."""
        return type(self).__name__


class BinaryLoss(OutputLoss):
    """A loss of questions that are answered by 0 or 1, one for each output. One of two classes is one question."""

    task: ClassVar[str] = "classification"
    answers: ClassVar[bool] = True

    def outputs_for(self, targets: int) -> int:
        """One output for each class, or one for two."""
        return 1 if targets <= 2 else targets


def same_shape(loss: Loss, output: Type, given: Type) -> Type:
    """Return the output's type as the target's; a target (n,) stands for (n, 1)."""
    if given.shape == output.shape or (output.shape[1:] == (1,) and given.shape == output.shape[:1]):
        return output
    raise ShapeError(
        f"{loss!r} compares an output {output} with a target of the same shape, received {given}; "
        "change the last layer's units or the target"
    )


def over_outputs(per_output: Tensor, over: str = "mean") -> Tensor:
    """Reduce the losses of a sample's outputs to one: their mean or their sum."""
    axes = tuple(range(1, per_output.rank))
    if not axes:
        return per_output
    return ops.mean(per_output, axes) if over == "mean" else ops.sum(per_output, axes)


def chosen_class(target: Tensor, scores: Tensor) -> Tensor:
    """Write which score (n, ..., classes) is that of the target's class: bool, of the scores' shape."""
    classes = ops.arange(scores.shape[-1], target.dtype)
    return ops.name(ops.reshape(target, (*target.shape, 1)) == classes, "hit")


def cost(per_sample: Tensor, weight: Tensor | None) -> Tensor:
    """Write the cost: (1/n) sum_i w_i loss_i over the batch, with w_i = 1 when there are no weights."""
    weighted = per_sample if weight is None else per_sample * weight
    return ops.mean(weighted)
