"""The text form of a program: `to_text` writes it, `parse` reads it back to the same program.

::

    program logistic {
      input x: float32[n, 2]
      input W: float32[2, 1]
      z: float32[n, 1] @("dense1", "z") = matmul(x, W)
      a: float32[n, 1] @("dense1", "a") = sigmoid(z)
      return prediction = a
    }
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator
from typing import NoReturn

from clearprop.errors import ProgramError
from clearprop.ir.program import Attribute, Node, Note, Program, Value
from clearprop.ir.types import DTYPES, Batch, Dim, Type

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")
      |(?P<batch>\d+n\b)
      |(?P<number>[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|\d+)|[-+]inf\b)
      |(?P<name>[A-Za-z_][\w.]*)
      |(?P<mark>[@(){}\[\],:;=]))""",
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_WORDS: dict[str, Attribute] = {
    "true": True,
    "false": False,
    "inf": math.inf,
    "nan": math.nan,
    "n": Batch(),
}


def to_text(program: Program) -> str:
    """Return the text form; `parse` makes the same program of it."""
    return "\n".join(_lines(program, "program " + program.name)) + "\n"


def node_text(node: Node) -> str:
    """Return the line of one node."""
    targets = ", ".join([f"{value!r}{_note(value)}" for value in node.outputs])
    inputs = ", ".join([value.name for value in node.inputs])
    attrs = ", ".join([f"{key}={_literal(value)}" for key, value in sorted(node.attrs.items())])
    call = f"{inputs}; {attrs}" if attrs else inputs
    return f"{targets} = {node.op}({call})"


def _lines(program: Program, head: str) -> Iterator[str]:
    yield head + " {"
    for value in program.inputs:
        yield f"  input {value!r}{_note(value)}"
    for node in program.nodes:
        yield "  " + node_text(node)
    for name, value in program.outputs:
        yield f"  return {name} = {value.name}"
    yield "}"


def _note(value: Value) -> str:
    note = value.note
    if not note.layer and not note.quantity:
        return ""
    return f" @({_quoted(note.layer)}, {_quoted(note.quantity)})"


_quoted = functools.lru_cache(maxsize=1024)(json.dumps)


def _literal(attribute: Attribute) -> str:
    if isinstance(attribute, bool):
        return "true" if attribute else "false"
    if isinstance(attribute, str):
        return json.dumps(attribute)
    if isinstance(attribute, tuple):
        return "(" + "".join(f"{_literal(item)}, " for item in attribute).rstrip(" ") + ")"
    if isinstance(attribute, Program):
        return "\n".join(_lines(attribute, "program " + attribute.name)).replace("\n", "\n    ")
    return repr(attribute) if isinstance(attribute, (int, float)) else str(attribute)


def parse(text: str) -> Program:
    """Read a program from its text form.

    `ProgramError` says at which line the text departs from the grammar, or which name is unknown.
    """
    reader = _Reader(text)
    program = reader.program()
    reader.end()
    return program


