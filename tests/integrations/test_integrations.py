import subprocess
import sys

import pytest

import taumem.integrations


@pytest.mark.slow
def test_no_framework_comes_along_before_its_adapter_is_used():
    script = """
import sys
import taumem, taumem.integrations
from taumem.integrations import AccelerateGuard, IgniteGuard, TensorBoard
frameworks = {"accelerate", "diffusers", "ignite", "lightning", "mlflow", "monai", "pytorch_lightning", "tensorboard"}
came = (frameworks | {"trackio", "transformers", "wandb"}) & set(sys.modules)
assert not came, came
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_adapter_is_found_by_its_name():
    for name in ("AccelerateGuard", "IgniteGuard", "MLflow", "TensorBoard", "Trackio", "WeightsAndBiases"):
        assert getattr(taumem.integrations, name).__name__ == name
    assert set(dir(taumem.integrations)) == set(taumem.integrations.__all__)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="It has: AccelerateGuard"):
        _ = taumem.integrations.KerasGuard
