"""Losses of several items a sample: the network gives a vector, or a score, for each.

A sample holds k items: x is (n, k, features), and since layers work on the last axis, the output is (n, k, d), the same
network for each item. Targets are one number a sample, 1 for yes and 0 (or -1) for no.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.ir import Type
from clearprop.losses.loss import Loss
from clearprop.ops import Tensor
from clearprop.settings import real


class ItemsLoss(Loss):
    """A loss of `items` vectors a sample, outputs (n, items, d), and one number a sample as the target."""

    items: ClassVar[int] = 2

    def target_type(self, output: Type, given: Type) -> Type:
        """A target (n,) for outputs (n, items, d); (n, 1) stands for (n,)."""
        if output.rank != 3 or output.shape[1] != self.items:
            raise ShapeError(
                f"{self!r} compares {self.items} items a sample, outputs (n, {self.items}, d), and the network gives "
                f"{output}; give samples of shape ({self.items}, features)"
            )
        wanted = self.usual_target(output)
        if given.shape not in (wanted.shape, (*wanted.shape, 1)):
            raise ShapeError(f"{self!r} takes one number a sample as the target, {wanted}, received {given}")
        return wanted

    def usual_target(self, output: Type) -> Type:
        """A target (n,)."""
        return output.with_shape(output.shape[:1])

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write the loss of every sample, of shape (n,)."""
        return self.of_items(*(output[:, item] for item in range(self.items)), target=target)

    @abstractmethod
    def of_items(self, *items: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each sample from its items, each (n, d)."""


@dataclass(frozen=True)
class CosineEmbedding(ItemsLoss):
    """1 - cos(u, v) for pairs that belong together (target 1), else max(0, cos(u, v) - margin).

    The cosine with a zero vector is 0.
    """

    margin: float = real(0.0, "[-1, 1)")

    def of_items(self, *items: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each pair."""
        u, v = items
        sizes = ops.norm(u, -1) * ops.norm(v, -1)
        cosine = ops.sum(u * v, -1) / ops.where(sizes > 0.0, sizes, 1.0)
        return ops.where(target > 0.0, 1.0 - cosine, ops.maximum(cosine - self.margin, 0.0))


@dataclass(frozen=True)
class MarginRanking(ItemsLoss):
    """max(0, margin - s (u - v)) for two scores, with s = 1 where the first should be higher (target 1), else -1."""

    margin: float = real(0.0, "[0, inf)")

    def of_items(self, *items: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each pair of scores; of several scores an item, the mean."""
        u, v = items
        sign = 2.0 * ops.astype(ops.reshape(target, (-1, 1)) > 0.0, u.dtype) - 1.0
        return ops.mean(ops.maximum(self.margin - sign * (u - v), 0.0), -1)


@dataclass(frozen=True)
class Triplet(ItemsLoss):
    """max(0, margin + |a - p| - |a - q|) for an anchor a, one like it, p, and one unlike it, q; the norm is Euclidean.

    There is nothing to ask beyond the order of the items: the target is not used, give zeros. Source: Schroff et al.
    (2015), with distances that are not squared, as in PyTorch.
    """

    items: ClassVar[int] = 3
    margin: float = real(1.0, "[0, inf)")

    def of_items(self, *items: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each triplet."""
        anchor, like, unlike = items
        gap = ops.norm(anchor - like, -1) - ops.norm(anchor - unlike, -1)
        return ops.maximum(self.margin + gap, 0.0)


@dataclass(frozen=True)
class Contrastive(ItemsLoss):
    """|u - v|^2 / 2 for pairs that belong together (target 1), else max(0, margin - |u - v|)^2 / 2.

    Source: Hadsell, Chopra and LeCun (2006), whose target is 0 for pairs that belong together.
    """

    margin: float = real(1.0, "(0, inf)")

    def of_items(self, *items: Tensor, target: Tensor) -> Tensor:
        """Write the loss of each pair."""
        u, v = items
        apart = ops.square(ops.maximum(self.margin - ops.norm(u - v, -1), 0.0))
        return 0.5 * ops.where(target > 0.0, ops.sum(ops.square(u - v), -1), apart)
