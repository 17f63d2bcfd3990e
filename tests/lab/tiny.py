"""The smallest experiment that has everything: vectors, an MLP, twins, a few dozen steps."""

from taumem.lab import Experiment

TINY = {
    "name": "tiny",
    "n_train": [8, 16],
    "data": {"source": "mixture", "dimensions": 4, "n_items": 256, "n_heldout": 64},
    "model": {"kind": "mlp", "width": 16, "depth": 1},
    "training": {"batch_size": 4, "learning_rate": 1e-2, "min_steps": 60, "steps_per_example": 0},
    "monitor": {
        "n_items": 16,
        "n_heldout_items": 32,
        "first": 4,
        "per_doubling": 2,
        "n_samples": 8,
        "sampling_steps": 3,
    },
}


def tiny(**changes) -> Experiment:
    return Experiment.model_validate({**TINY, **changes})
