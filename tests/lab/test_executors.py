"""Where tasks run: what dies takes nothing else with it, and what is made is the same wherever it is made."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import CancelledError, Executor, Future
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from small_sweeps import Worker, held, small_sweep

from taumem.analysis.standing import standings
from taumem.errors import ConfigError, RecordError
from taumem.lab import load_sweep, make_study, make_sweep
from taumem.lab.executors import Processes, RayExecutor, Resources, SlurmExecutor, WorkerDied, executor_named
from taumem.lab.jobs import Task, jobs_of
from taumem.lab.plan import plans_of
from taumem.record.state import State, note_state, read_state

RATES = "training.learning_rate=1e-3,3e-3"
STEPS = 400
"""Enough to be killed in training."""


@pytest.mark.slow
def test_a_process_that_dies_takes_its_task_with_it_and_no_other_and_what_waits_can_be_dropped():
    """Killed processes are those of the sweeps below."""
    executor = Processes(1)
    before = executor.submit(abs, -1)
    dies = executor.submit(os._exit, 3)
    fails = executor.submit(int, "x")
    cannot_be_sent = executor.submit(lambda: 1)
    after = executor.submit(abs, -2)
    assert (before.result(), after.result()) == (1, 2)
    with pytest.raises(WorkerDied, match="ended with exit code 3"):
        dies.result()
    with pytest.raises(ValueError, match="invalid literal"):
        fails.result()
    with pytest.raises(Exception, match="pickle"):
        cannot_be_sent.result()

    runs, waits = executor.submit(time.sleep, 0.3), executor.submit(abs, -1)
    while not runs.running():
        time.sleep(0.01)
    executor.shutdown(cancel_futures=True)
    assert runs.result() is None
    with pytest.raises(CancelledError):
        waits.result()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "module", "extra"), [("ray", "ray", "ray"), ("slurm", "submitit", "slurm")])
def test_an_executor_that_is_not_installed_is_asked_for_in_a_line(tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'taumem\[{extra}\]'"):
        executor_named(name, tmp_path, Resources())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_executors_that_there_are_not_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no executor 'slrum'; did you mean 'slurm'"):
        executor_named("slrum", tmp_path, Resources())
    with pytest.raises(ConfigError, match="at least 1 process trains"):
        executor_named("local", tmp_path, Resources(workers=0))
    with pytest.raises(ConfigError, match=r"whole processors and GPUs; got 0\.5"):
        executor_named("slurm", tmp_path, Resources(gpus=0.5))


@pytest.mark.slow  # as all that submitit does
def test_a_job_of_slurm_that_is_out_of_time_is_handed_in_again(tmp_path):
    pytest.importorskip("submitit")
    first = tmp_path / "first"
    # submitit warns a job of its end by this signal; one of a few minutes it then takes to be out of time.
    job = f"""import os, pathlib, signal, time
if not pathlib.Path({str(first)!r}).exists():
    pathlib.Path({str(first)!r}).touch()
    os.kill(os.getpid(), signal.SIGUSR2)
    time.sleep(10)
