"""The smallest sweep that has everything, what two sweeps have in common, and a worker that is no process."""

import contextlib
import pickle
from concurrent.futures import Executor, Future
from pathlib import Path

from safetensors.torch import load_file

from taumem.lab import Sweep, load_sweep
from taumem.record import RunRecord

TOML = """
name = "rates"
n_train = [8]
twins = false
data = {source = "mixture", dimensions = 4, n_items = 256, n_heldout = 64}
model = {kind = "mlp", width = 16, depth = 1}
training = {batch_size = 4, min_steps = STEPS, steps_per_example = 0}
monitor = {n_items = 16, n_heldout_items = 32, first = 4, per_doubling = 2, n_samples = 8, sampling_steps = 3}
"""


def toml_file(folder: Path, steps: int = 40, more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "rates.toml"
    file.write_text(TOML.replace("STEPS", str(steps)) + more)
    return file


def small_sweep(folder: Path, *over: str, steps: int = 40, more: str = "", changes: tuple[str, ...] = ()) -> Sweep:
    return load_sweep(toml_file(folder, steps, more), changes, over)


def held(sweep: Path) -> dict[str, object]:
    """All that the runs of a sweep hold, but for the time it took and where it was made: records, samples, weights."""
    runs = {}
    for file in sorted(sweep.glob("*/*/run.json")):
        record = RunRecord.read(file.parent)
        facts = [m.model_dump(exclude={"seconds"}) for m in record.measurements]
        arrays = [
            (step, name, array.tobytes())
            for step in record.array_steps()
            for name, array in sorted(record.arrays(step).items())
        ]
        weights = [
            (checkpoint.name, name, tensor.numpy().tobytes())
            for checkpoint in sorted((file.parent / "checkpoints").iterdir())
            for name, tensor in sorted(load_file(checkpoint).items())
        ]
        runs[str(file.parent.relative_to(sweep))] = facts, arrays, weights
    return runs


class Worker(Executor):
    """Does what it is given as a worker in another process would: what was pickled, standing in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def submit(self, fn, /, *args, **kwargs):
        there, future = pickle.loads(pickle.dumps((fn, args, kwargs))), Future()
        with contextlib.chdir(self.folder):
            future.set_result(there[0](*there[1], **there[2]))
        return future
