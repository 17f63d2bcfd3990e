"""A run that lost something goes back to where its record and a checkpoint agree; a finished one may be made longer."""

import re
import shutil
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY, tiny

from taumem.analysis import Verdict
from taumem.analysis.stopping import ending
from taumem.errors import ConfigError, RecordError, TaumemWarning
from taumem.lab import (
    Experiment,
    Interrupted,
    RunPlan,
    domain,
    load_experiment,
    make_run,
    make_runs_together,
    make_study,
)
from taumem.lab import run as run_module
from taumem.monitor import Monitor
from taumem.record import RunRecord
from taumem.training import load_checkpoint

PLAN = RunPlan(tiny(), 8, 0, "a", keep=(32,))


def facts(run: Path) -> list[dict]:
    """All that was measured, but for the time it took."""
    return [m.model_dump(exclude={"seconds"}) for m in RunRecord.read(run).measurements]


def assert_same_run(one: Path, other: Path) -> None:
    """Records, samples and weights are the same to the bit."""
    assert facts(one) == facts(other)
    records = [RunRecord.read(run) for run in (one, other)]
    assert records[0].array_steps() == records[1].array_steps()
    for step in records[0].array_steps():
        arrays = [record.arrays(step) for record in records]
        assert {name: a.tobytes() for name, a in arrays[0].items()} == {n: a.tobytes() for n, a in arrays[1].items()}
    checkpoints = [sorted((run / "checkpoints").iterdir()) for run in (one, other)]
    assert [file.name for file in checkpoints[0]] == [file.name for file in checkpoints[1]]
    for pair in zip(*checkpoints, strict=True):
        states = [load_file(file) for file in pair]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    make_run(PLAN, folder)
    return folder / PLAN.name


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The same run, stopped at step 50."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Interrupted):
        make_run(PLAN, folder, stop_at(50))
    return folder / PLAN.name


def stop_at(at: int):
    def on_step(plan: RunPlan, step: int) -> None:
        if step == at:
            raise Interrupted

    return on_step


def cut(run: Path, n_lines: int, more: bytes = b"") -> None:
    file = run / "measurements.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:n_lines]) + more)


def n_lines_until(run: Path, step: int) -> int:
    return sum(m.step <= step for m in RunRecord.read(run).measurements)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


LOSSES = {
    "lost its last looks": (lambda run: cut(run, n_lines_until(run, 40)), "step 32"),
    "was cut inside a look": (lambda run: cut(run, n_lines_until(run, 40) + 2), "step 32"),
    "was cut inside a line": (lambda run: cut(run, n_lines_until(run, 40), b'{"quantity":"tra'), "step 32"),
    "lost looks before all checkpoints": (lambda run: cut(run, n_lines_until(run, 8) + 1), "step 0"),
    "lost its measurements": (lambda run: (run / "measurements.jsonl").unlink(), "step 0"),
    "lost its header and measurements": (
        lambda run: [(run / name).unlink() for name in ("run.json", "measurements.jsonl")],
        "step 0",
    ),
    "has a damaged checkpoint": (lambda run: flip(run / "checkpoints" / "00000050.safetensors"), "step 32"),
    "has damaged checkpoints": (lambda run: [flip(f) for f in (run / "checkpoints").iterdir()], "step 0"),
    "has an empty checkpoint": (lambda run: (run / "checkpoints" / "00000050.safetensors").write_bytes(b""), "step 32"),
}


@pytest.mark.parametrize(("lose", "back_to"), LOSSES.values(), ids=LOSSES.keys())
def test_a_run_that_lost_something_says_where_it_goes_back_to_and_ends_as_an_unbroken_one(
    tmp_path, stopped, unbroken, lose, back_to
):
    run = shutil.copytree(stopped, tmp_path / PLAN.name)
    lose(run)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_run(PLAN, tmp_path)
    (said,) = [str(w.message) for w in caught if "goes on from" in str(w.message)]
    assert re.search(rf"(damaged|has lost measurements).*goes on from {back_to}; what is measured again", said)
    assert_same_run(run, unbroken)
    make_run(PLAN, tmp_path)  # without a word


