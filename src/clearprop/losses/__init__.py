"""Losses: what training makes small. They write programs and never run them."""

from collections.abc import Callable
from typing import cast

from clearprop.description import choose
from clearprop.losses.cross_entropy import (
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Focal,
    KLDivergence,
    NegativeLogLikelihood,
)
from clearprop.losses.distributions import DistributionLoss, GaussianLikelihood, Quantile
from clearprop.losses.function import FunctionLoss
from clearprop.losses.loss import BinaryLoss, ClassLoss, Loss, OutputLoss, cost
from clearprop.losses.margins import Hinge, MultiLabelMargin, MultiMargin, SquaredHinge
from clearprop.losses.pairs import Contrastive, CosineEmbedding, ItemsLoss, MarginRanking, Triplet
from clearprop.losses.regression import AbsoluteError, Huber, LogCosh, Poisson, SmoothL1, SquaredError
from clearprop.ops import Tensor

LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "smooth_l1": SmoothL1,
    "log_cosh": LogCosh,
    "quantile": Quantile,
    "gaussian_likelihood": GaussianLikelihood,
    "poisson": Poisson,
    "cross_entropy": CrossEntropy,
    "kl_divergence": KLDivergence,
    "negative_log_likelihood": NegativeLogLikelihood,
    "focal": Focal,
    "multi_margin": MultiMargin,
    "binary_cross_entropy": BinaryCrossEntropy,
    "binary_focal": BinaryFocal,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "multi_label_margin": MultiLabelMargin,
    "cosine_embedding": CosineEmbedding,
    "margin_ranking": MarginRanking,
    "triplet": Triplet,
    "contrastive": Contrastive,
}
"""The losses by name; `FunctionLoss` has none, since it needs a function."""


def loss(choice: str | Loss | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Return the loss of a name, one as it is, and one that a function of (output, target) makes."""
    if isinstance(choice, str | Loss | type):
        return choose(cast("str | Loss", choice), Loss, LOSSES, "loss")
    return FunctionLoss(choice)


__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BinaryCrossEntropy",
    "BinaryFocal",
    "BinaryLoss",
    "ClassLoss",
    "Contrastive",
    "CosineEmbedding",
    "CrossEntropy",
    "DistributionLoss",
    "Focal",
    "FunctionLoss",
    "GaussianLikelihood",
    "Hinge",
    "Huber",
    "ItemsLoss",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MarginRanking",
    "MultiLabelMargin",
    "MultiMargin",
    "NegativeLogLikelihood",
    "OutputLoss",
    "Poisson",
    "Quantile",
    "SmoothL1",
    "SquaredError",
    "SquaredHinge",
    "Triplet",
    "cost",
    "loss",
]
