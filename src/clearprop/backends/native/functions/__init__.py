"""Vector functions, each written once for float32 and float64 and any width."""

from clearprop.backends.native.functions.library import FUNCTIONS, define, function

__all__ = ["FUNCTIONS", "define", "function"]
