"""What all tests share: one thread, no deadlines, and a watch over the global random states."""

import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Small tensors are faster on one thread, and other tests run beside these. Set before numpy and torch are imported,
# and for the processes that tests start too.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# What the tests of a folder share is imported by its name: ``from tiny import tiny``.
sys.path += [str(folder) for folder in Path(__file__).parent.iterdir() if folder.is_dir()]

# Other work on the machine must not fail a property test.
settings.register_profile("taumem", deadline=None)
settings.load_profile("taumem")

WATCHED = {"contracts", "diffusion", "models", "neighbors", "training"}
"""Folders whose tests all fail if they, or what they call, touch a global random state."""


@pytest.fixture(autouse=True)
def global_random_states_are_untouched(request):
    if request.path.parent.name not in WATCHED:
        yield
        return
    before = random_states()
    yield
    assert random_states() == before, "a global random state was read or written"


def random_states() -> tuple:
    import numpy as np
    import torch

    _, keys, *position = np.random.get_state()  # noqa: NPY002
    return random.getstate(), keys.tobytes(), position, torch.get_rng_state().numpy().tobytes()
