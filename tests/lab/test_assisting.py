"""Runs that several processes make together: by gloo, on this machine."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import TINY

from taumem.analysis import Study
from taumem.errors import RecordError
from taumem.lab import Experiment, Interrupted, assisting, make_run, plans_of
from taumem.lab.assisting import assist, leading, led, prepared_everywhere
from taumem.record import read_runs

launched = pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="needs Accelerate")


CLOCK = "tau_gap_grown[0.1]"


def experiment(steps: int = 240) -> Experiment:
    """A run that ends once it has learned its 8 items by heart, or after so many steps."""
    lasts = {"min_steps": 20, "steps_per_example": steps / 8, "learning_rate": 3e-3, "stop_at_clock": CLOCK}
    changes = {
        "n_train": [8],
        "twins": False,
        "data": TINY["data"] | {"dimensions": 16},
        "model": TINY["model"] | {"width": 64},
        "training": TINY["training"] | lasts,
        "monitor": TINY["monitor"] | {"per_doubling": 4, "n_heldout_items": 64},
    }
    return Experiment.model_validate(TINY | changes)


def run(folder: Path, experiment: Experiment, processes: int, *options: str) -> subprocess.CompletedProcess[str]:
    file = folder.parent / f"{folder.name}-{processes}-{len(options)}.json"
    file.write_text(experiment.model_dump_json())
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launch if processes > 1 else []), "-m", "taumem", "run", str(file), "-o", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *options], env=environment, capture_output=True, text=True, timeout=240)


def assert_same(unbroken: Path, other: Path) -> None:
    """Losses, clock and last step are the same, but that the other was looked at where it was broken, too."""
    (expected,), (found,) = read_runs(unbroken), read_runs(other)
    assert (found.last_step, found.header.identity) == (expected.last_step, expected.header.identity)
    losses = [
        {(m.step, m.quantity, m.t): m.value for m in record.measurements if m.quantity.endswith("_loss")}
        for record in (expected, found)
    ]
    assert {step for step, *_ in losses[1].keys() - losses[0].keys()} <= {30}
    for key, value in losses[0].items():
        assert losses[1][key] == pytest.approx(value, rel=2e-3, abs=2e-4), key
    onsets = [next(o for o in Study.of([record]).onsets if o.clock == CLOCK) for record in (expected, found)]
    assert onsets[0].censored == onsets[1].censored == "no"
    assert onsets[1].step == pytest.approx(onsets[0].step, rel=0.02)


@pytest.mark.slow
@launched
def test_two_processes_make_the_run_of_one_and_each_goes_on_with_what_the_other_left(tmp_path):
    assert run(tmp_path / "one", experiment(), 1).returncode == 0
    begun = run(tmp_path / "two", experiment(30), 2, "--json")
    assert begun.returncode == 0, begun.stderr
    assert "onsets" in json.loads(begun.stdout)  # one of them speaks
    assert run(tmp_path / "two", experiment(), 1).returncode == 0
    assert_same(tmp_path / "one", tmp_path / "two")
    assert run(tmp_path / "three", experiment(30), 1).returncode == 0
    assert run(tmp_path / "three", experiment(), 2).returncode == 0
    assert_same(tmp_path / "one", tmp_path / "three")


@pytest.mark.slow
@launched
def test_a_batch_with_fewer_items_than_processes_is_refused_in_one_line(tmp_path):
    few = experiment().model_copy(update={"training": experiment().training.model_copy(update={"batch_size": 1})})
    refused = run(tmp_path / "few", few, 2)
    assert refused.returncode != 0
    assert "a batch of 1 cannot be cut into 2 parts" in refused.stderr


NAME = "tiny/P000008-seed0"


class TestWithoutProcesses:
    """What the first process says is put into a row, and given to the others."""

    @pytest.fixture
    def said(self, monkeypatch) -> list[object]:
        row: list[object] = []
        monkeypatch.setattr(
            assisting, "told_by_first", lambda value: row.append(value) if value is not None else row.pop(0)
        )
        return row

    def test_others_take_each_step_with_the_first_and_go_on_where_it_goes_on(self, said, tmp_path):
        plan = plans_of(experiment())[0]
        make_run(plan, tmp_path)
        (file,) = plan.checkpoints(tmp_path)
        ended = int(file.stem)
        assert said == [*((NAME, step) for step in range(ended)), ""]
        for row in ([(NAME, 0), (NAME, 1), (NAME, 2), ""], [(NAME, ended), ""]):  # from the start, from a checkpoint
            said[:] = row
            assist(*prepared_everywhere(plan), tmp_path)
            assert not said

    def test_others_are_told_before_each_step_and_that_it_is_over(self, said):
        plan = plans_of(experiment())[0]
        prepared, learner = prepared_everywhere(plan)
        with leading():
            for step in led(prepared.training(learner), plan, learner):
                if step.index == 2:
                    break
        assert said == [(NAME, 0), (NAME, 1), ""]

    @pytest.mark.parametrize(
        ("raised", "others"),
        [(KeyboardInterrupt(), Interrupted), (RecordError("the loss is not finite."), RecordError)],
    )
    def test_what_ends_the_first_ends_the_others(self, said, tmp_path, raised, others):
        with pytest.raises(type(raised)), leading():
            raise raised
        with pytest.raises(others):
            assist(*prepared_everywhere(plans_of(experiment())[0]), tmp_path)

    @pytest.mark.parametrize("told", [("tiny/P000016-seed0", 0), (NAME, 7)])
    def test_one_that_is_out_of_step_ends_rather_than_mix_two_runs(self, said, tmp_path, told):
        said.append(told)  # another run; a checkpoint that is not to be seen from here
        with pytest.raises(SystemExit, match="error: "):
            assist(*prepared_everywhere(plans_of(experiment())[0]), tmp_path)
