"""What all tests share: one thread, and a watch over the global random states."""

import random
import sys

import numpy as np
import pytest
from hypothesis import settings

# Other work on the machine must not fail a property test.
settings.register_profile("taumem", deadline=None)
settings.load_profile("taumem")

WATCHED = {"contracts", "diffusion", "models", "neighbors", "training"}
"""Folders whose tests all fail if they, or what they call, touch a global random state."""


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are faster on one thread, and other tests run beside these."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def global_random_states_are_untouched(request):
    if request.path.parent.name not in WATCHED:
        yield
        return
    before = random_states()
    yield
    assert random_states() == before, "a global random state was read or written"


def random_states() -> tuple:
    import torch

    _, keys, *position = np.random.get_state()  # noqa: NPY002
    return random.getstate(), keys.tobytes(), position, torch.get_rng_state().numpy().tobytes()
