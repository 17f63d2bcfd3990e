import json
import math
from pathlib import Path

import pytest
import torch
from loops import HELDOUT, Net, Plain, loss, loss_of_global_torch, train
from processes import by_two

import taumem
from taumem.analysis import usual_prior
from taumem.errors import ConfigError, RecordError
from taumem.monitor.arguments import FORECAST_CONFIDENCE
from taumem.monitor.pilot_folder import PilotFolder
from taumem.monitor.pilot_log import LATE_STEPS, PilotLog
from taumem.monitor.subsets import Subset

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*no larger than the batch size:taumem.errors.TaumemWarning",
    "ignore:The forecast's interval spans:taumem.errors.TaumemWarning",
)

ITEMS = taumem.GaussianMixture.two_modes(6).sample(64, torch.Generator().manual_seed(0))


def pilots(folder, calls=None, **options):
    def train_on(items, guard):
        if calls is not None:
            calls.append(len(items))
        torch.manual_seed(0)
        train(guard, train=items, loss=loss_of_global_torch, steps=3000, model=Plain())

    options = {"loss": loss, "sizes": (8, 16), "repeats": 1, "n_draws": 4, "batch_size": 8} | options
    return taumem.pilot(train_on, ITEMS, folder=folder, **options)


@pytest.mark.slow
def test_pilots_make_a_study_that_says_when_to_stop_and_are_not_made_twice(tmp_path):
    calls, lines = [], []
    study = pilots(tmp_path / "pilots", calls, log=lines.append)
    assert calls == [8, 16]
    assert [record.header.data.n_train for record in study.records] == [8, 16]
    assert [record.header.data.n_heldout for record in study.records] == [56, 48]
    assert lines[0].startswith("64 items: 2 pilots of 8, 16")
    assert "P = 8 is no larger than the batch size" in lines[1]
    assert "2 sizes only" in lines[2]
    assert "Pilots end at P = 16" in lines[3]
    assert "located at step" in lines[4]
    assert f"The pilots took {sum(record.last_step for record in study.records):,} steps" in lines[-1]
    assert lines[-1].startswith("Forecast for all 64")
    guard = taumem.Guard(loss, train=ITEMS, forecast=study, on_onset="stop")
    law = study.forecast(64).law
    assert guard.stop_step == law.predict(64, confidence=FORECAST_CONFIDENCE).low
    again = pilots(tmp_path / "pilots", calls, log=None)
    assert calls == [8, 16]
    assert again.forecast(64).predicted == study.forecast(64).predicted
    pilots(tmp_path / "pilots", calls, sizes=(8, 16, 24), log=None)
    assert calls == [8, 16, 24]


@pytest.mark.slow
def test_an_interrupted_pilot_begins_anew(tmp_path):
    def interrupted(items, guard):
        train(guard, train=items, loss=loss_of_global_torch, steps=30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taumem.pilot(interrupted, ITEMS, loss=loss, sizes=(8, 16), repeats=1, folder=tmp_path, log=None)
    before = (tmp_path / "P000008-repeat0" / "measurements.jsonl").read_bytes()
    calls = []
    study = pilots(tmp_path, calls, log=None, batch_size=None, n_draws=None)
    assert calls == [8, 16]
    assert before
    assert all(json.loads((record.path / "pilot.json").read_text())["stop"] for record in study.records)


@pytest.mark.slow
def test_groups_stay_together_and_are_what_is_counted(tmp_path):
    groups = [place // 2 for place in range(len(ITEMS))]
    study = pilots(tmp_path, groups=groups, sizes=(4, 8), log=None)
    assert [record.header.data.n_train for record in study.records] == [4, 8]
    assert taumem.Guard(loss, train=ITEMS, forecast=study, n_train=32).stop_step > 0


@pytest.mark.slow
def test_a_training_that_ends_by_itself_leaves_a_bound(tmp_path):
    def short(items, guard):
        train(guard, train=items, loss=loss_of_global_torch, steps=20)

    lines = []
    study = taumem.pilot(short, ITEMS, loss=loss, sizes=(8, 16), repeats=1, folder=tmp_path, log=lines.append)
    assert "ended by step 19" in lines[3]
    assert lines[-1].startswith("No forecast")
    assert len(study.records) == 2


def test_a_limit_of_steps_ends_a_pilot(tmp_path):
    lines = []
    pilots(tmp_path, max_steps=20, log=lines.append)
    assert "the most that was allowed" in lines[4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"train_on": 3}, ConfigError, "train_on is called"),
        ({"heldout": HELDOUT}, ConfigError, "heldout"),
        ({"clock": "tau_vall"}, ConfigError, "tau_val"),
        ({"train_on": lambda items, guard: None}, ConfigError, "without a look"),
        ({"loss": lambda m, x, g: 3.0}, ConfigError, "returned float"),
        ({"sizes": (8, 62)}, ConfigError, "leaves 2 items"),
        ({"sizes": 8}, ConfigError, "ascending whole numbers"),
        ({"max_steps": 0}, ConfigError, "max_steps is a number"),
        ({"max_steps": 1.5}, ConfigError, "max_steps is a number"),
        ({"batchsize": 8}, ConfigError, "did you mean 'batch_size'"),
        ({"ema": Plain()}, ConfigError, "hand these to the guard as the model"),
        ({"optimizer": None}, ConfigError, "belongs to one training"),
    ],
)
def test_pilots_that_cannot_be_made_are_refused(tmp_path, options, kind, told):
    def train_on(items, guard):
        train(guard, train=items, loss=loss_of_global_torch, steps=10)

    given = {"train_on": train_on, "items": ITEMS, "loss": loss, "sizes": (8, 16), "folder": tmp_path, "log": None}
    with pytest.raises(kind, match=told):
        taumem.pilot(**(given | options))


