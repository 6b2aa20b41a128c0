"""The printer: the module around the statements."""

from __future__ import annotations

import ast
import json
import keyword
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clearprop.backends.source.blocks import SECTIONS, Block, arrange, heading
from clearprop.backends.source.expressions import MARK, WIDTH, body_name, literal, put_in, unparse
from clearprop.backends.source.expressions import name as ast_name
from clearprop.backends.source.helpers import helper_functions, names_in, needed_sources, needs_math
from clearprop.backends.source.layout import assignment
from clearprop.backends.source.names import RESERVED, value_names
from clearprop.backends.source.statements import write_statements
from clearprop.errors import ProgramError
from clearprop.ir import Batch, Program, Value, verify
from clearprop.ops import rule_of

Groups = Mapping[str, Sequence[str]]
_INDENT = "    "


def print_source(
    program: Program, *, function: str = "training_step", title: str = "", groups: Groups | None = None
) -> str:
    """Return a program as the text of a Python module that needs NumPy 2 and nothing else.

    The module holds one function. Its arguments are the program's inputs, with underscores for dots (see
    `argument_names`), and it returns a dict of the program's outputs. It does what the reference backend does,
    in the same order, so that the numbers are the same to rounding.

    Args:
        program: what to print.
        function: the name of the function.
        title: the first line of the module's docstring.
        groups: headings over the arguments, and the names of the inputs below each; by the inputs' notes
            (data, parameters, hyper-parameters, state) when None. Arguments keep their order inside a group.

    Raises:
        ProgramError: the program breaks a rule of the representation, `function` is no free identifier, or a
            group names an input that does not exist.
    """
    verify(program, rule_of)
    helpers = helper_functions(program)
    if not function.isidentifier() or keyword.iskeyword(function) or function in RESERVED | set(helpers):
        raise ProgramError(f"{function!r} cannot name the function; choose an identifier that is not taken")
    unit = _unit(program)
    trees = list(_trees(unit))
    sources = needed_sources(helpers, trees)
    batch = _batch_line(program, unit.names) if any("n" in names_in(tree) for tree in trees) else []
    imports = "import math\n\nimport numpy as np" if needs_math(sources) else "import numpy as np"
    head = f"{_docstring(program, function, title)}\n\n{imports}"
    lines = [
        *_signature(program, function, _grouped(program, groups), unit.names),
        *batch,
        *_steps(unit),
        *_body(unit),
        *_return(program, unit.names),
    ]
    return "\n\n\n".join([head, *sources, "\n".join(lines)]) + "\n"


@dataclass(frozen=True)
class _Unit:
    """A program in lines, with the identifiers of its values and the bodies of its loops by identifier."""

    program: Program
    blocks: Sequence[Block]
    names: Mapping[str, str]
    loops: Mapping[str, _Unit]


def _unit(program: Program) -> _Unit:
    blocks = arrange(program, write_statements(program))
    names = value_names(program, blocks)
    items = [item for block in blocks for item in block.statements]
    loops = {names[body_name(item.whole)]: _unit(item.body) for item in items if item.whole and item.body}
    return _Unit(program, blocks, names, loops)


def _trees(unit: _Unit) -> Iterator[ast.AST]:
    for block in unit.blocks:
        yield from (item.tree for item in block.statements)
    for inner in unit.loops.values():
        yield from _trees(inner)


def _docstring(program: Program, function: str, title: str) -> str:
    first = textwrap.wrap(_one_line(title) or f"The program {program.name}, as NumPy runs it.", WIDTH - 8)
    outputs = ", ".join(program.output_names) or "nothing"
    described = f"`{function}` takes the arrays named below and returns a dict of arrays: {outputs}."
    if any(Batch in map(type, value.type.shape) for value in program.inputs):
        described += " n is the number of samples in the batch."
    rest = textwrap.wrap(described, WIDTH, break_long_words=False, break_on_hyphens=False)
    text = "\n".join([*first, "", *rest, "", "It runs as printed, with NumPy 2 or newer and nothing else."])
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}\n"""'


def _one_line(text: str) -> str:
    """Return text that can stand in a comment: one line of printable characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# -- the arguments ---------------------------------------------------------------------------------------------


def _grouped(program: Program, groups: Groups | None) -> list[tuple[str, list[Value]]]:
    """Return the inputs under their headings; those of no group come last, under none."""
    chosen = _groups_by_note(program) if groups is None else groups
    listed = [(text, [program.input(name) for name in names]) for text, names in chosen.items()]
    known = {value for _, values in listed for value in values}
    rest = [value for value in program.inputs if value not in known]
    return [(text, values) for text, values in [*listed, ("", rest)] if values]


