"""What a module has beside its kernels: arrays of constants, and the functions that kernels call."""

from __future__ import annotations

from collections.abc import Set

from clearprop.backends.native.emitter import literal
from clearprop.backends.native.functions import define
from clearprop.backends.native.random_bits import define_philox
from clearprop.backends.native.regions import memory_type
from clearprop.backends.native.targets import Target
from clearprop.ir import Node


def write_library(uses: Set[tuple[str, str, int]], target: Target) -> tuple[list[str], set[str]]:
    """Return the texts of functions by name, dtype and lanes, and what they declare."""
    texts, declares = [], set()
    for name, dtype, lanes in sorted(uses):
        if name == "random_bits":
            text, more = define_philox(lanes)
        else:
            text, more = define(name, dtype, lanes, target.name)
        texts.append(text)
        declares |= more
    return texts, declares


def write_constant(name: str, node: Node) -> str:
    """Return an array of constants as a global of a name."""
    numbers = node.attrs["value"]
    assert isinstance(numbers, tuple)
    type_ = node.outputs[0].type
    item = memory_type(type_.dtype)
    items = ", ".join(f"{item} {_in_memory(number, type_.dtype)}" for number in numbers)
    return f"{name} = private constant [{len(numbers)} x {item}] [{items}], align 64\n"


def _in_memory(number: object, dtype: str) -> str:
    assert isinstance(number, (bool, int, float))
    return str(int(number)) if dtype == "bool" else literal(number, dtype)
