"""Identifiers: valid, unique, and never in the way of another name of the module."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from clearprop.backends.source.blocks import Block
from clearprop.backends.source.expressions import body_name
from clearprop.backends.source.helpers import helper_functions
from clearprop.backends.source.statements import Statement, automatic_name
from clearprop.ir import DTYPES, Program, Value

RESERVED = frozenset((*keyword.kwlist, *dir(builtins), "np", "math", "n"))
"""What no value may be called; n is the batch size."""

_NO_IDENTIFIER = re.compile(r"\W")
_NOUNS = {
    "astype": "converted",
    "concatenate": "joined",
    "exp": "exponential",
    "log": "logarithm",
    "log1p": "logarithm",
    "max": "largest",
    "philox": "bits",
    "sqrt": "root",
    "square": "square",
    "sum": "total",
    "where": "choice",
}
"""What the result of a function is called, where its own name is no noun."""

_OPERATOR_NOUNS: dict[type[ast.AST], str] = {
    ast.Add: "total",
    ast.Sub: "difference",
    ast.Mult: "product",
    ast.MatMult: "product",
    ast.Div: "quotient",
    ast.Pow: "power",
    ast.Eq: "matches",
    ast.Lt: "condition",
    ast.LtE: "condition",
    ast.Gt: "condition",
    ast.GtE: "condition",
    ast.USub: "negative",
}


class Names:
    """Gives out identifiers, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken) | RESERVED

    def take(self, wanted: str) -> str:
        """Return the name as an identifier, with an underscore or a number at its end where it is taken."""
        base = identifier(wanted)
        name = f"{base}_" if base in RESERVED else base
        number = 2
        while name in self._taken:
            name = f"{base}_{number}"
            number += 1
        self._taken.add(name)
        return name


def identifier(name: str) -> str:
    """Return the name with an underscore for everything that an identifier cannot hold: dense1.W is dense1_W."""
    text = _NO_IDENTIFIER.sub("_", unicodedata.normalize("NFKC", name))
    text = "".join(character if f"_{character}".isidentifier() else "_" for character in text)
    return text if text.isidentifier() else f"_{text}"


def argument_names(program: Program) -> dict[str, str]:
    """Return the argument of the printed function that stands for each input, by the input's name."""
    names = Names(helper_functions(program))
    return {value.name: names.take(value.name) for value in program.inputs}


def value_names(program: Program, blocks: Sequence[Block]) -> dict[str, str]:
    """Return the identifier of every input and every assigned value, by its name in the program.

    Known names are kept, outputs are called after what they are given out as, and the others after what their
    operation gives.
    """
    result = argument_names(program)
    names = Names((*helper_functions(program), *result.values()))
    statements = [(item, block) for block in blocks for item in block.statements]
    outputs = _output_names(program)
    for item, _ in statements:
        if item.whole is not None:
            layer = f"{item.note.layer}." if item.note.layer else ""
            result[item.value.name] = names.take(f"{layer}steps" if item.body else f"{layer}parts")
            if item.body:
                result[body_name(item.whole)] = names.take(f"{layer}step")
        elif item.known:
            result[item.value.name] = names.take(item.value.name)
    for item, _ in statements:
        if not item.known and item.value in outputs:
            result[item.value.name] = names.take(outputs[item.value])
    for item, block in statements:
        if item.value.name not in result:
            result[item.value.name] = names.take(_descriptive(item, block, result))
    return result


def _output_names(program: Program) -> dict[Value, str]:
    inputs = set(program.input_names)
    return {value: f"{name}.new" if name in inputs else name for name, value in reversed(program.outputs)}


def _descriptive(item: Statement, block: Block, names: Mapping[str, str]) -> str:
    parts = automatic_name(item.value)
    if parts is None:
        return item.value.name
    layer = parts.layer if block.note.layer else ""
    noun = _noun(item.tree) or parts.operation
    if not parts.cotangent:
        return layer + noun
    of = names.get(f"{parts.layer}{parts.operation}{parts.number}")
    return f"{layer}d_{noun if of is None else of.removeprefix(identifier(parts.layer))}"


def _noun(tree: ast.expr) -> str:
    """Return what the outermost operation of an expression gives, or nothing."""
    if isinstance(tree, (ast.BinOp, ast.UnaryOp)):
        return _OPERATOR_NOUNS.get(type(tree.op), "")
    if isinstance(tree, ast.Compare):
        return _OPERATOR_NOUNS.get(type(tree.ops[0]), "")
    if isinstance(tree, ast.Subscript):
        return _noun(tree.value)
    if not isinstance(tree, ast.Call):
        return ""
    function = tree.func.attr if isinstance(tree.func, ast.Attribute) else ast.unparse(tree.func)
    if function in DTYPES:
        return "factor"
    return _NOUNS.get(function, function)
