"""What becomes of runs when files are cut, bits flip, disks fill up and processes are killed: nothing is to be silent.

    python benchmarks/faults.py                         # all of it
    python benchmarks/faults.py --kills 0 --limits 0    # damaged files alone

Each fault is *found* (by an error or a warning in words), *harmless* (what is read is the same to the bit) or *silent*.
Where a run can go on, at once or by what the error advises, it is made to its end and compared with one that nothing
happened to: measurements (but for the seconds), samples and weights, to the bit. One that ends otherwise counts as
silent too. Anything silent makes the exit code 1; an error that is not in words ends the script.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from taumem.cli import main as taumem
from taumem.errors import RecordError, TaumemWarning
from taumem.lab import RunPlan, load_experiment, make_run, make_study, pace
from taumem.record import RunRecord
from taumem.training import load_checkpoint

pace.SECONDS_AT_LEAST, pace.SHARE = 0.1, 0.3  # also in workers, which import this file: kills come between checkpoints

SHORT, LONG = 60, 2500
TOML = """
name = "faults"
n_train = [8, 16]
data = {source = "mixture", dimensions = 4, n_items = 256, n_heldout = 96}
model = {kind = "mlp", width = 16, depth = 1}
training = {batch_size = 4, min_steps = STEPS, steps_per_example = 0}
monitor = {n_items = 16, n_heldout_items = 32, first = 4, per_doubling = 2, n_samples = 8, sampling_steps = 3}
"""

WARNED = r"was cut off|goes on from step|all of it is measured"
"""In the words of what a run finds."""

Outcomes = Iterator[str]


def main() -> None:
    """Inject all faults, and print what became of them."""
    if sys.argv[1:2] == ["run"]:  # a child that is to be killed, or to run out of disk
        if limit := int(os.environ.get("LARGEST_FILE", "0")):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        taumem(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, (n, _) in FAULTS.items():
        parser.add_argument(f"--{name}", type=int, default=n, help=f"how many ({n})")
    parser.add_argument("--seed", type=int, default=0)
    asked = vars(parser.parse_args())
    silent = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        make_run(plan_of(whole), whole)
        for name, (_, inject) in FAULTS.items():
            if n := asked[name]:
                rng = np.random.default_rng([asked["seed"], list(FAULTS).index(name)])
                counts = Counter(inject(whole, rng, n))
                silent += counts["silent"]
                print(f"{name:12} " + "; ".join(f"{what}: {k}" for what, k in sorted(counts.items())), flush=True)
    sys.exit(silent > 0)


# --- runs, and what they hold ---------------------------------------------------------------------------------------


def experiment(folder: Path, steps: int) -> Path:
    """The file of an experiment of so many steps."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "faults.toml"
    file.write_text(TOML.replace("STEPS", str(steps)))
    return file


