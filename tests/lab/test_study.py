import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny

from taumem.analysis import find_twins
from taumem.errors import ConfigError, DataError, RecordError
from taumem.lab import Interrupted, RunPlan, load_experiment, make_run, make_study, plans_of
from taumem.record import CopyRule, RunRecord


def facts(record: RunRecord) -> list[dict]:
    """All that was measured, but for the time it took."""
    return [m.model_dump(exclude={"seconds"}) for m in record.measurements]


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_at", [1, 5, 8, 37, 60])
def test_an_interrupted_run_ends_as_an_unbroken_one(tmp_path, interrupted_at):
    plan = RunPlan(tiny(), 8, 0, "a", keep=(32,))
    make_run(plan, tmp_path / "unbroken")

    def on_step(plan: RunPlan, step: int) -> None:
        if step == interrupted_at:
            raise Interrupted

    with pytest.raises(Interrupted):
        make_run(plan, tmp_path / "broken", on_step)
    make_run(plan, tmp_path / "broken")

    unbroken, broken = (RunRecord.read(tmp_path / which / plan.name) for which in ("unbroken", "broken"))
    assert facts(broken) == facts(unbroken)
    assert broken.array_steps() == unbroken.array_steps()
    for step in (32, 60):
        states = [load_file(plan.checkpoint(tmp_path / which, step)) for which in ("unbroken", "broken")]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])
    assert [int(path.stem) for path in plan.checkpoints(tmp_path / "broken")] == [32, 60]


@pytest.mark.slow
def test_a_run_notes_how_it_was_measured_and_one_of_the_first_schema_that_had_not_goes_on(tmp_path):
    plan = RunPlan(tiny(), 8, 0, "a")
    make_run(plan, tmp_path / "unbroken")
    unbroken = RunRecord.read(tmp_path / "unbroken" / plan.name)
    assert set(unbroken.header.probes) == {"LossGap", "EmpiricalGap", "Copies", "OptimizerState"}
    assert unbroken.header.copy_rule == CopyRule(measure="gap_ratio", threshold=1 / 3, near_duplicates="one")

    def on_step(plan: RunPlan, step: int) -> None:
        if step == 37:
            raise Interrupted

    with pytest.raises(Interrupted):
        make_run(plan, tmp_path / "broken", on_step)
    file = tmp_path / "broken" / plan.name / "run.json"
    content = json.loads(file.read_text()) | {"schema_version": 1}
    del content["probes"], content["copy_rule"], content["data"]["kind"], content["check"]
    file.write_text(json.dumps(content))
    make_run(plan, tmp_path / "broken")
    broken = RunRecord.read(tmp_path / "broken" / plan.name)
    assert facts(broken) == facts(unbroken)
    assert broken.header.noted == unbroken.header.noted


def test_a_finished_run_is_not_made_again(tmp_path):
    plan = RunPlan(tiny(), 8, 0, None)
    make_run(plan, tmp_path)
    steps: list[int] = []
    make_run(plan, tmp_path, lambda plan, step: steps.append(step))
    assert steps == []


@pytest.mark.slow
def test_twins_are_trained_on_disjoint_sets_and_measured_on_each_others(tmp_path):
    a, b = plans_of(tiny(n_train=[16]))
    one, other = a.prepare(), b.prepare()
    assert torch.equal(other.twin_items, one.split.train)
    assert torch.equal(one.twin_items, other.split.train)
    assert not set(map(tuple, one.split.train.tolist())) & set(map(tuple, other.split.train.tolist()))
    records = make_study(tiny(n_train=[16]), tmp_path, workers=1)
    assert len(find_twins(records)) == 1
    assert {"train_loss", "heldout_loss", "twin_loss", "gap", "copy_fraction", "membership_auc"} <= set(
        records[0].quantities
    )
    # The two have no noise in common, and no weights: their losses differ from the first look on.
    assert records[0].curve("heldout_loss").values[0] != records[1].curve("heldout_loss").values[0]


def test_sizes_are_nested_and_the_heldout_data_stay_the_same():
    small, large = (RunPlan(tiny(), n, 0, "b").prepare().split for n in (8, 16))
    assert torch.equal(large.train[:8], small.train)
    assert torch.equal(large.heldout, small.heldout)


def test_a_size_that_the_data_do_not_have_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(DataError, match="two disjoint training sets of P = 97 need 194"):
        make_study(tiny(n_train=[8, 97]), tmp_path, workers=1)
    assert list(tmp_path.iterdir()) == []  # the corrected command finds the folder free
    with pytest.raises(DataError, match="P = 193"):
        make_study(tiny(n_train=[8, 193], twins=False), tmp_path, workers=1)


def test_a_device_that_is_not_there_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ConfigError, match="device 'abacus'"):
        make_study(tiny(), tmp_path, workers=1, device="abacus")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_folder_of_another_experiment_is_refused(tmp_path):
    make_study(tiny(n_train=[8]), tmp_path, workers=1)
    other = tiny(n_train=[8], model={"kind": "mlp", "width": 8})
    with pytest.raises(RecordError, match=r"another experiment .*its model\.[a-z_]+ is "):
        make_study(other, tmp_path, workers=1)


@pytest.mark.slow
def test_a_study_may_grow_by_sizes_and_seeds(tmp_path):
    first = make_study(tiny(n_train=[8]), tmp_path, workers=1)
    grown = make_study(tiny(n_train=[8, 16], seeds=[0, 1]), tmp_path, workers=1)
    assert len(grown) == 8
    make_study(tiny(n_train=[16]), tmp_path, workers=1)
    noted = load_experiment(tmp_path / "experiment.json")
    assert (noted.n_train, noted.seeds) == ((8, 16), (0, 1))  # what the folder holds, not what was asked for last
    assert facts(grown[0]) == facts(first[0])


@pytest.mark.slow
def test_an_error_in_a_worker_reaches_the_caller(tmp_path):
    diverging = tiny(training={"batch_size": 4, "learning_rate": 1e30, "clip": None, "min_steps": 40})
    with pytest.raises(RecordError, match="smaller learning rate"):
        make_study(diverging, tmp_path, workers=2)


@pytest.mark.slow
def test_averaged_weights_are_the_ones_that_are_measured(tmp_path):
    raw = tiny(n_train=[8], training={**tiny().training.model_dump(), "ema_window": None})
    averaged = make_study(tiny(n_train=[8]), tmp_path / "ema", workers=1)[0]
    plain = make_study(raw, tmp_path / "raw", workers=1)[0]
    assert (averaged.header.weights, plain.header.weights) == ("ema", "raw")
    assert not np.allclose(averaged.curve("train_loss").values, plain.curve("train_loss").values)


def test_a_warm_up_that_leaves_a_decay_no_steps_is_refused_before_anything_is_made(tmp_path):
    training = {"batch_size": 4, "min_steps": 60, "steps_per_example": 0, "schedule": "cosine", "warmup": 60}
    with pytest.raises(ConfigError, match="past the warm-up of 60 steps; got 60"):
        make_study(tiny(training=training), tmp_path / "study")
    assert not (tmp_path / "study").exists()
