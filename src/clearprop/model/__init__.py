"""Models: train them, ask them, keep them."""

from clearprop.model.generation import TextGenerator, generate
from clearprop.model.loading import load
from clearprop.model.model import Model
from clearprop.model.rate_test import RateTest
from clearprop.model.run import Run

__all__ = ["Model", "RateTest", "Run", "TextGenerator", "generate", "load"]
