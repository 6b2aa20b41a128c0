"""Helper functions: the text of those that the printed expressions call."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from clearprop.backends.source.expressions import WIDTH
from clearprop.ir import Program
from clearprop.ops import primitive


def helper_functions(program: Program) -> dict[str, Callable[..., Any]]:
    """Return the helper functions of the program's operations by name."""
    operations = [primitive(op) for op in dict.fromkeys(_operations(program))]
    return {helper.__name__: helper for operation in operations for helper in operation.helpers}


def _operations(program: Program) -> Iterator[str]:
    """Iterate over the names of the operations, those of loops' bodies too."""
    for node in program.nodes:
        yield node.op
        for attribute in node.attrs.values():
            if isinstance(attribute, Program):
                yield from _operations(attribute)


def needed_sources(helpers: Mapping[str, Callable[..., Any]], trees: Iterable[ast.AST]) -> list[str]:
    """Return the text of the helpers that expressions call, and of those that these call."""
    sources = {name: source_of(helper) for name, helper in helpers.items()}
    names = {name for tree in trees for name in names_in(tree)}
    needed: set[str] = set()
    while missing := (names & set(sources)) - needed:
        needed |= missing
        names |= {name for helper in missing for name in names_in(ast.parse(sources[helper]))}
    return [source for name, source in sources.items() if name in needed]


def source_of(helper: Callable[..., Any]) -> str:
    """Return a function's text without its annotations."""
    text = textwrap.dedent(inspect.getsource(helper)).rstrip()
    (tree,) = ast.parse(text).body
    assert isinstance(tree, ast.FunctionDef)
    lines = text.splitlines()
    first = tree.body[0].lineno
    header = "\n".join(lines[tree.lineno - 1 : first - 1])
    arguments = (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)
    for annotation in [argument.annotation for argument in arguments if argument.annotation]:
        header = header.replace(f": {ast.unparse(annotation)}", "", 1)
    if tree.returns:
        header = header.replace(f" -> {ast.unparse(tree.returns)}", "", 1)
    return "\n".join([header, *(_short(line) for line in lines[first - 1 :])])


def _short(line: str) -> str:
    """Break a docstring of one line that is too long."""
    text = line.strip()
    if len(line) <= WIDTH or not text.startswith('"""'):
        return line
    margin = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin)


def needs_math(sources: Iterable[str]) -> bool:
    """Tell whether any of the functions uses the math module."""
    return any("math" in names_in(ast.parse(source)) for source in sources)


def names_in(tree: ast.AST) -> set[str]:
    """Return every name in a tree."""
    return {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}
