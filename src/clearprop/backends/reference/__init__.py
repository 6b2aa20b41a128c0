"""The NumPy evaluator: readable first, the oracle of every other backend."""

from clearprop.backends.reference.evaluate import Reference, ReferenceExecutable

__all__ = ["Reference", "ReferenceExecutable"]