class _Reader:
    """A recursive-descent reader over the tokens of the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.start = 0

    def program(self) -> Program:
        self.expect("program")
        name = self.take("name")
        self.expect("{")
        values: dict[str, Value] = {}
        inputs: list[Value] = []
        nodes: list[Node] = []
        outputs: list[tuple[str, Value]] = []
        while not self.accept("}"):
            if self.accept_word("input"):
                inputs.append(self.value(values))
            elif self.accept_word("return"):
                output = self.take("name")
                self.expect("=")
                outputs.append((output, self.use(values)))
            else:
                nodes.append(self.node(values))
        return Program(name, tuple(inputs), tuple(nodes), tuple(outputs))

    def node(self, values: dict[str, Value]) -> Node:
        targets = [self.value({})]
        while self.accept(","):
            targets.append(self.value({}))
        self.expect("=")
        op = self.take("name")
        self.expect("(")
        inputs: list[Value] = []
        attrs: dict[str, Attribute] = {}
        while self.peek() not in (";", ")"):
            inputs.append(self.use(values))
            self.accept(",")
        if self.accept(";"):
            while self.peek() != ")":
                key = self.take("name")
                self.expect("=")
                attrs[key] = self.attribute()
                self.accept(",")
        self.expect(")")
        for target in targets:
            self.define(values, target)
        return Node(op, tuple(inputs), attrs, tuple(targets))

    def value(self, values: dict[str, Value]) -> Value:
        name = self.take("name")
        self.expect(":")
        dtype = self.take("name")
        if dtype not in DTYPES:
            self.fail(f"a dtype, one of {', '.join(DTYPES)}")
        self.expect("[")
        shape: list[Dim] = []
        while not self.accept("]"):
            dim = self.attribute()
            if not isinstance(dim, Batch) and (type(dim) is not int or dim < 0):
                self.fail("a dimension")
            shape.append(dim)
            self.accept(",")
        note = Note()
        if self.accept("@"):
            self.expect("(")
            layer = self.string()
            self.expect(",")
            note = Note(layer, self.string())
            self.expect(")")
        value = Value(name, Type(dtype, tuple(shape)), note)
        self.define(values, value)
        return value

    def define(self, values: dict[str, Value], value: Value) -> None:
        if value.name in values:
            self.fail(f"a new name; {value.name!r} is assigned twice")
        values[value.name] = value

    def use(self, values: dict[str, Value]) -> Value:
        name = self.take("name")
        if name not in values:
            self.fail(f"a name assigned before; {name!r} is not")
        return values[name]

    def attribute(self) -> Attribute:
        kind, token = self.next()
        if kind == "number":
            return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)
        if kind == "batch":
            return Batch(int(token[:-1])) if token != "0n" else self.fail("a positive multiple of n")
        if kind == "string":
            return self.unquote(token)
        if token in _WORDS:
            return _WORDS[token]
        if token == "(":
            items: list[Attribute] = []
            while not self.accept(")"):
                items.append(self.attribute())
                self.accept(",")
            return tuple(items)
        if token == "program":
            self.position = self.start
            return self.program()
        return self.fail("an attribute value")

    def end(self) -> None:
        self.start = len(self.text) - len(self.text[self.position :].lstrip())
        if self.start < len(self.text):
            self.fail("the end of the text")

    def next(self) -> tuple[str, str]:
        space = _SPACE.match(self.text, self.position)
        self.start = space.end() if space else self.position
        match = _TOKEN.match(self.text, self.start)
        if match is None or match.lastgroup is None:
            return self.fail("a name, a number or a mark")
        self.position = match.end()
        return match.lastgroup, match.group(match.lastgroup)

    def peek(self) -> str:
        before = self.position, self.start
        _, token = self.next()
        self.position, self.start = before
        return token

    def take(self, kind: str) -> str:
        found, token = self.next()
        return token if found == kind else self.fail(f"a {kind}")

    def string(self) -> str:
        return self.unquote(self.take("string"))

    def unquote(self, token: str) -> str:
        try:
            return str(json.loads(token))
        except ValueError:
            return self.fail("a string as JSON writes it")

    def expect(self, mark: str) -> None:
        if self.next()[1] != mark:
            self.fail(repr(mark))

    def accept(self, mark: str) -> bool:
        if self.peek() != mark:
            return False
        self.next()
        return True

    def accept_word(self, word: str) -> bool:
        """Take a keyword, unless it is a value of that name (then a colon follows)."""
        before = self.position
        if self.next()[1] == word and self.peek() != ":":
            return True
        self.position = before
        return False

    def fail(self, expected: str) -> NoReturn:
        line = self.text.count("\n", 0, self.start) + 1
        found = self.text[self.start : self.start + 20].split("\n")[0]
        raise ProgramError(f"line {line} of the program's text: expected {expected}, near {found!r}")
