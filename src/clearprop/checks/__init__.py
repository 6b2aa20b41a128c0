"""Checks of a model: is its gradient right?"""

from clearprop.checks.gradients import check_gradients, check_objective
from clearprop.checks.report import GradientReport, TensorCheck, Worst, WrongGradientError

__all__ = ["GradientReport", "TensorCheck", "Worst", "WrongGradientError", "check_gradients", "check_objective"]
