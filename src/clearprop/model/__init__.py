"""Models: train them, ask them, keep them."""

from clearprop.model.generation import LENGTH, TEMPERATURE, TOP_K, TextGenerator, generate
from clearprop.model.loading import load
from clearprop.model.model import Model
from clearprop.model.rate_test import RateTest
from clearprop.model.run import Run

__all__ = ["LENGTH", "TEMPERATURE", "TOP_K", "Model", "RateTest", "Run", "TextGenerator", "generate", "load"]
