"""Check the rules of importing that import-linter cannot express.

1. No import of our own package hides inside a function. (Modules under LAZY may load others by name, so that
   `import clearprop` and `clearprop --help` stay quick.)
2. No module takes a name from the package root. (`from clearprop import ops` names a module, and is fine.)
3. Only `compile.py` sees two or more of grad, passes and backends. (The protocol of a backend is none.)
4. The modules of ONLY import the standard library and what is listed for them, nothing else.
5. The packages of EXCLUSIVE are imported in one place.

Usage: python tools/check_imports.py [PACKAGE_FOLDER]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "clearprop"

LAZY = ("", "cli")
APART = ("grad", "passes", "backends")
NOT_APART = "backends.protocol"
TOGETHER_IN = ("compile", "testing")
ONLY: dict[str, tuple[str, ...]] = {"ir": ("ir", "errors"), "errors": (), "version": ()}
EXCLUSIVE = {"jax": "backends.xla", "llvmlite": "backends.native.jit"}


@dataclass(frozen=True)
class Import:
    """One imported module: the line, its full name, whether in a function, whether by `import_module`."""

    line: int
    target: str
    in_function: bool
    by_name: bool = False


@dataclass(frozen=True)
class Module:
    """One file of the package; `name` is relative to it: "ops.record", and "" for the package root."""

    path: Path
    name: str
    package: str
    imports: tuple[Import, ...]

    def within(self, folder: str) -> bool:
        """Whether this is `folder` or a module inside of it."""
        return is_within(self.name, folder)

    def own(self) -> Iterator[tuple[Import, str]]:
        """The imports of our own package, each with its name relative to it."""
        for item in self.imports:
            if is_within(item.target, self.package):
                yield item, item.target[len(self.package) + 1 :]


def is_within(name: str, folder: str) -> bool:
    """Whether a dotted name is `folder` or lies inside of it; nothing but the root lies in the root."""
    return name == folder or bool(folder and name.startswith(folder + "."))


def read_modules(folder: Path) -> Iterator[Module]:
    """Read every Python file below the package's folder."""
    paths = sorted(folder.rglob("*.py"))
    known = {module_name(path, folder) for path in paths}
    for path in paths:
        name = module_name(path, folder)
        parent = name if path.stem == "__init__" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        imports = tuple(find_imports(tree, parent, known))
        yield Module(path, name[len(folder.name) + 1 :], folder.name, imports)


def module_name(path: Path, folder: Path) -> str:
    """The full dotted name of a file of the package."""
    parts = path.relative_to(folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_imports(tree: ast.AST, parent: str, known: Set[str], in_function: bool = False) -> Iterator[Import]:
    """Walk the tree; `parent` is the package that relative imports start from, `known` names our modules."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parent.split(".")[: len(parent.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            full = [f"{source}.{alias.name}" for alias in node.names]
            for target in dict.fromkeys(name if name in known else source for name in full):
                yield Import(node.lineno, target, in_function)
        elif isinstance(node, ast.Call) and (named := named_import(node, parent)):
            yield Import(node.lineno, named, in_function, by_name=True)
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from find_imports(node, parent, known, in_function or inner)


def named_import(call: ast.Call, parent: str) -> str | None:
    """The module that `import_module("...")` or `__import__("...")` names, as far as it is written out."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if called not in ("import_module", "__import__") or not call.args:
        return None
    first = call.args[0]
    if isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return None
    return f"{parent}{first.value}" if first.value.startswith(".") else first.value.rstrip(".")


def check_hidden(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 1."""
    lazy = any(module.within(place) for place in LAZY)
    for item, _ in module.own():
        if item.in_function and not (item.by_name and lazy):
            yield (
                item.line,
                f"{item.target} is imported inside a function: move it to the top of the file "
                "(if that makes a cycle, the two files want to be one, or a third)",
            )


def check_root(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 2; the root itself says what it shows."""
    if module.name == "":
        return
    for item, target in module.own():
        if target == "" and not item.by_name:
            yield (
                item.line,
                f"imports from the package root: name the module, `from {module.package}.errors import ...`",
            )


def check_together(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 3."""
    if any(module.within(place) for place in TOGETHER_IN):
        return
    seen: dict[str, int] = {}
    for item, target in module.own():
        for folder in APART:
            if is_within(target, folder) and target != NOT_APART:
                seen.setdefault(folder, item.line)
    if len(seen) > 1:
        yield (
            max(seen.values()),
            f"sees {' and '.join(sorted(seen))} together: only compile.py may; ask it for what you need",
        )


def check_only(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 4."""
    for folder, allowed in ONLY.items():
        if not module.within(folder):
            continue
        ours = {f"{module.package}.{name}" for name in allowed}
        for item in module.imports:
            standard = item.target.partition(".")[0] in sys.stdlib_module_names
            if not standard and not any(is_within(item.target, name) for name in ours):
                words = ", ".join(["the standard library", *sorted(ours)])
                yield item.line, f"imports {item.target}, but {folder} may import only {words}"


def check_exclusive(module: Module) -> Iterator[tuple[int, str]]:
    """Rule 5."""
    for item in module.imports:
        place = EXCLUSIVE.get(item.target.partition(".")[0])
        if place and not module.within(place):
            yield item.line, f"imports {item.target}: only {module.package}.{place} may"


RULES = (check_hidden, check_root, check_together, check_only, check_exclusive)


def violations(folder: Path) -> list[str]:
    """Return every broken rule as `path:line: what is wrong and how to mend it`."""
    return [
        f"{module.path}:{line}: {message}"
        for module in read_modules(folder)
        for rule in RULES
        for line, message in rule(module)
    ]


def main(arguments: list[str]) -> int:
    """Print what is wrong; the exit status is 1 if anything is."""
    folder = Path(arguments[0]) if arguments else PACKAGE
    if not any(folder.rglob("*.py")):
        print(f"{folder} holds no Python file", file=sys.stderr)
        return 2
    found = violations(folder)
    print("\n".join(found) if found else f"imports: {len(RULES)} rules kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
