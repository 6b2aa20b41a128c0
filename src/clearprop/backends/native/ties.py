"""Values that are compared for equality, which every loop has to compute with the same roundings.

The derivative of a maximum asks which elements equal it. Where a loop computes those again, and there a product and a
sum become one FMA that were two operations in the loop of the maximum, no element might.
"""

from __future__ import annotations

from clearprop.backends.native.placing import is_placing
from clearprop.backends.native.preparation import ELEMENTWISE
from clearprop.backends.native.views import is_view
from clearprop.ir import Node, Program, Value, is_float

_COMPARING = ("max", "equal")


def compared(program: Program) -> frozenset[Value]:
    """Return the floats that a maximum or an equality depends on by elementwise work alone."""
    found: set[Value] = set()
    for node in reversed(program.nodes):
        if node.op in _COMPARING or (found.intersection(node.outputs) and _is_local(node)):
            found.update(value for value in node.inputs if is_float(value.type))
    return frozenset(found)


def _is_local(node: Node) -> bool:
    return node.op in ELEMENTWISE or node.op == "reshape" or is_view(node) or is_placing(node)
