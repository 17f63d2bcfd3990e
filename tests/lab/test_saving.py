"""When runs are saved, where they stop, and who may write into a study's folder at once."""

import multiprocessing
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny

from taumem.diffusion import GaussianDiffusion
from taumem.errors import ConfigError, RecordError
from taumem.lab import RunPlan, load_experiment, make_run, make_study
from taumem.lab.interruption import children_ignore_ctrl_c, ctrl_c_waits
from taumem.lab.pace import SavingPace
from taumem.lab.studies import claim
from taumem.record import RunRecord


@pytest.fixture
def usual_ctrl_c():
    """Tests in the background, of a shell that has its children ignore it, get Ctrl-C as all others have it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(("takes", "apart"), [(0.01, 10.0), (0.2, 10.0), (1.0, 50.0), (60.0, 3000.0)])
def test_saving_costs_a_fiftieth_of_the_time_at_most_and_a_kill_ten_seconds_or_so(takes, apart):
    clock = Clock()
    pace = SavingPace(clock)
    saved, began = [], clock.seconds
    while clock.seconds < began + 20 * (apart + takes):
        clock.seconds += 0.25
        if pace.due:
            saved.append(clock.seconds)
            with pace.saving():
                clock.seconds += takes
    assert saved[0] == began + 10.25  # how long it takes is not known yet
    assert all(abs(later - earlier - apart - takes) <= 0.5 for earlier, later in pairwise(saved))
    assert takes * len(saved[1:]) <= 0.02 * (clock.seconds - began) + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 16, 37])
def test_ctrl_c_in_the_middle_of_a_step_lets_it_end_and_saves(tmp_path, monkeypatch, usual_ctrl_c, at):
    plan = RunPlan(tiny(), 8, 0, None)
    make_run(plan, tmp_path / "unbroken")
    in_training, plain_loss = [], GaussianDiffusion.loss

    def loss(self, denoiser, x0, t, noise):
        if torch.is_grad_enabled():
            in_training.append(1)
            if len(in_training) == at:
                signal.raise_signal(signal.SIGINT)
        return plain_loss(self, denoiser, x0, t, noise)

    monkeypatch.setattr(GaussianDiffusion, "loss", loss)
    with pytest.raises(KeyboardInterrupt):
        make_run(plan, tmp_path / "broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [int(file.stem) for file in plan.checkpoints(tmp_path / "broken")] == [at]
    make_run(plan, tmp_path / "broken")
    records = [RunRecord.read(tmp_path / which / plan.name) for which in ("unbroken", "broken")]
    assert [m.value for m in records[0].measurements] == [m.value for m in records[1].measurements]
    states = [load_file(plan.checkpoint(tmp_path / which, 60)) for which in ("unbroken", "broken")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])


def test_a_second_ctrl_c_does_not_wait(usual_ctrl_c):
    def press_twice() -> None:
        with ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("it waited")

    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_ctrl_c_that_nobody_asked_about_is_not_lost(usual_ctrl_c):
    with pytest.raises(KeyboardInterrupt), ctrl_c_waits():
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_that_means_something_else_goes_on_doing_so():
    calls: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        with ctrl_c_waits() as raise_if_it_came:
            signal.raise_signal(signal.SIGINT)
            raise_if_it_came()
    finally:
        signal.signal(signal.SIGINT, usual)
    assert calls == [signal.SIGINT]


def test_studies_that_claim_a_folder_at_once_keep_one_anothers_sizes(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    claims = [context.Process(target=claim_many, args=(start, tmp_path, k)) for k in range(4)]
    for process in claims:
        process.start()
    for process in claims:
        process.join(60)
        assert process.exitcode == 0
    assert load_experiment(tmp_path / "experiment.json").n_train == tuple(range(2, 42))


def claim_many(start, folder: Path, k: int) -> None:
    start.wait()
    for n_train in range(2 + k, 42, 4):
        claim(folder, tiny(n_train=[n_train]))


def test_a_folder_of_another_experiment_is_not_claimed(tmp_path):
    claim(tmp_path, tiny())
    with pytest.raises(RecordError, match="holds another experiment"):
        claim(tmp_path, tiny(name="other"))


def test_a_device_of_no_such_name_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(ConfigError, match=r"device 'gpu': .*expected cpu, cuda"):
        make_study(tiny(), tmp_path / "out", device="gpu")
    assert not (tmp_path / "out").exists()


def test_a_child_ignores_ctrl_c_from_its_first_moment_on_and_its_parent_does_not(usual_ctrl_c):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('still here')"
    with children_ignore_ctrl_c():
        assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "still here"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode != 0
    with pytest.raises(KeyboardInterrupt), children_ignore_ctrl_c():
        os.kill(os.getpid(), signal.SIGINT)
