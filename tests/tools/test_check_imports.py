"""Planted violations: each rule of tools/check_imports.py notices what breaks it, and nothing else."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    """Load a script of tools/ as a module."""
    specification = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


check_imports = load("check_imports")


@pytest.fixture
def found(tmp_path):
    """Write modules into a small package named clearprop; return the violations as "file:line message"."""

    def found(modules: dict[str, str]) -> list[str]:
        folder = tmp_path / "clearprop"
        names = ["__init__.py", "errors.py", "ops/__init__.py", "ops/record.py", "ir/__init__.py"]
        for name, text in (dict.fromkeys(names, "") | modules).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [line.removeprefix(f"{folder}/") for line in check_imports.violations(folder)]

    return found


def test_allowed_imports_are_not_reported(found):
    modules = {
        "ops/record.py": "from clearprop.errors import ShapeError\nfrom clearprop import ir\nimport numpy\n",
        "ir/types.py": "from collections.abc import Sequence\nfrom clearprop.errors import ShapeError\n",
        "data/table.py": "def f():\n    import pandas\n",
        "train/step.py": "from clearprop.grad import derive\nfrom clearprop.backends.protocol import Backend\n",
        "compile.py": "import clearprop.grad\nimport clearprop.passes\nimport clearprop.backends\n",
        "backends/native/jit.py": "import llvmlite.binding\n",
    }
    assert found(modules) == []


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    from clearprop.errors import ShapeError\n",
        "def f():\n    import clearprop.errors\n",
        "async def f():\n    from ..errors import ShapeError\n",
        "class A:\n    def f(self):\n        if True: from . import record\n",
        "import importlib\nf = lambda: importlib.import_module('clearprop.errors')\n",
        "def f(name):\n    return import_module(f'clearprop.{name}')\n",
        "def f(name):\n    return import_module('.record', __package__)\n",
        "def f():\n    __import__('clearprop.errors')\n",
    ],
)
def test_hidden_import(found, text):
    (message,) = found({"ops/hidden.py": text})
    assert "is imported inside a function" in message


def test_loading_by_name_is_left_to_the_root_and_the_command_line(found):
    text = "def __getattr__(name):\n    return import_module(f'clearprop.{name}')\n"
    assert found({"__init__.py": text, "cli/main.py": text}) == []
    (message,) = found({"cli/main.py": "def f():\n    from clearprop.errors import ShapeError\n"})
    assert message.startswith("cli/main.py:2:")


@pytest.mark.parametrize(
    "text",
    [
        "import clearprop\n",
        "import clearprop as cp\n",
        "from clearprop import fit\n",
        "from clearprop import errors, fit\n",
        "from .. import fit\n",
    ],
)
def test_package_root(found, text):
    (message,) = found({"ops/rooted.py": text})
    assert message.startswith("ops/rooted.py:1:")
    assert "from the package root" in message


def test_together_outside_of_the_composition_root(found):
    text = "from clearprop.grad import derive\n\nfrom clearprop.backends.reference import Reference\n"
    (message,) = found({"train/step.py": text})
    assert message.startswith("train/step.py:3: sees backends and grad together")


def test_together_by_names_from_the_root(found):
    modules = {
        "grad/__init__.py": "",
        "passes/__init__.py": "",
        "nn/x.py": "from clearprop import grad, passes\n",
    }
    (message,) = found(modules)
    assert message.startswith("nn/x.py:1: sees grad and passes together")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ir/types.py", "import numpy as np\n"),
        ("ir/types.py", "from clearprop.ops import record\n"),
        ("ir/types.py", "if TYPE_CHECKING:\n    from numpy import ndarray\n"),
        ("errors.py", "from clearprop.ir import Type\n"),
        ("version.py", "import packaging\n"),
    ],
)
def test_low_modules_stay_low(found, path, text):
    (message,) = found({path: text})
    assert "may import only the standard library" in message


@pytest.mark.parametrize("text", ["import jax.numpy as jnp\n", "from llvmlite import binding\n"])
def test_exclusive_packages(found, text):
    (message,) = found({"backends/native/emit.py": text})
    assert message.startswith("backends/native/emit.py:1:")
    assert message.endswith(" may")


def test_exit_status(tmp_path, capsys):
    folder = tmp_path / "clearprop"
    folder.mkdir()
    assert check_imports.main([str(folder)]) == 2
    (folder / "a.py").write_text("import clearprop\n")
    assert check_imports.main([str(folder)]) == 1
    assert f"{folder / 'a.py'}:1:" in capsys.readouterr().out
    (folder / "a.py").write_text("import math\n")
    assert check_imports.main([str(folder)]) == 0