pathlib.Path({str(tmp_path / "again")!r}).touch()"""
    with SlurmExecutor(tmp_path / ".slurm", options={"cluster": "local", "timeout_min": 1}) as executor:
        assert executor.submit(exec, job).result(timeout=60) is None
    assert (tmp_path / "again").exists()


@pytest.mark.slow
def test_an_option_of_a_kind_that_submitit_does_not_take_is_refused_in_a_line(tmp_path):
    pytest.importorskip("submitit")
    for wrong in ("04:00", 0.5):
        with pytest.raises(ConfigError, match=r"submitit: .*timeout_min.*expected type"):
            SlurmExecutor(tmp_path, options={"cluster": "local", "timeout_min": wrong})


@pytest.mark.slow
def test_a_run_says_that_it_lives_while_what_it_starts_from_is_made(tmp_path, monkeypatch):
    (job,) = jobs_of(plans_of(*small_sweep(tmp_path).studies.values()), tmp_path / "out", together=False, workers=1)
    noted = []

    def waits(self, on_step, on_wait):
        for _ in range(3):
            (tmp_path / "out" / self.plans[0].name / "state.json").unlink()
            on_wait()
            noted.append(read_state(tmp_path / "out" / self.plans[0].name).name)

    monkeypatch.setattr("taumem.lab.jobs.SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr("taumem.lab.jobs.Job.make", waits)
    assert Task(job)() is None
    assert noted == ["running"] * 3


class Elsewhere(Executor):
    """Machines that are not this one: what they are given is kept, and done by nobody."""

    def __init__(self, error=None):
        self.tasks, self.error = [], error

    def submit(self, fn, /, *args, **kwargs):
        self.tasks.append(args[-1])
        future = Future()
        if self.error is None:
            future.set_result(None)
        else:
            future.set_exception(self.error)
        return future


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_who_asks_for_runs_elsewhere_needs_neither_their_gpu_nor_their_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("taumem.lab.prepared.memory_of_device", lambda device: (1, device))
    sweep, elsewhere = small_sweep(tmp_path), Elsewhere(WorkerDied("nobody is there"))
    make_sweep(sweep, tmp_path / "out", device="cuda", executor=elsewhere, retries=0)
    (study,) = sweep.studies.values()
    with pytest.raises(RecordError, match="nobody is there"):
        make_study(study, tmp_path / "study", device="cuda", executor=elsewhere)
    assert [plan.device for task in elsewhere.tasks for plan in task.job.plans] == ["cuda", "cuda"]
    with pytest.raises(ConfigError, match="torch cannot use it here"):
        make_study(study, tmp_path / "here", device="cuda")
    with pytest.raises(ConfigError, match="none of that name"):
        make_study(study, tmp_path / "named", device="cude", executor=elsewhere)


@pytest.mark.slow
def test_workers_that_stand_in_another_folder_read_and_write_in_the_one_of_who_asks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("".join(f"{n:06b}\n" for n in range(64)))
    Path("words.toml").write_text(
        """
        name = "words"
        n_train = [8]
        twins = false
        data = {source = "lines", path = "words.txt"}
        diffusion = {kind = "masked"}
        model = {kind = "transformer", width = 8, depth = 1, heads = 1}
        training = {batch_size = 4, min_steps = 8, steps_per_example = 0}
        monitor = {n_items = 8, n_heldout_items = 8, first = 4, per_doubling = 1, n_samples = 0}
        """
    )
    swept = make_sweep(load_sweep("words.toml"), Path("out"), executor=Worker(tmp_path / "another"))
    assert swept.failures == {}
    assert [run.state for run in standings(Path("out"))[0]] == ["finished"]
    assert list((tmp_path / "another").iterdir()) == []


@pytest.mark.slow
def test_runs_that_nobody_sees_in_the_folder_are_failures(tmp_path):
    swept = make_sweep(small_sweep(tmp_path, RATES), tmp_path / "out", executor=Elsewhere())
    assert len(swept.failures) == 2
    assert all("do all machines see that folder?" in reason for reason in swept.failures.values())


@pytest.mark.slow
def test_a_run_that_says_it_runs_was_interrupted_if_its_process_is_gone(tmp_path):
    gone = 2**22 + 1  # beyond the largest number that Linux gives
    note_state(tmp_path, State("running", 7, pid=gone))
    assert read_state(tmp_path).now == "interrupted"
    note_state(tmp_path, State("running", 7))
    assert read_state(tmp_path).now == "running"
    note_state(tmp_path, State("running", 7, at=time.time() - 3600))  # a look may take that long
    assert read_state(tmp_path).now == "running"
    note_state(tmp_path, State("running", 7, host="another"))
    assert read_state(tmp_path).now == "running"
    note_state(tmp_path, State("running", 7, host="another", at=time.time() - 3600))
    assert read_state(tmp_path).now == "interrupted"
    for content in ("", "[]", "{}", '{"name": "asleep", "step": 3}'):
        (tmp_path / "state.json").write_text(content)
        assert read_state(tmp_path) is None


def in_training(sweep: Path) -> list[int]:
    """The processes that train runs of a sweep in this moment."""
    states = [state for file in sweep.glob("*/*/state.json") if (state := read_state(file.parent))]
    return [state.pid for state in states if state.now == "running" and state.step]


class KillsOne(threading.Thread):
    """Kills the first process that it finds in training, once."""

    def __init__(self, sweep: Path) -> None:
        super().__init__(daemon=True)
        self.sweep, self.killed = sweep, False

    def run(self) -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and not self.killed:
            for pid in in_training(self.sweep)[:1]:
                os.kill(pid, signal.SIGKILL)
                self.killed = True
            time.sleep(0.02)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, object]:
    """What the sweep holds that nobody disturbs."""
    folder = tmp_path_factory.mktemp("unbroken")
    make_sweep(small_sweep(folder, RATES, steps=STEPS), folder / "out", workers=1)
    return held(folder / "out")


def of_processes(folder: Path) -> Processes:
    return Processes(2)


def of_ray(folder: Path) -> RayExecutor:
    return RayExecutor(workers=2)


def of_submitit(folder: Path) -> SlurmExecutor:
    return SlurmExecutor(folder / ".slurm", workers=2, options={"cluster": "local"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor_of", "module"),
    [
        pytest.param(of_processes, "taumem", id="processes"),
        pytest.param(of_ray, "ray", id="ray"),
        pytest.param(of_submitit, "submitit", id="submitit"),
    ],
)
def test_a_sweep_by_two_workers_one_of_them_killed_gives_the_same_records(tmp_path, unbroken, executor_of, module):
    if find_spec(module) is None:
        pytest.skip(f"no {module}")
    sweep = small_sweep(tmp_path, RATES, steps=STEPS)
    kills = KillsOne(tmp_path / "out")
    kills.start()
    with executor_of(tmp_path / "out") as executor:
        swept = make_sweep(sweep, tmp_path / "out", executor=executor, retries=1)
    assert kills.killed
    assert swept.failures == {}
    assert {run.state for run in standings(tmp_path / "out")[0]} == {"finished"}
    assert held(tmp_path / "out") == unbroken


@pytest.mark.slow
def test_a_run_whose_process_is_killed_and_not_begun_again_is_listed_and_the_same_command_makes_it(tmp_path, unbroken):
    sweep = small_sweep(tmp_path, RATES, steps=STEPS)
    kills = KillsOne(tmp_path / "out")
    kills.start()
    with Processes(1) as executor:
        swept = make_sweep(sweep, tmp_path / "out", executor=executor, retries=0)
    ((run, reason),) = swept.failures.items()
    assert "was killed by signal 9 (out of memory?). What was done is kept" in reason
    assert {str(s.path.relative_to(tmp_path / "out")): s.state for s in standings(tmp_path / "out")[0]}[run] == "failed"
    assert make_sweep(sweep, tmp_path / "out", workers=1).failures == {}
    assert held(tmp_path / "out") == unbroken