def test_an_older_copy_of_the_record_is_found_and_what_followed_is_measured_anew(tmp_path, unbroken):
    with pytest.raises(Interrupted):
        make_run(PLAN, tmp_path, stop_at(20))
    run = tmp_path / PLAN.name
    older = (run / "measurements.jsonl").read_bytes()
    make_run(PLAN, tmp_path)
    (run / "measurements.jsonl").write_bytes(older)
    with pytest.warns(TaumemWarning, match="has lost measurements.*goes on from step 0"):
        make_run(PLAN, tmp_path)
    assert_same_run(run, unbroken)


def test_a_record_that_is_longer_than_its_checkpoint_goes_on_without_a_word(tmp_path, stopped, unbroken):
    run = shutil.copytree(stopped, tmp_path / PLAN.name)
    (run / "checkpoints" / "00000050.safetensors").unlink()
    make_run(PLAN, tmp_path)
    assert_same_run(run, unbroken)


def test_of_a_step_that_is_to_be_kept_and_is_not_the_weights_are_made_again(tmp_path, unbroken):
    run = shutil.copytree(unbroken, tmp_path / PLAN.name)
    (run / "checkpoints" / "00000032.safetensors").unlink()
    make_run(PLAN, tmp_path)
    assert_same_run(run, unbroken)


def test_a_finished_run_whose_last_weights_are_damaged_is_not_made_again_and_says_so(tmp_path):
    plan = RunPlan(tiny(), 8, 0, None)
    make_run(plan, tmp_path)
    flip(plan.checkpoint(tmp_path, 60))
    with pytest.warns(TaumemWarning, match="damaged.*all of it is measured already"):
        make_run(plan, tmp_path, lambda plan, step: pytest.fail("it was trained"))


