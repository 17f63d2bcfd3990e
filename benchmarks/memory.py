"""How much memory runs take at their peak, against what is said before they start.

    python benchmarks/memory.py                     # U-Nets, one checkpointed, transformers

Each run is made in a process of its own, for a few steps with a look after each. Measured is the largest resident
memory of the process, less that before anything of the run was made.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from taumem.lab import Experiment, make_run
from taumem.lab.plan import RunPlan

UNET = {"kind": "unet", "channels": 64, "multipliers": [1, 2, 2], "blocks": 2, "attention": [16], "head_channels": 64}
WIDE = {"kind": "unet", "channels": 48, "multipliers": [1, 2, 4], "blocks": 1}
IMAGES = {"data": {"source": "fashion-mnist", "size": 32, "pad_to": 32, "n_heldout": 64}}
MONITOR = {"first": 2, "per_doubling": 1, "n_items": 32, "n_heldout_items": 32, "n_samples": 16, "sampling_steps": 2}
RUNS = {
    "small U-Net": IMAGES | {"model": {"kind": "unet", "channels": 32, "multipliers": [1, 2], "blocks": [1, 1]}},
    "mid-sized U-Net": IMAGES | {"model": UNET, "training": {"batch_size": 32}},
    "the same, checkpointed": IMAGES | {"model": UNET, "training": {"batch_size": 32, "checkpoint_activations": True}},
    "transformer": {
        "data": {"source": "text", "window": 128, "n_heldout": 64},
        "diffusion": {"kind": "masked", "sampler": "cosine-grid"},
        "model": {"kind": "transformer", "width": 256, "depth": 6, "heads": 4},
        "training": {"batch_size": 32},
    },
    # Not looked at when the factor was chosen.
    "wide U-Net": IMAGES | {"model": WIDE, "training": {"batch_size": 64}},
    "wide U-Net, checkpointed": IMAGES
    | {"model": WIDE, "training": {"batch_size": 64, "checkpoint_activations": True}},
    "wide transformer": {
        "data": {"source": "text", "window": 64, "n_heldout": 64},
        "diffusion": {"kind": "masked", "sampler": "cosine-grid"},
        "model": {"kind": "transformer", "width": 512, "depth": 4, "heads": 8},
        "training": {"batch_size": 16},
    },
}


def plan_of(name: str) -> RunPlan:
    """The run of this name, three steps long."""
    content = dict(RUNS[name])
    training = {"min_steps": 3, "steps_per_example": 0} | content.pop("training", {})
    monitor = MONITOR | content.pop("monitor", {})
    experiment = {"name": "memory", "n_train": [128], "twins": False, "training": training, "monitor": monitor}
    return RunPlan(Experiment.model_validate(experiment | content), 128, 0, None)


def measure(name: str) -> None:
    """Make a run, and print what was predicted of it and what it took."""
    plan = plan_of(name)
    before = peak()
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # what it takes to predict is not the run's
        predicted, n_parameters = apart.submit(foretold, name).result()
    with tempfile.TemporaryDirectory() as folder:
        make_run(plan, Path(folder))
    took = peak() - before
    print(
        f"| {name} | {n_parameters:,} | {predicted / 1e6:,.0f} | {took / 1e6:,.0f} | {predicted / took:.2f} |",
        flush=True,
    )


def foretold(name: str) -> tuple[int, int]:
    """The bytes that are said before a run starts, and its parameters."""
    memory = plan_of(name).prepare().memory()
    assert memory is not None
    return memory.total, memory.n_parameters


def peak() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Make each run in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(RUNS))
    parser.add_argument("--here", action="store_true", help="make it in this process")
    asked = parser.parse_args()
    if asked.here:
        measure(asked.names[0])
        return
    print(
        "| run | parameters | predicted, MB | measured, MB | predicted over measured |\n|---|---|---|---|---|",
        flush=True,
    )
    for name in asked.names:
        subprocess.run([sys.executable, __file__, name, "--here"], check=True)


if __name__ == "__main__":
    main()
