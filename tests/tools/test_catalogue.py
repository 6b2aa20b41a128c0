"""tools/catalogue.py: every member is listed, drawn, and checked against an independent reference."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

specification = importlib.util.spec_from_file_location("tools_catalogue", ROOT / "tools" / "catalogue.py")
catalogue = importlib.util.module_from_spec(specification)
sys.modules[specification.name] = catalogue
specification.loader.exec_module(catalogue)


def test_the_tables_and_plots_of_the_docs_are_true():
    assert catalogue.out_of_date() == []


@pytest.mark.parametrize("title", catalogue.kinds())
def test_every_member_is_checked_against_an_independent_reference(title):
    kind = catalogue.kinds()[title]
    checked = set().union(*kind.checked.values())
    assert {cls.__name__ for cls in kind.classes} <= checked


def test_every_kind_of_member_has_a_page():
    text = "".join(path.read_text(encoding="utf-8") for path in catalogue.PAGES.glob("*.md"))
    listed = {title for _, title, _ in catalogue.MARK.findall(text)}
    assert listed == set(catalogue.kinds())


def test_the_tester_notices(tmp_path, monkeypatch):
    for path in catalogue.PAGES.iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(catalogue, "PAGES", tmp_path)
    page, plot = tmp_path / "losses.md", tmp_path / "activations.svg"
    page.write_text(page.read_text(encoding="utf-8").replace("| `huber` |", "| `hubert` |"), encoding="utf-8")
    plot.write_text(plot.read_text(encoding="utf-8").replace(">mish</text>", ">mash</text>"), encoding="utf-8")
    assert catalogue.out_of_date() == ["losses.md: a table is out of date", "activations.svg: no panel for mish"]


def test_counts_add_up():
    lines = [line.split() for line in catalogue.counts().splitlines()]
    assert lines[0] == ["kind", "classes", "names", "PyTorch", "SciPy", "scikit-learn", "NumPy", "NIST", "any"]
    for column in range(1, 9):
        assert sum(int(line[column]) for line in lines[1:-1]) == int(lines[-1][column])
