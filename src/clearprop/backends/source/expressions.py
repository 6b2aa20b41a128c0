"""Expressions: what a node's record says in NumPy, with its operands and attributes put in.

An expression may be smaller than the value it stands for: NumPy broadcasts by itself, so a number that fills an
array stays a number until something needs the whole array (`full`).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from clearprop.errors import ProgramError
from clearprop.ir import DTYPES, Attribute, Batch, Dim, Node, Program, Shape, Type
from clearprop.ops import OpDef, primitive
from clearprop.ops.tensor import broadcast_shapes

MARK = "%"
"""Leads the name of a value in an expression, so that it is never taken for np or a helper."""

WIDTH = 100
"""How long a line may be."""

_LARGEST_PLAIN_INTEGER = 2**20
_OPERAND = r"%?\w[\w.]*"
_DIGITS = r"\d+(?:\.\d+)?"
_POWER = re.compile(
    rf"(?<![\w.)\]%])({_OPERAND}) \*\* (?:({_OPERAND})(?![\w.(\[])|\((-{_DIGITS})\)|(-{_DIGITS})(?![\w.]))"
)


@dataclass(frozen=True)
class Expression:
    """An expression and what it evaluates to.

    Attributes:
        tree: the expression; names of values are led by MARK.
        dtype: of the value it stands for.
        shape: of what it evaluates to, which broadcasts to the shape of the value it stands for.
        weak: whether it is a Python number, which takes the dtype of the array it meets.
    """

    tree: ast.expr
    dtype: str
    shape: Shape = ()
    weak: bool = False

    @property
    def weight(self) -> int:
        """How many operations a reader has to follow; np.float32(...) is none."""
        return sum(_is_operation(part) for part in ast.walk(self.tree))


def _is_operation(tree: ast.AST) -> bool:
    if isinstance(tree, ast.Call):
        return not (isinstance(tree.func, ast.Attribute) and tree.func.attr in DTYPES)
    return isinstance(tree, (ast.BinOp, ast.Compare))


@dataclass(frozen=True)
class Application:
    """A node with the expressions of its operands."""

    node: Node
    operands: tuple[Expression, ...]

    @property
    def type(self) -> Type:
        """The type of the result."""
        return self.node.outputs[0].type

    @property
    def operation(self) -> OpDef:
        """The record of the primitive."""
        return primitive(self.node.op)

    def result(self, tree: ast.expr, shape: Shape | None = None) -> Expression:
        """Return the result's expression; its shape is the node's when None."""
        return Expression(tree, self.type.dtype, self.type.shape if shape is None else shape)

    def dims(self, attribute: str) -> Shape:
        """Return an attribute that is a tuple of dimensions."""
        return as_dims(self.node.attrs[attribute])


def as_dims(attribute: Attribute) -> Shape:
    """Return an attribute that is a tuple of dimensions; `ProgramError` for another one."""
    if not isinstance(attribute, tuple):
        raise ProgramError(f"expected a tuple of dimensions, received {attribute!r}")
    dims: list[Dim] = []
    for item in attribute:
        if not isinstance(item, (int, Batch)):
            raise ProgramError(f"expected a tuple of dimensions, received {attribute!r}")
        dims.append(item)
    return tuple(dims)


def unparse(tree: ast.expr) -> str:
    """Return the text of an expression; the power of two short operands is written without blanks."""
    return _POWER.sub(r"\1**\2\3\4", ast.unparse(tree))


# -- writing a node --------------------------------------------------------------------------------------------


def plain(application: Application) -> Expression:
    """Write a node as its record says, every operand whole."""
    inputs = application.node.inputs
    operands = [full(x, value.type.shape) for x, value in zip(application.operands, inputs, strict=True)]
    return application.result(substitute(application, operands))


def elementwise(application: Application) -> Expression:
    """Write an elementwise node; NumPy broadcasts its operands."""
    operands = list(application.operands)
    first = 1 if application.node.op == "where" else 0
    if all(x.weak for x in operands[first:]):
        operands[first] = strong(operands[first])
    shape: Shape = ()
    for x in operands:
        shape = broadcast_shapes(shape, x.shape)
    return application.result(substitute(application, [x.tree for x in operands]), shape)


def substitute(application: Application, operands: Sequence[ast.expr]) -> ast.expr:
    """Return the record's NumPy text with operands for x0, x1 ... and literals for the attributes."""
    names: dict[str, ast.expr] = {f"x{i}": tree for i, tree in enumerate(operands)}
    names["inputs"] = ast.Tuple(list(operands), ast.Load())
    for key, attribute in application.node.attrs.items():
        is_dtype = key == "dtype" and isinstance(attribute, str)
        if isinstance(attribute, Program):
            names[key] = name(MARK + body_name(application.node))
        else:
            names[key] = numpy_name(str(attribute)) if is_dtype else literal(attribute)
    return put_in(_parsed(application.operation.numpy), names)


