"""The adapters with the real frameworks, each in a process of its own: imports take long, and disturb each other."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEEDS = {
    "accelerate": ("accelerate", "diffusers", "tensorboard"),
    "ignite": ("ignite", "monai"),
    "lightning": ("lightning", "pytorch_lightning"),
    "transformers": ("transformers", "accelerate", "tensorboard"),
    "trackers": ("tensorboard",),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_an_adapter_in_the_framework_itself(name):
    missing = [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "", "-p", "no:cacheprovider", HERE / f"real_{name}.py"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
