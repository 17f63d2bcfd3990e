"""The examples of fine-tuning with the real libraries, in a process of its own: imports take long."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDS = ("accelerate", "diffusers", "peft", "transformers")


@pytest.mark.slow
def test_the_examples_of_diffusers_with_tiny_models_of_the_same_classes():
    missing = [package for package in NEEDS if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-m",
        "",
        "-p",
        "no:cacheprovider",
        HERE / "real_diffusers.py",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parents[1] / "examples"), *sys.path])
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
