"""Studies of images whose runs train together: U-Nets side by side, of all sizes or of one after another."""

from pathlib import Path

import pytest
from tiny import tiny

from taumem.lab import Experiment, Interrupted, RunPlan, make_run, make_runs_together, plans_of
from taumem.record import RunRecord


def study(**training) -> Experiment:
    usual = {"batch_size": 4, "min_steps": 12, "steps_per_example": 1, "ema_window": 0.1, "together": True}
    return tiny(
        data={"source": "fashion-mnist", "size": 8, "n_heldout": 32},
        model={"kind": "unet", "channels": 4, "multipliers": [1, 2], "patch": 2},
        training=usual | training,
    )


def losses(folder: Path, plan: RunPlan) -> dict:
    record = RunRecord.read(folder / plan.name)
    return {m.key: m.value for m in record.measurements if m.quantity.endswith("_loss")}


@pytest.mark.parametrize(
    "training",
    [{}, {"batch_size": "P"}, {"schedule": "cosine", "warmup": 3, "clip": 0.1}],
    ids=["at one rate", "batches of P", "rates that decay"],
)
def test_the_records_are_those_of_runs_made_one_by_one(tmp_path, training):
    plans = plans_of(study(**training))
    assert [plan.name for plan in plans] == [f"P0000{p}-seed0-{half}" for p in ("08", "16") for half in "ab"]
    make_runs_together(plans, tmp_path / "together")
    for plan in plans:
        make_run(plan, tmp_path / "alone")
        alone = losses(tmp_path / "alone", plan)
        assert len(alone) > 20
        assert losses(tmp_path / "together", plan) == pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize("training", [{}, {"batch_size": "P"}], ids=["all sizes at once", "one size after another"])
def test_interrupted_they_end_as_unbroken_ones(tmp_path, training):
    plans = plans_of(study(**training))

    def on_step(plan: RunPlan, step: int) -> None:
        if plan.n_train == 16 and step == 7:
            raise Interrupted

    make_runs_together(plans, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        make_runs_together(plans, tmp_path / "broken", on_step)
    make_runs_together(plans, tmp_path / "broken")
    for plan in plans:
        assert losses(tmp_path / "broken", plan) == losses(tmp_path / "unbroken", plan)
