"""Passes: programs in, smaller programs of the same meaning out."""

from clearprop.passes.dedupe import dedupe
from clearprop.passes.drop_dead import drop_dead
from clearprop.passes.fold_constants import fold_constants
from clearprop.passes.hoist import hoist
from clearprop.passes.pick_late import pick_late
from clearprop.passes.pipeline import PASSES, Pass, optimize
from clearprop.passes.precompute import precompute
from clearprop.passes.simplify import simplify
from clearprop.passes.unroll import unroll

__all__ = [
    "PASSES",
    "Pass",
    "dedupe",
    "drop_dead",
    "fold_constants",
    "hoist",
    "optimize",
    "pick_late",
    "precompute",
    "simplify",
    "unroll",
]
