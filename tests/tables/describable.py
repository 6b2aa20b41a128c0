"""Every describable class of the package, found by itself: concrete layers, losses, optimisers and their kin."""

from __future__ import annotations

import inspect
from typing import Any

from clearprop import losses, nn, optim
from clearprop.model.loading import DESCRIBABLE

CONTRACTS = (optim.Wrapper, optim.WholeBatch, optim.SciPyMinimizer)
"""Bases that no method marks as abstract."""
NAMED: list[tuple[str, Any]] = [
    (name, thing)
    for module in (nn, losses, optim)
    for name in module.__all__
    if inspect.isclass(thing := getattr(module, name)) and issubclass(thing, DESCRIBABLE)
]
KNOWN: dict[str, Any] = {name: thing for name, thing in NAMED if not (inspect.isabstract(thing) or thing in CONTRACTS)}
