"""What all tests share: one thread, no deadlines, and a watch over the global random states."""

import gc
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

# What was compiled is kept, whatever the environment says: else each process of the tests compiles all of it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What the tests of a folder share is imported by its name: ``from tiny import tiny``.
sys.path += [str(folder) for folder in Path(__file__).parent.iterdir() if folder.is_dir()]

# Other work on the machine must not fail a property test. Each run draws other examples, so that few at once are many
# in time; ``pytest --hypothesis-profile thorough`` draws a hundred.
settings.register_profile("taumem", deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=100)
settings.load_profile("taumem")

WATCHED = {"contracts", "diffusion", "models", "neighbors", "training"}
"""Folders whose tests all fail if they, or what they call, touch a global random state."""


def pytest_collection_finish(session):
    # What is imported stays: to look through all of it for garbage, which scans do often, takes half a second.
    gc.collect()
    gc.freeze()


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
