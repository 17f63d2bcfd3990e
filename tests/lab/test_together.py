"""Studies of images whose runs train together: U-Nets side by side, of all sizes or of one after another."""

import json
from pathlib import Path

import pytest
from tiny import tiny

from taumem.errors import RecordError
from taumem.lab import Experiment, Interrupted, RunPlan, make_run, make_runs_together, make_study, plans_of
from taumem.monitor import Monitor
from taumem.record import RunRecord
from taumem.record.header import WAYS
from taumem.record.state import read_state


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


def stop_at(at: int):
    def on_step(plan: RunPlan, step: int) -> None:
        if step == at:
            raise Interrupted

    return on_step


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_older_study_begun_one_by_one_goes_on_in_parts_and_together(tmp_path):
    first, *_ = plans = plans_of(study(together=False))
    make_study(study(together=False), tmp_path / "alone", workers=1)
    with pytest.raises(Interrupted):
        make_run(first, tmp_path, stop_at(7))
    (tmp_path / "experiment.json").write_text(study(together=False).model_dump_json())
    for file in (tmp_path / "experiment.json", tmp_path / first.name / "run.json"):
        content = json.loads(file.read_text())
        content.pop("check", None)
        training = content.get("experiment", content)["training"]
        for word in (*set(WAYS) - {"together"}, "precision"):  # which there were not
            del training[word]
        file.write_text(json.dumps(content))
    with pytest.raises(Interrupted):
        make_run(
            RunPlan(study(together=False, accumulate=2, checkpoint_activations=True), 8, 0, "a"), tmp_path, stop_at(9)
        )
    make_study(study(), tmp_path, workers=1)
    for plan in plans:
        assert losses(tmp_path, plan) == pytest.approx(losses(tmp_path / "alone", plan), rel=1e-3)
    with pytest.raises(RecordError, match=r'training\.precision is "fp32", this one has "bf16"'):
        make_study(study(together=False, precision="bf16"), tmp_path, workers=1)


@pytest.mark.slow
def test_a_run_that_fails_leaves_and_the_others_are_finished(tmp_path, monkeypatch):
    plans = plans_of(study())
    broken = plans[0]

    def look(monitor: Monitor, model, at, *args, **options):
        if at >= 6 and monitor.record.path.name == broken.name:
            raise RecordError("training has diverged")
        return usual(monitor, model, at, *args, **options)

    usual = Monitor.look
    monkeypatch.setattr(Monitor, "look", look)
    for _ in range(2):  # the second time, it alone is trained
        with pytest.raises(RecordError, match="training has diverged"):
            make_study(study(), tmp_path, workers=1)
        states = {plan.name: read_state(tmp_path / plan.name) for plan in plans}
        assert {name for name, state in states.items() if state.name == "failed"} == {broken.name}
        assert [states[plan.name].name for plan in plans[1:]] == ["finished"] * 3
        assert [plan.checkpoint(tmp_path, plan.steps).exists() for plan in plans] == [False, True, True, True]
