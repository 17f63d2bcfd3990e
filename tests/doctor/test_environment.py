"""What taumem runs on: packages that are missing, old or broken are told, and break nothing."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from taumem.doctor import environment, look_around
from taumem.doctor.environment import FOR_DEVELOPMENT, PURPOSES, Extra, Package, _imported

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_extra_says_what_it_is_for():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert set(PURPOSES) | FOR_DEVELOPMENT == set(project["optional-dependencies"])


@pytest.mark.slow
def test_here_everything_works_that_taumem_needs():
    found = look_around()
    assert {package.state for package in found.packages} == {"works"}
    assert found.obstacles == ()
    assert found.cores >= 1
    assert found.has_torch


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Put a package here: its metadata, and the code of its module."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def put(name: str, version: str, code: str = "") -> None:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (tmp_path / f"{name}.py").write_text(code)

    return put


def asking(monkeypatch, *requirements: str, python: str = ">=3.11") -> None:
    """Let taumem ask for other packages than its own."""
    told = SimpleNamespace(requires=list(requirements), metadata={"Requires-Python": python})
    monkeypatch.setattr(environment, "distribution", lambda name: told)


def test_an_import_that_raises_exits_prints_or_ends_python_is_told_and_the_others_go_on(put):
    put("raises", "1", "raise RuntimeError('operator nms does not exist\\nand more')")
    put("exits", "1", "raise SystemExit")
    put("prints", "1", 'print(\'hello\'); print(\'{"module": "works", "why_not": "no"}\')')
    put("dies", "1", "import os; os._exit(7)")
    put("works", "1")
    why_not = _imported(["raises", "exits", "prints", "dies", "works"]).why_not
    assert why_not == {
        "raises": "RuntimeError: operator nms does not exist",
        "exits": "SystemExit",
        "dies": "Python ended with code 7 as it was imported",
    }


@pytest.mark.slow
def test_an_import_that_hangs_is_ended(put, monkeypatch):
    monkeypatch.setattr(environment, "PATIENCE", 2)
    put("hangs", "1", "import time; time.sleep(60)")
    put("works", "1")
    assert _imported(["works", "hangs"]).why_not == {"hangs": "its import took more than 2 seconds"}


def test_what_taumem_cannot_do_without_stands_in_the_way_unless_it_works(put, monkeypatch):
    put("old", "1.0")
    put("odd", "of yesterday")
    put("torch", "3.0", "import there_is_no_such_module")
    asking(monkeypatch, "old>=2", "odd>=2", "torch>=2", "missing-one>=1", python=">=99")
    found = look_around()
    assert [package.state for package in found.packages] == ["other version", "other version", "broken", "missing"]
    python, packages = found.obstacles
    assert ">=99 is needed" in python
    assert "old 1.0 is installed, >=2 is needed" in packages
    assert "torch 3.0 cannot be imported (ModuleNotFoundError: No module named 'there_is_no_such_module')" in packages
    assert packages.endswith("pip install --force-reinstall torch and pip install taumem.")
    assert not found.has_torch


@pytest.mark.slow
def test_an_extra_that_is_old_excluded_or_broken_is_a_caution_with_the_line_that_brings_it(put, monkeypatch):
    put("lightning", "2.6.2")
    put("ray", "3.0", "raise OSError('libray.so: cannot open')")
    asking(monkeypatch, "torch>=2", "lightning>=2.4,!=2.6.2; extra == 'lightning'", "ray>=2; extra == 'ray'")
    told = look_around().cautions
    assert told == (
        "lightning: lightning 2.6.2 is installed, >=2.4,!=2.6.2 is needed. pip install 'taumem[lightning]' brings what "
        "is needed.",
    )
    broken = look_around(imports=True)
    assert "ray 3.0 cannot be imported (OSError: libray.so: cannot open)" in broken.cautions[1]
    assert broken.obstacles == ()


def test_an_extra_that_is_half_there_says_what_is_missing():
    there, missing, old = (Package("a", "", "1", state) for state in ("works", "missing", "other version"))
    assert Extra("x", "", (there, there)).state == "works"
    assert Extra("x", "", (there, missing)).state == "missing"
    assert Extra("x", "", (missing, old)).state == "other version"


@pytest.mark.slow
def test_taumem_that_is_not_installed_is_in_the_way(monkeypatch):
    def none(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(environment, "distribution", none)
    assert "pip install taumem" in look_around().obstacles[0]


def test_a_gpu_that_torch_does_not_see_is_told(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    torch = Package("torch", ">=2", "2.13.0+cpu", "works")
    assert "for processors alone" in next(environment._cautions([torch], [], []))
    assert not list(environment._cautions([torch], [], ["cuda:0 A GPU, 80 GB"]))
