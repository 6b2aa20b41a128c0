"""Layout: long lines broken where a reader would break them."""

from __future__ import annotations

import ast
import textwrap

from clearprop.backends.source.expressions import WIDTH, name, unparse

_STEP = 4
_LEVELS: tuple[tuple[type[ast.operator], ...], ...] = (
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div, ast.MatMult),
)


def assignment(target: str, tree: ast.expr, indent: int = _STEP) -> str:
    """Return `target = expression`, on as many lines as it takes."""
    return " " * indent + _broken(f"{target} = ", tree, "", indent)


def _broken(before: str, tree: ast.expr, after: str, indent: int) -> str:
    """Return the text; its first line begins at `indent`, and the further ones are indented in full."""
    line = before + unparse(tree) + after
    if indent + len(line) <= WIDTH:
        return line
    if isinstance(tree, ast.Call):
        arguments = [("", item) for item in tree.args]
        arguments += [(f"{item.arg}=", item.value) for item in tree.keywords]
        return _bracket(f"{before}{unparse(tree.func)}(", arguments, f"){after}", indent)
    if isinstance(tree, (ast.List, ast.Tuple)):
        opening, closing = "[]" if isinstance(tree, ast.List) else "()"
        if all(isinstance(item, (ast.Constant, ast.UnaryOp)) for item in tree.elts):
            return f"{before}{opening}\n{_filled(tree.elts, indent + _STEP)}\n{' ' * indent}{closing}{after}"
        return _bracket(before + opening, [("", item) for item in tree.elts], closing + after, indent)
    if isinstance(tree, ast.BinOp):
        terms = "\n".join(_terms(tree, indent + _STEP))
        return f"{before}(\n{terms}\n{' ' * indent}){after}"
    return line


def _bracket(before: str, items: list[tuple[str, ast.expr]], after: str, indent: int) -> str:
    """Return a call or a list with its items on a line of their own, or else on one line each."""
    inner = indent + _STEP
    together = " " * inner + ", ".join(head + unparse(item) for head, item in items)
    if len(together) <= WIDTH:
        return "\n".join([before, together, " " * indent + after])
    lines = [" " * inner + _broken(head, item, ",", inner) for head, item in items]
    return "\n".join([before, *lines, " " * indent + after])


def _filled(numbers: list[ast.expr], indent: int) -> str:
    """Return numbers on as few lines as they fit on."""
    text = ", ".join(unparse(item) for item in numbers) + ","
    margin = " " * indent
    return textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)


def _terms(tree: ast.BinOp, indent: int) -> list[str]:
    """Return the terms of a sum, or the factors of a product, one a line, each led by its sign."""
    level = next((operators for operators in _LEVELS if isinstance(tree.op, operators)), (type(tree.op),))
    hole = name("x")
    lines: list[str] = []
    spine: ast.expr = tree
    while isinstance(spine, ast.BinOp) and isinstance(spine.op, level):
        sign = ast.unparse(ast.BinOp(hole, spine.op, hole))[1:-1]
        term = unparse(ast.BinOp(hole, spine.op, spine.right)).removeprefix(f"x{sign}")
        if isinstance(spine.right, ast.Call):
            term = _broken("", spine.right, "", indent + len(sign) - 1)
        lines.append(sign.lstrip() + term)
        spine = spine.left
    first = unparse(ast.BinOp(spine, tree.op, hole)).removesuffix(ast.unparse(ast.BinOp(hole, tree.op, hole))[1:])
    return [" " * indent + line for line in (first, *reversed(lines))]