@pytest.mark.slow
def test_runs_in_one_program_go_back_too(tmp_path):
    plans = [RunPlan(tiny(), 8, 0, half) for half in ("a", "b")]
    make_runs_together(plans, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        make_runs_together(plans, tmp_path / "broken", stop_at(50))
    run = tmp_path / "broken" / plans[1].name
    cut(run, n_lines_until(run, 20))
    with pytest.warns(TaumemWarning, match=f"{plans[1].name}: it goes on from step 0"):
        make_runs_together(plans, tmp_path / "broken")
    for plan in plans:
        values = [
            [m.value for m in RunRecord.read(tmp_path / w / plan.name).measurements] for w in ("unbroken", "broken")
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-3)


def test_a_disk_that_is_full_at_the_end_is_told_and_the_other_runs_are_saved(tmp_path, monkeypatch):
    plans = [RunPlan(tiny(), 8, 0, half) for half in ("a", "b")]
    save = run_module.save_checkpoint

    def full_for_a(learner, path, record):
        if "seed0-a" in str(path):
            raise RecordError(f"{path}: cannot be written: the disk is full.")
        save(learner, path, record)

    monkeypatch.setattr(run_module, "save_checkpoint", full_for_a)
    with pytest.warns(TaumemWarning, match="the disk is full"), pytest.raises(Interrupted):
        make_runs_together(plans, tmp_path, stop_at(20))
    assert [len(plan.checkpoints(tmp_path)) for plan in plans] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("n_written", [0, 2, 5])
@pytest.mark.parametrize("step", [32, 60], ids=["on the way", "at the end"])
def test_a_look_that_was_not_made_or_not_written_whole_when_a_run_was_saved_is_made_up_for(
    tmp_path, monkeypatch, step, n_written
):
    plans = [RunPlan(tiny(), 8, 0, half) for half in ("a", "b")]
    make_runs_together(plans, tmp_path / "unbroken")
    runs = [RunRecord.read(tmp_path / "unbroken" / plan.name) for plan in plans]

    def failing_for_a(monitor: Monitor, model, at, *args, **options):
        if at == step and monitor.record.header.half == "a":
            raise RecordError("the disk is full")
        return look(monitor, model, at, *args, **options)

    look = Monitor.look
    with monkeypatch.context() as patch:
        patch.setattr(Monitor, "look", failing_for_a)
        with pytest.raises(RecordError, match="full"):
            make_runs_together(plans, tmp_path / "broken")
    with RunRecord.open(tmp_path / "broken" / plans[1].name, runs[1].header) as record:  # torn by a cut of the power
        record.append([m for m in runs[1].measurements if m.step == step][:n_written])
    make_runs_together(plans, tmp_path / "broken")
    for run in runs:
        again = RunRecord.read(tmp_path / "broken" / run.path.name)
        assert [m.key for m in again.measurements] == [m.key for m in run.measurements]


def test_a_last_look_that_lacks_one_diffusion_time_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(domain, "EmpiricalGap", partial(domain.EmpiricalGap, times=(0.5, 0.6)))
    plan = RunPlan(tiny(monitor={**TINY["monitor"], "n_samples": 0}), 8, 0, None)
    make_run(plan, tmp_path)
    run = tmp_path / plan.name
    before = facts(run)
    assert (before[-1]["quantity"], before[-1]["t"]) == ("empirical_gap", 0.6)
    cut(run, len(before) - 1)
    with pytest.warns(TaumemWarning, match="goes on from step 0"):
        make_run(plan, tmp_path)
    assert facts(run) == before


# --- longer runs ----------------------------------------------------------------------------------------------------


def longer(min_steps: int, **changes) -> Experiment:
    return tiny(training={**TINY["training"], "min_steps": min_steps}, **{"n_train": [8], "twins": False, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("first_stopped_at", [None, 37])
def test_a_run_that_is_made_longer_is_one_planned_long_but_for_the_look_at_its_first_end(tmp_path, first_stopped_at):
    make_study(longer(150), tmp_path / "long", workers=1)
    if first_stopped_at:
        with pytest.raises(Interrupted):
            make_run(RunPlan(longer(60), 8, 0, None), tmp_path / "grown", stop_at(first_stopped_at))
    else:
        make_study(longer(60), tmp_path / "grown", workers=1)
    (grown,) = make_study(longer(150), tmp_path / "grown", workers=1)
    extra = {} if first_stopped_at else {60}
    long = tmp_path / "long" / grown.path.name
    assert [f for f in facts(grown.path) if f["step"] not in extra] == facts(long)
    assert set(grown.steps) - set(RunRecord.read(long).steps) == set(extra)
    assert (grown.header.steps, grown.header) == (150, RunRecord.read(long).header)
    states = [load_file(run / "checkpoints" / "00000150.safetensors") for run in (grown.path, long)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])
    assert load_experiment(tmp_path / "grown" / "experiment.json").training.min_steps == 150


def test_a_study_is_not_made_shorter(tmp_path):
    make_study(longer(60), tmp_path, workers=1)
    with pytest.raises(
        RecordError, match=r"runs of P = 8 take 60 steps, here they would take 40; .*Ask for at least 60"
    ):
        make_study(longer(40), tmp_path, workers=1)


def test_a_run_that_stopped_at_copies_stays_as_it_is_and_goes_on_when_its_limit_is_lifted(tmp_path, monkeypatch):
    class Memorized:
        def __init__(self, limit: float) -> None:
            assert limit == 0.3

        def judge(self, record: RunRecord, step: int) -> Verdict:
            return Verdict(step >= 20, "from step 20 on")

    monkeypatch.setattr(ending, "CopiesExceed", Memorized)

    def made(**changes) -> RunRecord:
        (record,) = make_study(
            tiny(n_train=[8], twins=False, training={**TINY["training"], **changes}), tmp_path, workers=1
        )
        return record

    short = made(stop_at_copies=0.3)
    assert short.last_step < 60
    same = made(stop_at_copies=0.3, min_steps=80)
    assert (same.measurements, same.header.steps) == (short.measurements, 80)
    on = made(min_steps=80)
    assert on.last_step == 80
    assert on.measurements[: len(short.measurements)] == short.measurements


def test_a_run_ends_at_its_clock_but_not_before_its_least_steps_and_shows_its_samples(tmp_path, monkeypatch):
    class Struck:
        def __init__(self, clock: str) -> None:
            assert clock == "tau_val"

        def judge(self, record: RunRecord, step: int) -> Verdict:
            return Verdict(step >= 6, "from step 6 on")

    monkeypatch.setattr(ending, "Located", Struck)
    length = {"min_steps": 20, "steps_per_example": 10, "stop_at_clock": "tau_val"}
    study = tiny(n_train=[8], twins=False, training={**TINY["training"], **length})
    (record,) = make_study(study, tmp_path, workers=1)
    assert record.last_step == 23  # the first look from step 20 on; samples were due at step 32
    assert record.last_step == max(record.array_steps())
    (record.path / "checkpoints" / "00000023.safetensors").unlink()
    (again,) = make_study(study, tmp_path, workers=1)
    assert again.measurements == record.measurements
    assert not list((record.path / "checkpoints").iterdir())  # nothing was trained again


# --- names and places -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", ".hidden", "a\nb", "con"])
def test_an_experiment_whose_name_is_no_plain_name_of_a_folder_is_refused(name):
    with pytest.raises(ConfigError, match="name: it names the study's folder, so it is a plain name"):
        load_experiment("mixture", [f"name={name!r}"])


def test_a_file_where_the_studys_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="file: is a file; expected a folder"):
        make_study(longer(60), tmp_path / "file", workers=1)


def test_a_link_in_place_of_the_experiment_is_refused(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "experiment.json").symlink_to(tmp_path / "other.json")
    with pytest.raises(RecordError, match=r"experiment\.json: is a link to"):
        make_study(longer(60), tmp_path / "study", workers=1)
    assert not (tmp_path / "other.json").exists()


def test_a_checkpoint_in_the_hundreds_of_millions_is_later_than_one_before(tmp_path):
    for step in (100_000_000, 99_999_999):
        PLAN.checkpoint(tmp_path, step).parent.mkdir(parents=True, exist_ok=True)
        PLAN.checkpoint(tmp_path, step).write_bytes(b"")
    (tmp_path / PLAN.name / "checkpoints" / "mine.safetensors").write_bytes(b"")
    assert [int(file.stem) for file in PLAN.checkpoints(tmp_path)] == [99_999_999, 100_000_000]


def test_weights_are_read_without_a_record(unbroken):
    learner = PLAN.prepare().learner()
    load_checkpoint(learner, unbroken / "checkpoints" / "00000032.safetensors")
    assert learner.step == 32


def decaying(min_steps: int, **changes) -> Experiment:
    short = longer(min_steps)
    return short.model_copy(update={"training": short.training.model_copy(update={"schedule": "cosine"} | changes)})


@pytest.mark.slow
def test_a_run_whose_rate_decays_is_another_run_at_another_length(tmp_path):
    make_study(decaying(60), tmp_path / "study", workers=1)
    with pytest.raises(RecordError, match="holds another experiment"):
        make_study(decaying(150), tmp_path / "study", workers=1)
    make_run(RunPlan(decaying(60), 8, 0, None), tmp_path / "run")
    with pytest.raises(RecordError, match="min_steps"):
        make_run(RunPlan(decaying(150), 8, 0, None), tmp_path / "run")
    make_run(RunPlan(decaying(60, stop_at_clock="tau_val"), 8, 0, None), tmp_path / "run")


def test_a_rate_that_decays_is_zero_at_the_end_of_each_run(tmp_path):
    (record,) = make_study(decaying(60), tmp_path, workers=1)
    rates = record.curve("learning_rate")
    assert rates.values[-1] == pytest.approx(0, abs=1e-12)
    assert rates.values[0] == pytest.approx(1e-2, rel=0.05)
    assert record.curve("effective_time").values[-1] > 0
