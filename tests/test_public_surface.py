"""The public surface: what is named is there and documented, and it comes quickly."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import clearprop

HEAVY = {"sklearn", "duckdb", "pandas", "polars"}
HELP_SECONDS = 0.5


def walk() -> list[str]:
    """The names of all modules of the package, the root first."""
    found = pkgutil.walk_packages(clearprop.__path__, prefix="clearprop.")
    names = [module.name for module in found if not module.name.endswith("__main__")]
    return ["clearprop", *names]


def is_documented(name: str, value: object) -> bool:
    """Whether a class, function or module has words of its own; plain data speaks through its type."""
    if isinstance(value, type):
        text = value.__dict__.get("__doc__") or ""
        return bool(text.strip()) and not text.startswith(f"{name}(")  # what @dataclass writes by itself
    if isinstance(value, ModuleType) or inspect.isroutine(value):
        return bool((value.__doc__ or "").strip())
    return True


def test_all_is_what_is_visible():
    visible = {name for name in dir(clearprop) if not name.startswith("_")}
    assert visible == {name for name in clearprop.__all__ if not name.startswith("_")}
    assert set(clearprop.__all__) <= set(dir(clearprop))


def test_all_stays_what_is_visible_after_use():
    before = dir(clearprop)
    for name in clearprop.__all__:
        getattr(clearprop, name)
    assert dir(clearprop) == before


def test_what_type_checkers_see_is_what_is_loaded():
    """The root is written twice, for type checkers and for lazy loading; both must be the same."""
    tree = ast.parse(Path(clearprop.__file__).read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in guarded.body for alias in node.names}
    assert set(seen) == set(clearprop.__all__) - {"__version__"}
    for name, module in seen.items():
        if module == "clearprop":
            assert getattr(clearprop, name) is importlib.import_module(f"clearprop.{name}")
        else:
            assert getattr(clearprop, name) is getattr(importlib.import_module(module), name)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        clearprop.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", walk())
def test_every_module_says_what_it_is_for(name):
    assert (importlib.import_module(name).__doc__ or "").strip()


@pytest.mark.parametrize("name", walk())
def test_every_promised_name_exists_once_and_is_documented(name):
    module = importlib.import_module(name)
    promised = list(getattr(module, "__all__", ()))
    assert len(promised) == len(set(promised))
    assert [key for key in promised if not is_documented(key, getattr(module, key))] == []


def test_the_tester_notices_what_is_undocumented():
    class Silent:
        pass

    def silent():
        pass

    assert not is_documented("Silent", Silent)
    assert not is_documented("silent", silent)
    assert not is_documented("empty", ModuleType("empty"))


def fresh(arguments: list[str], cache: Path) -> tuple[str, float]:
    """Run the command in a process of its own; return what it printed and the CPU seconds it took.

    CPU time, because the other tests share the machine; bytecode is cached, as it is after any installation.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cache)
    before = os.times()
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return done.stdout, cpu


def test_help_comes_quickly(tmp_path):
    command = [str(Path(sys.executable).parent / "clearprop"), "--help"]
    fresh(command, tmp_path)
    runs = [fresh(command, tmp_path) for _ in range(3)]
    assert "train" in runs[0][0]
    assert min(seconds for _, seconds in runs) < HELP_SECONDS


def test_import_is_light(tmp_path):
    program = "import clearprop, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded, _ = fresh([sys.executable, "-c", program], tmp_path)
    assert "clearprop" in loaded.split()
    assert not HEAVY & set(loaded.split())
