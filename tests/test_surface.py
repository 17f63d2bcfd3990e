"""The public surface: explicit, lazy, closed, and the same for a type checker as for Python."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import taumem

STUB = ast.parse(Path(taumem.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
PUBLIC = [(node.module, alias) for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names]


def test_every_public_name_is_what_its_home_exports():
    for home, alias in PUBLIC:
        module = import_module(f"taumem.{home}")
        assert alias.name in module.__all__, f"taumem.{home} does not export {alias.name}"
        assert alias.name == alias.asname, f"write '{alias.name} as {alias.name}': type checkers want it so"
        # A function that is called as its home is: the package, which calls it.
        is_home = alias.name == home
        assert getattr(taumem, alias.name) is (module if is_home else getattr(module, alias.name))
        assert callable(module) or not is_home


def test_the_surface_is_closed():
    assert set(dir(taumem)) == set(taumem.__all__) == {alias.name for _, alias in PUBLIC}
    assert not hasattr(taumem, "no_such_name")


def test_a_mistyped_name_is_refused_with_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'Study'"):
        _ = taumem.Stdy
    with pytest.raises(AttributeError, match=r"no_such_name$"):
        _ = taumem.no_such_name


def test_importing_taumem_imports_neither_torch_nor_numpy():
    script = "import sys, taumem; sys.exit(bool({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