def plan_of(folder: Path) -> RunPlan:
    """A short run, whose weights at half its steps are kept too."""
    return RunPlan(load_experiment(experiment(folder, SHORT)), 8, 0, "a", keep=(SHORT // 2,))


def held(run: Path) -> tuple[object, ...]:
    """All that a run's record holds, but for the seconds."""
    record = RunRecord.read(run)
    arrays = [
        (step, name, array.dtype.str, array.shape, array.tobytes())
        for step in record.array_steps()
        for name, array in record.arrays(step).items()
    ]
    return record.header, [m.model_dump(exclude={"seconds"}) for m in record.measurements], arrays


def weights(run: Path) -> list[tuple[object, ...]]:
    """All that its checkpoints hold."""
    return [
        (file.name, name, tensor.numpy().tobytes())
        for file in sorted((run / "checkpoints").glob("*.safetensors"))
        for name, tensor in sorted(load_file(file).items())
    ]


def same(one: Path, other: Path) -> bool:
    """Whether two runs hold the same, to the bit."""
    return held(one)[1:] == held(other)[1:] and weights(one) == weights(other)


def in_words(use: Callable[[], object]) -> tuple[object, str, bool]:
    """What a use of some files gives, the words in which it was refused, and whether it warned of what it found."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TaumemWarning)
        try:
            result, refused = use(), ""
        except RecordError as error:
            result, refused = None, str(error)
    return result, refused, any(re.search(WARNED, str(warning.message)) for warning in caught)


@contextmanager
def copy_of(whole: Path) -> Iterator[Path]:
    """A copy of a study, to be damaged."""
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copytree(whole, Path(folder) / "copy")


def outcome(study: Path, whole: Path) -> str:
    """Read the damaged run of a study, make it to its end if that can be, and compare."""
    plan = plan_of(study)
    run, unbroken = study / plan.name, whole / plan.name
    content, refused, warned = in_words(lambda: held(run))
    if content == held(unbroken):
        return "harmless"
    if ".npz" in refused or "run.json" in refused:  # a copy of the file is needed
        return "found"
    if line := re.search(r"keep only the (\d+) lines", refused):
        file = run / "measurements.jsonl"
        file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[: int(line[1])]))
    elif refused:
        (run / "measurements.jsonl").unlink()
    _, again, warned_again = in_words(lambda: make_run(plan, study))
    told = refused or warned or warned_again
    return "found, made good" if told and not again and same(run, unbroken) else "silent"


# --- faults ---------------------------------------------------------------------------------------------------------


def damaged_records(whole: Path, rng: np.random.Generator, n: int, damage: Callable[[bytes], bytes]) -> Outcomes:
    """Damage the header, the measurements or the arrays."""
    run = whole / plan_of(whole).name
    names = ["run.json", "measurements.jsonl", *(f"arrays/{file.name}" for file in sorted((run / "arrays").iterdir()))]
    for _ in range(n):
        with copy_of(whole) as study:
            file = study / run.name / str(rng.choice(names, p=[0.2, 0.5, *[0.3 / (len(names) - 2)] * (len(names) - 2)]))
            file.write_bytes(damage(file.read_bytes()))
            yield outcome(study, whole)


def truncations(whole: Path, rng: np.random.Generator, n: int) -> Outcomes:
    """Cut a file of the record at a random byte."""
    return damaged_records(whole, rng, n, lambda content: content[: rng.integers(len(content))])


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes with one bit flipped."""
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def flips(whole: Path, rng: np.random.Generator, n: int) -> Outcomes:
    """Flip a bit of a file of the record."""
    return damaged_records(whole, rng, n, lambda content: flipped(content, rng))


def checkpoints(whole: Path, rng: np.random.Generator, n: int) -> Outcomes:
    """Flip a bit of the newest checkpoint, or cut it; a damaged one is read, and then the run is made to its end."""
    plan = plan_of(whole)
    before = weights(whole / plan.name)
    for k in range(n):
        with copy_of(whole) as study:
            file = plan.checkpoints(study)[-1]
            content = file.read_bytes()
            file.write_bytes(flipped(content, rng) if k % 4 else content[: rng.integers(len(content))])
            learner = plan.prepare().learner()
            _, refused, _ = in_words(lambda: load_checkpoint(learner, file))  # noqa: B023 (it is called at once)
            if not refused:
                yield "harmless" if weights(study / plan.name) == before else "silent"
                continue
            _, refused, warned = in_words(lambda: make_run(plan, study))
            made_good = warned and not refused and same(study / plan.name, whole / plan.name)
            yield "found, made good" if made_good else "silent"


def lost(whole: Path, rng: np.random.Generator, n: int) -> Outcomes:
    """Have the record lose its last lines, or lines of the middle, which its checkpoint was saved with."""
    name = plan_of(whole).name
    for k in range(n):
        with copy_of(whole) as study:
            file = study / name / "measurements.jsonl"
            lines = file.read_bytes().splitlines(keepends=True)
            at = int(rng.integers(len(lines)))
            file.write_bytes(b"".join(lines[:at] if k % 2 else lines[:at] + lines[at + 1 :]))
            yield outcome(study, whole)


def child(folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A study with two workers, in a process group of its own."""
    command = [sys.executable, __file__, "run", experiment(folder, LONG), "-o", folder / "study", "--workers", "2"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*map(str, command)], start_new_session=True, env=os.environ | environment, **quiet)


def ended_as_unbroken(folder: Path, unbroken: Path) -> bool:
    """Whether a study, made to its end, holds what an unbroken one does."""
    records = make_study(load_experiment(experiment(folder, LONG)), folder / "study", workers=1)
    leftovers = [file for file in (folder / "study").rglob(".*.tmp") if "report" not in file.name]
    return not leftovers and all(same(record.path, unbroken / record.path.name) for record in records)


def kills(whole: Path, rng: np.random.Generator, n: int) -> Outcomes:
    """Kill a study with its two workers while they train, once or twice; then make it to its end."""
    unbroken = whole.parent / "unbroken"
    make_study(load_experiment(experiment(unbroken, LONG)), unbroken / "study", workers=1)
    for _ in range(n):
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder)
            in_training = False
            for _ in range(rng.integers(1, 3)):
                process = child(where)
                before = measured(where)
                while measured(where) <= before and process.poll() is None:
                    time.sleep(0.01)
                time.sleep(rng.uniform(0, 2))
                in_training |= process.poll() is None
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
            good = ended_as_unbroken(where, unbroken / "study")
            yield ("killed in training, made good" if in_training else "ended before") if good else "silent"


def measured(folder: Path) -> int:
    """Bytes of measurements so far."""
    return sum(file.stat().st_size for file in folder.glob("study/*/measurements.jsonl"))


def limits(whole: Path, rng: np.random.Generator, n: int) -> Outcomes:
    """Let no file grow beyond some size, as a full disk does, at measurements, samples or checkpoints; then go on."""
    unbroken = whole.parent / "unbroken"
    make_study(load_experiment(experiment(unbroken, LONG)), unbroken / "study", workers=1)
    for _ in range(n):
        with tempfile.TemporaryDirectory() as folder:
            process = child(Path(folder), LARGEST_FILE=str(int(np.exp(rng.uniform(np.log(500), np.log(60_000))))))
            _, errors = process.communicate()
            told = (
                process.returncode == 2 and b"cannot be written: larger than" in errors and b"Traceback" not in errors
            )
            yield "found, made good" if told and ended_as_unbroken(Path(folder), unbroken / "study") else "silent"


FAULTS: dict[str, tuple[int, Callable[[Path, np.random.Generator, int], Outcomes]]] = {
    "truncations": (1000, truncations),
    "flips": (1000, flips),
    "checkpoints": (200, checkpoints),
    "lost": (100, lost),
    "kills": (25, kills),
    "limits": (10, limits),
}

if __name__ == "__main__":
    main()
