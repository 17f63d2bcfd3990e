"""Augmentation in an experiment: its keys, its record, and that probes ask about images as they are."""

import pytest
import torch
from tiny import tiny

from taumem.errors import ConfigError
from taumem.lab import Interrupted, RunPlan, load_experiment, make_run, make_study
from taumem.record import RunRecord

AUGMENTED = {"flips": True, "shifts": 1}


def of_images(shifts: int = 1, **training) -> dict:
    usual = {"batch_size": 4, "learning_rate": 1e-2, "min_steps": 40, "steps_per_example": 0}
    return {
        "data": {"source": "fashion-mnist", "size": 4, "n_heldout": 8},
        "twins": False,
        "training": usual | AUGMENTED | {"shifts": shifts} | training,
    }


def losses(folder) -> list[float]:
    return [m.value for m in RunRecord.read(folder).measurements if m.quantity in ("train_loss", "heldout_loss")]


def test_it_is_in_the_record_and_changes_training_but_not_what_probes_ask(tmp_path):
    experiment, plain = tiny(**of_images()), tiny(**of_images(shifts=0, flips=False))
    plan, without = RunPlan(experiment, 8, 0, None), RunPlan(plain, 8, 0, None)
    for each, name in ((plan, "augmented"), (without, "plain")):
        make_run(each, tmp_path / name)
    records = [RunRecord.read(tmp_path / name / plan.name) for name in ("augmented", "plain")]
    assert {key: records[0].header.experiment["training"][key] for key in AUGMENTED} == AUGMENTED
    assert losses(tmp_path / "augmented" / plan.name) != losses(tmp_path / "plain" / plan.name)
    one, other = plan.prepare(), without.prepare()
    assert torch.equal(one.split.train, other.split.train)
    asked = one.learner()  # untrained, both monitors measure the same
    for prepared, name in ((one, "a"), (other, "b")):
        with RunRecord.open(tmp_path / name, prepared.header()) as record:
            prepared.monitor(record).look(asked.averaged, 1, 4)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_an_interrupted_run_ends_as_an_unbroken_one(tmp_path):
    plan = RunPlan(tiny(**of_images()), 8, 0, None)

    def on_step(plan: RunPlan, step: int) -> None:
        if step == 11:
            raise Interrupted

    make_run(plan, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        make_run(plan, tmp_path / "broken", on_step)
    make_run(plan, tmp_path / "broken")
    assert losses(tmp_path / "broken" / plan.name) == losses(tmp_path / "unbroken" / plan.name)


@pytest.mark.slow
def test_runs_made_together_are_augmented_too(tmp_path):
    for together in (True, False):
        experiment = tiny(**of_images(together=together))
        make_study(experiment, tmp_path / str(together), workers=1)
    for run in ("P000008-seed0", "P000016-seed0"):
        one, other = (losses(tmp_path / str(together) / run) for together in (True, False))
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("key", ["flips=true", "shifts=1"])
def test_it_is_refused_where_there_are_no_images(key):
    with pytest.raises(ConfigError, match=r"for images; data\.source 'mixture' has none"):
        load_experiment("mixture", [f"training.{key}"])


def test_shifts_out_of_sight_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ConfigError, match="4 x 4 out of sight"):
        make_study(tiny(**of_images(shifts=4)), tmp_path / "study", workers=1)
    assert not (tmp_path / "study").exists()
