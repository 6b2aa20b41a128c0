"""The rewriters of this backend, in the order in which they go over a program before it is cut into kernels."""

from __future__ import annotations

from clearprop.backends.native.depthwise import with_contractions
from clearprop.backends.native.narrow import with_wide_columns
from clearprop.backends.native.pooling import InWindows, in_windows
from clearprop.backends.native.repeating import computed_again
from clearprop.backends.native.targets import Target
from clearprop.ir import Program


def rewritten(program: Program, target: Target) -> InWindows:
    """Return a program in the form that makes the fastest kernels."""
    moved = in_windows(with_contractions(program))
    return computed_again(InWindows(with_wide_columns(moved.program, target), moved.late))
