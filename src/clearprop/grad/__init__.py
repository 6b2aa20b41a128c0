"""Derivatives of programs as programs."""

from clearprop.grad.derive import derive, replay

__all__ = ["derive", "replay"]