def _groups_by_note(program: Program) -> Groups:
    groups: dict[str, list[str]] = {"data": [], "parameters": [], "hyper-parameters": [], "state": []}
    for value in program.inputs:
        groups[_group(value)].append(value.name)
    return groups if groups["parameters"] else {}


def _group(value: Value) -> str:
    if value.note.quantity == "hyper":
        return "hyper-parameters"
    if value.note.layer and value.note.quantity:
        return "parameters"
    has_batch = any(isinstance(dim, Batch) for dim in value.type.shape)
    return "data" if value.note.quantity or has_batch else "state"


def _signature(
    program: Program, function: str, groups: list[tuple[str, list[Value]]], names: Mapping[str, str]
) -> Iterator[str]:
    if not program.inputs:
        yield f"def {function}():"
        return
    yield f"def {function}("
    for text, values in groups:
        if text:
            yield f"{_INDENT}# {_one_line(text)}"
        for value in values:
            shape = unparse(literal(value.type.shape)) if value.type.shape else "a number,"
            yield f"{_INDENT}{names[value.name]},  # {shape} {value.type.dtype}"
    yield "):"


# -- the body --------------------------------------------------------------------------------------------------


def _batch_line(program: Program, names: Mapping[str, str]) -> list[str]:
    for value in program.inputs:
        for axis, dim in enumerate(value.type.shape):
            if isinstance(dim, Batch):
                rows = f"{names[value.name]}.shape[{axis}]"
                return [f"{_INDENT}n = {rows}" if dim.scale == 1 else f"{_INDENT}n = {rows} // {dim.scale}", ""]
    return [f"{_INDENT}n = 0", ""]


def _steps(unit: _Unit) -> Iterator[str]:
    """Print one time step of each loop as a function."""
    for identifier, inner in unit.loops.items():
        arguments = ", ".join(inner.names[value.name] for value in inner.program.inputs)
        results = ", ".join(inner.names[value.name] for _, value in inner.program.outputs)
        lines = [*_wrapped(f"def {identifier}(", arguments, "):"), *_steps(inner), *_body(inner)]
        lines += _wrapped(f"{_INDENT}return (", results, ",)")
        yield from (_INDENT + line if line else "" for line in lines)
        yield ""


def _wrapped(before: str, text: str, after: str) -> list[str]:
    """Return a line, or several where it is too long."""
    if len(before + text + after) <= WIDTH - len(_INDENT):
        return [before + text + after]
    margin = before[: len(before) - len(before.lstrip())]
    inner = textwrap.wrap(text, WIDTH - len(margin) - 2 * len(_INDENT), break_long_words=False)
    return [before, *(f"{margin}{_INDENT}{line}" for line in inner), margin + after.lstrip(",")]


def _body(unit: _Unit) -> Iterator[str]:
    blocks, names = unit.blocks, unit.names
    objective = _objective(unit.program)
    identifiers = {MARK + value: ast_name(identifier) for value, identifier in names.items()}
    several = len({block.section for block in blocks}) > 1
    before: Block | None = None
    for block in blocks:
        if several and (before is None or before.section != block.section):
            yield from ([""] if before else [])
            yield f"{_INDENT}# ---- {SECTIONS[block.section]} ----"
            yield ""
        elif before is not None and before.note.layer != block.note.layer:
            yield ""
        if text := _one_line(heading(block.note, objective)):
            yield f"{_INDENT}# {text}"[:WIDTH]
        for item in block.statements:
            yield assignment(names[item.value.name], put_in(item.tree, identifiers))
        before = block
    if blocks:
        yield ""


def _objective(program: Program) -> str:
    """Return what the backward pass derives: the objective, or the cost or loss where there is none."""
    quantities = {value.note.quantity for value in program.values()}
    return next((name for name in ("objective", "cost", "loss") if name in quantities), "result")


def _return(program: Program, names: Mapping[str, str]) -> Iterator[str]:
    if not program.outputs:
        yield f"{_INDENT}return {{}}"
        return
    yield f"{_INDENT}return {{"
    for name, value in program.outputs:
        yield f"{_INDENT * 2}{json.dumps(name, ensure_ascii=False)}: {names[value.name]},"
    yield f"{_INDENT}}}"
