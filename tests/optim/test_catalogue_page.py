"""docs/catalogue/optimisers.md lists every member, with its defaults, as the registries have them."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

from clearprop import losses, nn, optim

ROOT = Path(__file__).resolve().parents[2]
specification = importlib.util.spec_from_file_location("catalogue", ROOT / "tools" / "catalogue_optimisers.py")
catalogue = importlib.util.module_from_spec(specification)
sys.modules[specification.name] = catalogue
specification.loader.exec_module(catalogue)


def test_the_tables_are_true():
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page()
    assert [title for _, title, _ in catalogue.MARK.findall(catalogue.page())] == list(catalogue.TABLES)


@pytest.mark.parametrize("kind", [optim.Optimizer, optim.WholeBatch, optim.Schedule], ids=lambda kind: kind.__name__)
def test_every_member_has_a_row(kind):
    members = [getattr(optim, name) for name in optim.__all__]
    contracts = (optim.Optimizer, optim.Wrapper, optim.WholeBatch, optim.SciPyMinimizer, optim.Schedule)
    for member in members:
        if inspect.isclass(member) and issubclass(member, kind) and member not in contracts:
            assert f"| `{member.__name__}(" in catalogue.page()


def test_the_tester_notices(tmp_path, monkeypatch):
    page = tmp_path / "optimisers.md"
    page.write_text(catalogue.page().replace("| `lion` |", "| `lyon` |"), encoding="utf-8")
    monkeypatch.setattr(catalogue, "PAGE", page)
    assert page.read_text(encoding="utf-8") != catalogue.page()


def test_no_name_means_two_things():
    """A model file describes layers, losses, optimisers and schedules by class name alone."""
    homes: dict[str, object] = {}
    for module in (nn, losses, optim):
        for name in module.__all__:
            if inspect.isclass(thing := getattr(module, name)):
                assert homes.setdefault(name, thing) is thing, f"{name} is in {thing} and {homes[name]}"
