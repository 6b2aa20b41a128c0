"""Listeners that show how a fit goes: one live line in a terminal, plain lines in a pipe, a cell in a notebook."""

from clearprop.display.choice import MODES, progress
from clearprop.display.display import Display

__all__ = ["MODES", "Display", "progress"]