def test_a_folder_of_other_pilots_is_refused(tmp_path):
    pilots(tmp_path, max_steps=10, log=None)
    with pytest.raises(RecordError, match="holds other pilots: its seed is 0, this one has 1"):
        pilots(tmp_path, seed=1, max_steps=10, log=None)


def test_pilots_may_be_of_a_dataset(tmp_path):
    seen = []

    def train_on(items, guard):
        seen.append(type(items).__name__)
        model = Net()
        for step in range(1, 12):
            guard(model, step)

    dataset = torch.utils.data.TensorDataset(ITEMS)
    taumem.pilot(
        train_on, dataset, loss=lambda m, x, g: loss(m, x[0], g), sizes=(8, 16), repeats=1, folder=tmp_path, log=None
    )
    assert seen == ["Subset", "Subset"]
    assert (Path(tmp_path) / "pilots.json").exists()


@pytest.mark.slow
def test_an_interrupted_pilot_leaves_nothing_in_the_record_of_the_one_made_anew(tmp_path):
    """Another training under the same folder gives other numbers: those of the first must all be gone."""

    def interrupted(items, guard):
        train(guard, train=items, loss=loss_of_global_torch, steps=30, seed=7, model=Plain())
        raise KeyboardInterrupt

    options = {"sizes": (8, 16), "repeats": 1, "n_draws": 4, "batch_size": 8, "log": None}
    with pytest.raises(KeyboardInterrupt):
        taumem.pilot(interrupted, ITEMS, loss=loss, folder=tmp_path / "cut", **options)
    again, unbroken = pilots(tmp_path / "cut", log=None), pilots(tmp_path / "whole", log=None)
    for ours, theirs in zip(again.records, unbroken.records, strict=True):
        assert [(*m.key, m.value) for m in ours.measurements] == [(*m.key, m.value) for m in theirs.measurements]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"batch_size": 16}, "its batch_size is 8, this one has 16"),
        ({"n_draws": 8}, "its n_draws is 4, this one has 8"),
        ({"timesteps": 1000}, "its timesteps is null, this one has 1000"),
        ({"clock": "tau_gen"}, "its clock is"),
        ({"n_heldout": 32}, "its n_heldout is 256, this one has 32"),
        ({"groups": [place // 2 for place in range(64)]}, "its items is"),
    ],
)
def test_finished_pilots_are_not_taken_for_those_of_other_settings(tmp_path, changed, told):
    pilots(tmp_path, max_steps=10, log=None)
    with pytest.raises(RecordError, match=f"holds other pilots: {told}"):
        pilots(tmp_path, **({"max_steps": 10, "log": None} | changed))


def test_settings_that_are_said_and_those_that_are_meant_are_the_same(tmp_path):
    calls = []
    pilots(tmp_path, calls, max_steps=10, log=None)
    pilots(tmp_path, calls, max_steps=10, log=None, deterministic=False, n_items=256)
    assert calls == [8, 16]


def test_settings_may_be_changed_as_long_as_no_pilot_is_finished(tmp_path):
    with pytest.raises(ConfigError, match="returned float"):
        pilots(tmp_path, loss=lambda model, items, generator: 3.0, log=None)
    assert pilots(tmp_path, batch_size=4, max_steps=10, log=None).batch_sizes == [4]


def test_pilots_of_another_dataset_are_refused(tmp_path):
    def train_on(items, guard):
        model = Net()
        for step in range(1, 12):
            guard(model, step)

    options = {"loss": lambda m, x, g: loss(m, x[0], g), "sizes": (8, 16), "repeats": 1, "log": None}
    make, other = torch.utils.data.TensorDataset, ITEMS + 1
    taumem.pilot(train_on, make(ITEMS), folder=tmp_path, **options)
    taumem.pilot(train_on, make(ITEMS.clone()), folder=tmp_path, **options)
    with pytest.raises(RecordError, match="holds other pilots: its items is"):
        taumem.pilot(train_on, make(other), folder=tmp_path, **options)


def test_disjoint_pilots_of_other_sizes_would_be_drawn_otherwise_and_are_refused(tmp_path):
    pilots(tmp_path, nested=False, max_steps=10, log=None)
    with pytest.raises(RecordError, match="its sizes is"):
        pilots(tmp_path, nested=False, sizes=(4, 8, 16), max_steps=10, log=None)


@pytest.mark.slow
def test_a_limit_that_is_raised_makes_the_pilots_anew_that_it_ended(tmp_path):
    calls = []
    pilots(tmp_path, calls, max_steps=10, log=None)
    pilots(tmp_path, calls, max_steps=10, log=None)
    assert calls == [8, 16]
    study = pilots(tmp_path, calls, log=None)
    assert calls == [8, 16, 8, 16]
    assert study.forecast(32).law is not None


def test_nothing_is_removed_where_no_pilots_were(tmp_path):
    (tmp_path / "P000008-repeat0").mkdir()
    (tmp_path / "P000008-repeat0" / "run.json").write_text("{}")
    with pytest.raises(RecordError, match=r"no pilots\.json beside it"):
        pilots(tmp_path, log=None)
    assert (tmp_path / "P000008-repeat0" / "run.json").read_text() == "{}"


def test_two_at_once_do_not_make_the_same_pilots(tmp_path):
    with PilotFolder(tmp_path).opened({}), pytest.raises(RecordError, match="another process is making these pilots"):
        pilots(tmp_path, log=None)
    pilots(tmp_path, max_steps=10, log=None)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_note_of_a_finished_pilot_is_named(tmp_path, content):
    pilots(tmp_path, max_steps=10, log=None)
    (tmp_path / "P000008-repeat0" / "pilot.json").write_text(content)
    with pytest.raises(RecordError, match=r"pilot\.json.*is made again"):
        pilots(tmp_path, max_steps=10, log=None)


def test_a_pilot_that_takes_much_longer_than_smaller_ones_says_so_at_each_doubling():
    lines = []
    log = PilotLog(lines.append, 2, "tau_val")
    late = log.overdue(Subset(10, 0, (), ()))
    for step in (LATE_STEPS - 1, LATE_STEPS, LATE_STEPS + 1, 2 * LATE_STEPS):
        late({}, step)
    assert [f"by step {step:,}" in line for step, line in zip((LATE_STEPS, 2 * LATE_STEPS), lines, strict=True)]
    log.of_pilot(Subset(10, 0, (), ()), {"step": 300, "reason": "located", "since": 100, "message": "found."})
    late = log.overdue(Subset(20, 0, (), ()))
    expected = 100 * 2 ** usual_prior().exponent[0]
    late({}, math.floor(10 * expected))
    assert len(lines) == 3
    late({}, step := math.ceil(10 * expected))
    late({"taumem/onset_step": 900.0}, 9000)
    assert f"Pilot 2 of 2, P = 20: tau_val is not located by step {step:,}" in lines[-1]
    assert f"at about {expected:,.0f}" in lines[-1]


def test_options_of_the_users_reach_the_guard_of_every_pilot(tmp_path):
    seen = []
    pilots(tmp_path, max_steps=10, log=None, sinks=(lambda numbers, step: seen.append(step),))
    assert seen.count(8) == 2


def _one_of_two(rank, folder):
    lines = []
    study = pilots(folder, max_steps=40, log=lines.append)
    with pytest.raises(RecordError) as refused:
        pilots(folder, max_steps=40, seed=1, log=None)
    numbers = [(*m.key, m.value) for record in study.records for m in record.measurements]
    return numbers, len(lines) > 0, str(refused.value)


@pytest.mark.slow
def test_two_processes_make_pilots_as_one(tmp_path):
    first, second = by_two(_one_of_two, tmp_path)
    assert first[0] == second[0] != []
    assert (first[1], second[1]) == (True, False)  # one speaks
    assert first[2] == second[2]
    assert "its seed is 0, this one has 1" in first[2]


def test_processes_that_do_not_know_of_one_another_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ConfigError, match="init_process_group first"):
        pilots(tmp_path, log=None)
