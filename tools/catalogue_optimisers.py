"""The tables of docs/catalogue/optimisers.md, from the registries and the docstrings.

python tools/catalogue_optimisers.py             print how many members there are
python tools/catalogue_optimisers.py --write     write the tables anew
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearprop import optim

PAGE = Path(__file__).resolve().parent.parent / "docs" / "catalogue" / "optimisers.md"
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
UNNAMED = (optim.Phases, optim.FunctionOfStep)
TABLES: Mapping[str, Mapping[str, type]] = {
    "optimisers": optim.OPTIMIZERS,
    "wrappers": optim.WRAPPERS,
    "whole_batch": optim.WHOLE_BATCH,
    "schedules": optim.SCHEDULES,
}


def shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def signature(cls: Any) -> str:
    """Return a class with its settings and their defaults."""
    words = []
    for item in dataclasses.fields(cls):
        default = item.default
        if default is dataclasses.MISSING and item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        words.append(item.name if default is dataclasses.MISSING else f"{item.name}={shown(default)}")
    return f"{cls.__name__}({', '.join(words)})"


def row(name: str, cls: type) -> str:
    text = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split()).replace("|", "\\|")
    named = f"`{name}`" if name else ""
    return f"| {named} | `{signature(cls)}` | {text} |"


def table(title: str) -> str:
    lines = ["| name | class, with its defaults | what it is |", "|---|---|---|"]
    lines += [row(name, cls) for name, cls in TABLES[title].items()]
    if title == "schedules":
        lines += [row("", cls) for cls in UNNAMED]
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return what the page should say."""
    return MARK.sub(lambda found: found[1] + table(found[2]) + found[3], PAGE.read_text(encoding="utf-8"))


def counts() -> str:
    return "\n".join(f"{title:<12} {len(members)}" for title, members in TABLES.items())


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    print(counts())
