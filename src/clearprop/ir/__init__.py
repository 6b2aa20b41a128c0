"""Typed programs in static single assignment form: data only, no arithmetic.

Grammar::

    program := name, inputs, nodes, outputs
    inputs  := value*                        each a name and a type
    node    := value* = op(value*; attr*)    arrays are positional, metadata are keywords
    outputs := (name, value)*
    type    := dtype[dim, ...]               dim := integer | n | k n     n is the batch, known at run time

Every value is assigned exactly once, before it is used. `verify` checks this and the types; `to_text` and
`parse` are inverse to each other.
"""

from clearprop.ir.builder import Builder, Scope, rename
from clearprop.ir.program import Attribute, Node, Note, Program, Value
from clearprop.ir.text import node_text, parse, to_text
from clearprop.ir.types import DTYPES, Batch, Dim, Shape, Type, dims_product, is_float, resolve_shape
from clearprop.ir.verify import verify, verify_batch

__all__ = [
    "DTYPES",
    "Attribute",
    "Batch",
    "Builder",
    "Dim",
    "Node",
    "Note",
    "Program",
    "Scope",
    "Shape",
    "Type",
    "Value",
    "dims_product",
    "is_float",
    "node_text",
    "parse",
    "rename",
    "resolve_shape",
    "to_text",
    "verify",
    "verify_batch",
]
