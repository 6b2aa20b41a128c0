"""How large the code is, and whether every file and function keeps within its limit.

Usage: python tools/size.py           a table: lines and functions by folder of src
       python tools/size.py --check   the limits, over src, tests, tools and bench
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKED = ("src", "tests", "tools", "bench")
FILE_LIMIT = 400
FUNCTION_LIMIT = 60

RATCHET: dict[str, int] = {}
"""What is over the limit today, "path" or "path::function" to its lines. Entries may only shrink and go."""


@dataclass(frozen=True)
class Function:
    """A function or method: its qualified name, its first line, and how many lines it spans."""

    name: str
    line: int
    length: int


@dataclass(frozen=True)
class File:
    """One Python file, by its path relative to the root."""

    path: str
    length: int
    functions: tuple[Function, ...]


def measure(root: Path, folders: Iterable[str]) -> list[File]:
    """Measure every Python file below the folders."""
    return [measure_file(path, root) for folder in folders for path in sorted((root / folder).rglob("*.py"))]


def measure_file(path: Path, root: Path) -> File:
    """Measure one file. All lines of a file count; of a function, all but its docstring: to explain is no bloat."""
    text = path.read_text(encoding="utf-8")
    functions = tuple(find_functions(ast.parse(text, str(path))))
    return File(path.relative_to(root).as_posix(), len(text.splitlines()), functions)


def find_functions(tree: ast.AST, prefix: str = "") -> Iterator[Function]:
    """Walk the tree; a nested function counts by itself and as a part of the one around it."""
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}" if prefix else node.name
            if not isinstance(node, ast.ClassDef):
                yield Function(name, node.lineno, length_of(node) - docstring_length(node))
        yield from find_functions(node, name)


def length_of(node: ast.stmt) -> int:
    """How many lines a statement spans."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def docstring_length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function's docstring spans, 0 if it has none."""
    return length_of(node.body[0]) if ast.get_docstring(node, clean=False) is not None else 0


def too_long(files: Iterable[File], ratchet: Mapping[str, int] | None = None) -> list[str]:
    """Return what is over its limit, and the entries of the ratchet that are no longer true."""
    allowed = dict(RATCHET if ratchet is None else ratchet)
    found = []
    for path, key, length, limit in sizes(files):
        before = allowed.pop(key, None)
        if before is not None and length < before:
            mend = f"lower it to {length}" if length > limit else "remove it"
            found.append(f"{path}: {key} has shrunk to {length} lines, the ratchet says {before}: {mend}")
        elif length > (before or limit):
            found.append(f"{path}: {key} has {length} lines, at most {before or limit}: split it")
    return found + [f"tools/size.py: the ratchet names {key}, which is gone: remove it" for key in allowed]


def sizes(files: Iterable[File]) -> Iterator[tuple[str, str, int, int]]:
    """Give the place, the key, the length and the limit of every file and function."""
    for file in files:
        yield file.path, file.path, file.length, FILE_LIMIT
        for function in file.functions:
            place = f"{file.path}:{function.line}"
            yield place, f"{file.path}::{function.name}", function.length, FUNCTION_LIMIT


def folder_of(file: File) -> str:
    """The folder of src/clearprop that a file lies in; its own name if it lies in none."""
    parts = file.path.split("/")[2:]
    return f"{parts[0]}/" if len(parts) > 1 else parts[0]


def table(files: list[File]) -> str:
    """One row a folder: its files, lines and functions, its longest function and its largest file."""
    folders: dict[str, list[File]] = {}
    for file in sorted(files, key=lambda file: (file.path.count("/") == 2, file.path)):
        folders.setdefault(folder_of(file), []).append(file)
    rows = [["folder", "files", "lines", "functions", "longest function", "largest file"]]
    rows += [[folder, *summary(inside)] for folder, inside in folders.items()]
    rows += [["all", *summary(files)]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(aligned(row, widths) for row in rows)


def aligned(row: list[str], widths: list[int]) -> str:
    """One line of the table: words to the left, numbers to the right."""
    sides = ("<", ">", ">", ">", "<", "<")
    cells = zip(row, sides, widths, strict=True)
    return "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()


def summary(files: list[File]) -> list[str]:
    """The cells of a row after its name."""
    functions = [function for file in files for function in file.functions]
    longest = max(functions, key=lambda function: function.length, default=None)
    largest = max(files, key=lambda file: file.length)
    return [
        str(len(files)),
        str(sum(file.length for file in files)),
        str(len(functions)),
        f"{longest.length} {longest.name}" if longest else "-",
        f"{largest.length} {largest.path.rpartition('/')[2]}",
    ]


def main(arguments: list[str]) -> int:
    """Print the table, or with --check what is too long; the exit status is 1 if anything is."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    if not arguments:
        print(table(measure(ROOT, ["src"])))
        return 0
    found = too_long(measure(ROOT, CHECKED))
    limits = f"sizes: every file within {FILE_LIMIT} lines, every function within {FUNCTION_LIMIT}"
    print("\n".join(found) if found else limits)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
