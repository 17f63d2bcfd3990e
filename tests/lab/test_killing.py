"""Processes of a sweep, killed at random while they train: the same command ends it as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_sweeps import held, toml_file

from taumem.analysis.standing import standings
from taumem.lab import load_sweep, make_sweep
from taumem.record.state import read_state

SCRIPT = Path(__file__).with_name("killed_sweep.py")
STEPS = 4000


def in_training(sweep: Path) -> list[int]:
    """The processes that train runs of a sweep in this moment."""
    states = [state for file in sweep.glob("*/*/state.json") if (state := read_state(file.parent))]
    return [state.pid for state in states if state.now == "running" and state.step]


def start(file: Path, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(file), str(folder)], start_new_session=True)


@pytest.mark.filterwarnings("ignore::taumem.errors.TaumemWarning")  # a torn line, perhaps
@pytest.mark.parametrize("n_kills", [pytest.param(6, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.long)])
def test_a_sweep_whose_processes_are_killed_at_random_ends_as_an_unbroken_one(n_kills, tmp_path):
    file = toml_file(tmp_path, STEPS, "[over]\ntraining.learning_rate = [1e-3, 3e-3]\nseeds = [[0], [1]]\n")
    sweep = load_sweep(file)
    make_sweep(sweep, tmp_path / "unbroken", workers=1)
    unbroken, rng = held(tmp_path / "unbroken"), np.random.default_rng(0)
    killed = {"parent": 0, "worker": 0}
    dead: list[int] = []
    round_ = 0
    while sum(killed.values()) < n_kills:
        round_ += 1
        folder = tmp_path / f"killed{round_}"
        process = start(file, folder)
        try:
            while sum(killed.values()) < n_kills:
                while process.poll() is None and not in_training(folder):
                    time.sleep(0.01)
                time.sleep(rng.uniform(0, 0.3))
                victims = [pid for pid in in_training(folder) if pid not in dead]
                if process.poll() is not None:
                    break  # it has ended: another one
                if victims and rng.random() < 0.8:
                    dead.append(int(rng.choice(victims)))  # it is there, to be asked about, until its parent knows
                    os.kill(dead[-1], signal.SIGKILL)
                    killed["worker"] += 1
                elif victims:
                    process.kill()
                    killed["parent"] += 1
                    process.wait()
                    process = start(file, folder)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        wait_until_all_have_left(folder)
        assert make_sweep(sweep, folder, workers=1).failures == {}
        assert {run.state for run in standings(folder)[0]} == {"finished"}
        assert held(folder) == unbroken
    print(f"killed in training: {killed}, in {round_} sweeps")


def wait_until_all_have_left(folder: Path) -> None:
    """Workers whose parent is gone leave by themselves."""
    deadline = time.monotonic() + 60
    while in_training(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
