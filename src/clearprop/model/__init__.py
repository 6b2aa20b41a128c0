"""Models: train them, ask them, keep them."""

from clearprop.model.loading import load
from clearprop.model.model import Model
from clearprop.model.rate_test import RateTest
from clearprop.model.run import Run

__all__ = ["Model", "RateTest", "Run", "load"]
