"""The public surface: explicit, lazy, and the same for a type checker as for Python."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import taumem


def test_every_public_name_is_where_the_surface_says():
    for home, names in taumem._HOMES.items():
        module = import_module(home)
        for name in names:
            assert name in module.__all__, f"{home} does not export {name}"
            assert getattr(taumem, name) is getattr(module, name)


def test_a_type_checker_sees_the_same_names():
    tree = ast.parse(Path(taumem.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == {(home, name) for home, names in taumem._HOMES.items() for name in names}


def test_the_surface_is_closed():
    assert set(dir(taumem)) == set(taumem.__all__)
    assert set(taumem.__all__) == {"__version__"} | set(taumem._HOME_OF)
    assert not hasattr(taumem, "no_such_name")


def test_importing_taumem_imports_neither_torch_nor_numpy():
    script = "import sys, taumem; sys.exit(bool({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
