"""Statements: which values of a program get a line of their own, and which are written into another line.

A value has its own line when a reader knows it by name (z, a, delta, dW ...), when it is an output, when several
lines use it, or when the line that uses it would become hard to read.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from clearprop.backends.source.expressions import (
    MARK,
    WIDTH,
    Application,
    Expression,
    full,
    name,
    strong,
    unparse,
)
from clearprop.backends.source.rules import write
from clearprop.ir import Node, Note, Program, Value
from clearprop.ops import PRIMITIVES

_LONGEST = 72
_LONGEST_LINE = WIDTH - len("    " + " = ")
_HEAVIEST = 8
_SHORT = 32
_TWICE_IS_ONCE = ("add", "multiply")


@dataclass(frozen=True, eq=False)
class Statement:
    """One line: a value and the expression that computes it; names of values are led by MARK.

    Attributes:
        value: what is assigned.
        tree: the expression.
        known: whether a reader knows the value by its name.
        whole: the node of which the value stands for all that it gives, or None.
    """

    value: Value
    tree: ast.expr
    known: bool
    whole: Node | None = None

    @property
    def note(self) -> Note:
        """The layer and the quantity of the value."""
        return self.value.note

    @property
    def body(self) -> Program | None:
        """The body of the node, if it is a loop."""
        attributes = () if self.whole is None else self.whole.attrs.values()
        bodies = [item for item in attributes if isinstance(item, Program)]
        return bodies[0] if bodies else None

    def uses(self) -> set[str]:
        """The names of the values in the expression."""
        return names_in(self.tree)


def names_in(tree: ast.AST) -> set[str]:
    """Return the names of values in a tree, without MARK."""
    names = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}
    return {item.removeprefix(MARK) for item in names if item.startswith(MARK)}


def write_statements(program: Program) -> list[Statement]:
    """Return the lines of a program, each after those it uses; what no output needs is left out."""
    return _Writer(program).statements


class _Writer:
    """Goes over the nodes once, holding an expression for every value so far."""

    def __init__(self, program: Program) -> None:
        self.statements: list[Statement] = []
        self._expressions = {value: _reference(value) for value in program.inputs}
        self._outputs = {value: name for name, value in program.outputs}
        nodes = _needed(program)
        self._uses = _count_uses(nodes)
        for node in nodes:
            self._write(node)

    def _write(self, node: Node) -> None:
        if len(node.outputs) > 1 or any(isinstance(attribute, Program) for attribute in node.attrs.values()):
            self._write_several(node)
            return
        (value,) = node.outputs
        expression = self._compose(node)
        while self._too_much(value, expression) and (longest := self._longest_operand(node)) is not None:
            self._assign(longest, known=False)
            expression = self._compose(node)
        self._express(value, expression)

    def _express(self, value: Value, expression: Expression) -> None:
        self._expressions[value] = expression
        known = is_known(value)
        if known or value in self._outputs or (self._uses[value] > 1 and not _trivial(expression)):
            self._assign(value, known)

    def _write_several(self, node: Node) -> None:
        """Give a line to all that a node gives, and take its results out of that."""
        first = node.outputs[0]
        everything = Value(f"{first.name}.all", first.type, first.note)
        for value in node.inputs:
            if self._expressions[value].weight:
                self._assign(value, known=False)
        self.statements.append(Statement(everything, self._compose(node).tree, known=False, whole=node))
        for place, value in enumerate(node.outputs):
            tree = ast.Subscript(name(MARK + everything.name), ast.Constant(place), ast.Load())
            self._express(value, Expression(tree, value.type.dtype, value.type.shape))

    def _compose(self, node: Node) -> Expression:
        return write(Application(node, tuple(self._expressions[value] for value in node.inputs)))

    def _longest_operand(self, node: Node) -> Value | None:
        """Return the operand with the longest text that may still get a line of its own."""
        texts = {value: len(unparse(self._expressions[value].tree)) for value in node.inputs}
        texts = {
            value: length
            for value, length in texts.items()
            if self._expressions[value].weight > 1 or (length > _SHORT and self._expressions[value].weight)
        }
        return max(texts, key=lambda value: texts[value]) if texts else None

    def _too_much(self, value: Value, expression: Expression) -> bool:
        limit = _LONGEST
        if is_known(value) or value in self._outputs:
            limit = _LONGEST_LINE - max(len(value.name), len(f"{self._outputs.get(value, '')}_new"))
        return expression.weight > _HEAVIEST or len(unparse(expression.tree)) > limit

    def _assign(self, value: Value, known: bool) -> None:
        expression = self._expressions[value]
        if known or value in self._outputs:
            tree, shape = full(expression, value.type.shape), value.type.shape
        else:
            tree, shape = strong(expression).tree, expression.shape
        self.statements.append(Statement(value, tree, known))
        self._expressions[value] = Expression(name(MARK + value.name), value.type.dtype, shape)


def _reference(value: Value) -> Expression:
    return Expression(name(MARK + value.name), value.type.dtype, value.type.shape)


def _needed(program: Program) -> list[Node]:
    needed = {value for _, value in program.outputs}
    nodes = []
    for node in reversed(program.nodes):
        if any(value in needed for value in node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    return nodes[::-1]


def _count_uses(nodes: list[Node]) -> Counter[Value]:
    """Count how often the text of each value would be written; x * x writes x once."""
    uses: Counter[Value] = Counter()
    for node in nodes:
        uses.update(set(node.inputs) if node.op in _TWICE_IS_ONCE else node.inputs)
    return uses


def _trivial(expression: Expression) -> bool:
    """Tell whether an expression may be written wherever it is used: a number, a view, a short conversion."""
    tree = expression.tree
    if isinstance(tree, ast.Attribute):
        tree = tree.value
    if expression.weak or isinstance(tree, (ast.Name, ast.Constant)):
        return True
    return expression.shape == () and expression.weight <= 2 and len(unparse(tree)) <= _SHORT


# -- names that a reader knows ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class AutomaticName:
    """The parts of a name that a trace made up: dense1.dmultiply_2 is dense1., d, multiply, _2."""

    layer: str
    cotangent: bool
    operation: str
    number: str


_AUTOMATIC = re.compile(r"(?P<layer>(?:.*\.)?)(?P<d>d*)(?P<op>[a-z_0-9]+?)(?P<number>(?:_\d+)*)\Z")


def automatic_name(value: Value) -> AutomaticName | None:
    """Return the parts of a value's name if it comes from an operation, and None if a reader knows it."""
    if value.note.quantity and value.note.quantity == value.name.rpartition(".")[2]:
        return None
    for match in _splits(value.name):
        if match.operation in PRIMITIVES:
            return match
    return None


def _splits(text: str) -> Iterator[AutomaticName]:
    match = _AUTOMATIC.match(text)
    if match is None:
        return
    operation = match["d"] + match["op"]
    while True:
        cotangent = len(operation) < len(match["d"] + match["op"])
        yield AutomaticName(match["layer"], cotangent, operation, match["number"])
        if not operation.startswith("d"):
            return
        operation = operation[1:]


def is_known(value: Value) -> bool:
    """Tell whether a reader knows the value by its name, because a layer or a derivation named it."""
    return automatic_name(value) is None