def body_name(node: Node) -> str:
    """Return what the body of a loop is known by among the names of values."""
    return f"{node.outputs[0].name}.body"


def put_in(tree: ast.expr, names: Mapping[str, ast.expr]) -> ast.expr:
    """Return a copy of an expression with other expressions in the place of names."""
    copy: ast.expr = _Substitution(names).visit(tree)
    return copy


class _Substitution(ast.NodeTransformer):
    """Copies a tree with other expressions in the place of names."""

    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._names.get(node.id, node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        return super().generic_visit(_copy(node))


def _copy(node: ast.AST) -> ast.AST:
    fields = {key: list(value) if isinstance(value, list) else value for key, value in ast.iter_fields(node)}
    return type(node)(**fields)


@cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


# -- pieces of syntax ------------------------------------------------------------------------------------------


def name(identifier: str) -> ast.expr:
    """A name."""
    return ast.Name(identifier, ast.Load())


def numpy_name(attribute: str) -> ast.expr:
    """np.attribute."""
    return ast.Attribute(name("np"), attribute, ast.Load())


def numpy_call(function: str, *arguments: ast.expr, **keywords: ast.expr) -> ast.expr:
    """np.function(arguments)."""
    pairs = [ast.keyword(key, value) for key, value in keywords.items()]
    return ast.Call(numpy_name(function), list(arguments), pairs)


def literal(attribute: Attribute) -> ast.expr:
    """Return an attribute's value as it is written."""
    if isinstance(attribute, tuple):
        return ast.Tuple([literal(item) for item in attribute], ast.Load())
    if isinstance(attribute, Batch):
        batch = name("n")
        return batch if attribute.scale == 1 else ast.BinOp(literal(attribute.scale), ast.Mult(), batch)
    if isinstance(attribute, bool) or not isinstance(attribute, (int, float, str)):
        if not isinstance(attribute, bool):
            raise ProgramError(f"the source of {attribute!r} as an attribute is not known")
        return ast.Constant(attribute)
    if isinstance(attribute, str):
        return ast.Constant(attribute)
    return _number(attribute)


def _number(number: int | float) -> ast.expr:
    if math.isnan(number):
        return numpy_name("nan")
    if math.copysign(1, number) < 0:
        return ast.UnaryOp(ast.USub(), _number(-number))
    return numpy_name("inf") if math.isinf(number) else ast.Constant(number)


def number_literal(number: bool | int | float, dtype: str) -> ast.expr:
    """Return the shortest literal that becomes this number in this dtype: 0.1 for float32(0.1), 1 for 1.0."""
    if not dtype.startswith("float") or not math.isfinite(number) or number == 0 > math.copysign(1, number):
        return literal(number)
    if math.copysign(1, number) < 0:
        return ast.UnaryOp(ast.USub(), number_literal(-number, dtype))
    if float(number).is_integer() and number < _LARGEST_PLAIN_INTEGER:
        return literal(int(number))
    mantissa, exponent = math.frexp(number)
    if mantissa == 0.5 and exponent < -9:
        return ast.BinOp(ast.Constant(2.0), ast.Pow(), literal(exponent - 1))
    short = float(str(np.float32(number))) if dtype == "float32" else number
    return literal(short if np.float32(short) == np.float32(number) else float(number))


def number_of(expression: Expression) -> object:
    """Return the Python number an expression writes out, or None."""
    return ast.literal_eval(expression.tree) if _is_literal(expression.tree) else None


def _is_literal(tree: ast.expr) -> bool:
    return isinstance(tree.operand if isinstance(tree, ast.UnaryOp) else tree, ast.Constant)


def shape_literal(shape: Shape) -> ast.expr:
    """Return a shape as np.zeros takes it: a number for one dimension, else a tuple."""
    return literal(shape[0]) if len(shape) == 1 else literal(shape)


# -- from a small expression to a whole array ------------------------------------------------------------------


def strong(expression: Expression) -> Expression:
    """Return the expression with its dtype fixed: np.float32(0.5) for 0.5."""
    if not expression.weak:
        return expression
    return Expression(numpy_call(expression.dtype, expression.tree), expression.dtype, expression.shape)


def full(expression: Expression, shape: Shape) -> ast.expr:
    """Return an expression that evaluates to an array of the whole shape."""
    if expression.shape == shape:
        return strong(expression).tree
    if expression.shape:
        return numpy_call("broadcast_to", expression.tree, literal(shape))
    if not expression.weak:
        return numpy_call("full", shape_literal(shape), expression.tree)
    number = number_of(expression)
    dtype = {"dtype": numpy_name(expression.dtype)}
    if number in (0, 1) and not isinstance(number, bool) and not isinstance(expression.tree, ast.UnaryOp):
        filled = "ones" if number else "zeros"
        return numpy_call(filled, shape_literal(shape), **({} if expression.dtype == "float64" else dtype))
    return numpy_call("full", shape_literal(shape), expression.tree, **dtype)
