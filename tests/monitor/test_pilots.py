import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loops import HELDOUT, Net, Plain, loss, loss_of_global_torch, train

import taumem
from taumem.analysis.feasibility import expected_factor, feasibility
from taumem.errors import ConfigError, RecordError
from taumem.monitor.arguments import FORECAST_CONFIDENCE
from taumem.monitor.subsets import subsets

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*no larger than the batch size:taumem.errors.TaumemWarning",
    "ignore:The forecast's interval spans:taumem.errors.TaumemWarning",
)

ITEMS = taumem.GaussianMixture.two_modes(6).sample(64, torch.Generator().manual_seed(0))


def drawn(n=40, sizes=(5, 10), repeats=2, nested=True, groups=None, n_heldout=256, seed=0):
    return subsets(n, sizes, repeats=repeats, nested=nested, groups=groups, n_heldout=n_heldout, seed=seed)


@given(
    n=st.integers(30, 90),
    sizes=st.lists(st.integers(2, 10), min_size=1, max_size=3, unique=True).map(sorted),
    repeats=st.integers(1, 3),
    nested=st.booleans(),
    labels=st.one_of(st.none(), st.integers(1, 3)),
)
def test_subsets_never_share_an_item_with_what_they_hold_out(n, sizes, repeats, nested, labels):
    groups = None if labels is None else [place // labels for place in range(n)]
    units = n if groups is None else len(set(groups))
    if (sizes[-1] if nested else sum(sizes)) * (labels or 1) > n - 8 or sizes[-1] >= units:
        return
    found = drawn(n, sizes, repeats, nested, groups)
    assert [s.size for s in found] == sorted(s * 1 for s in sizes for _ in range(repeats))
    for subset in found:
        label = groups.__getitem__ if groups else int
        inside, outside = set(map(label, subset.train)), set(map(label, subset.heldout))
        assert not inside & outside
        assert len(inside) == subset.size
        assert len(subset.train) + len(subset.heldout) == n
    for repeat in range(repeats):
        own = [set(s.train) for s in found if s.repeat == repeat]
        for small, large in pairwise(own):
            assert small < large if nested else not small & large


def test_subsets_are_the_same_when_drawn_again_and_other_ones_for_another_seed():
    assert drawn() == drawn()
    assert drawn(seed=1) != drawn()
    assert [s.train for s in drawn(sizes=(5, 10))][:2] == [s.train for s in drawn(sizes=(5, 12))][:2]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sizes": ()}, "ascending"),
        ({"sizes": (10, 5)}, "ascending"),
        ({"sizes": (5, 5)}, "ascending"),
        ({"sizes": (5.5,)}, "ascending"),
        ({"sizes": (1, 5)}, "from 2"),
        ({"sizes": (10, 40)}, "such as 20"),
        ({"sizes": (10, 35)}, "leaves 5 items.*may be 32"),
        ({"sizes": (15, 30), "nested": False}, "take 45"),
        ({"groups": [0] * 39}, "one label for each of the 40 items"),
        ({"groups": [0, 1] * 20}, "2 groups"),
        ({"repeats": 0}, "repeats"),
    ],
)
def test_sizes_that_cannot_be_drawn_are_refused_with_what_would_do(wrong, told):
    with pytest.raises(ConfigError, match=told):
        drawn(**wrong)


def test_the_expected_factor_is_that_of_forecasts_from_as_many_pilots():
    """Against simulated pilots: the factor said holds the truth about as often as a 90 % interval does."""
    rng = np.random.default_rng(0)
    said = expected_factor((10, 20), 2, 40)
    widths = []
    for _ in range(40):
        onsets = [
            taumem.Onset(t, t / 1.1, t * 1.1, "no", "tau_val", taumem.RunKey(n_train=p, batch_size=1, seed=s))
            for p in (10, 20)
            for s in (0, 1)
            for t in [15 * p**1.2 * np.exp(0.15 * rng.standard_normal())]
        ]
        law = taumem.fit_law(onsets, exponent=(1.2, 0.2), floor=True, confidence=0.9)
        forecast = law.predict(40)
        widths.append(np.sqrt(forecast.high / forecast.low))
    assert np.quantile(widths, 0.2) < said < np.quantile(widths, 0.8)


def test_more_pilots_and_larger_ones_narrow_what_is_expected():
    factors = [expected_factor((8, 16), 2, n) for n in (32, 64, 128)]
    assert factors == sorted(factors)
    assert expected_factor((8, 16), 4, 32) < factors[0]
    text = feasibility((10, 20), 2, 40, (20, 30))
    assert "4 pilots of 10, 20, 2 of each, with 20 to 30 held out" in text
    assert "add a size or a repeat" in feasibility((10,), 1, 40, (30, 30))


def pilots(folder, calls=None, **options):
    def train_on(items, guard):
        if calls is not None:
            calls.append(len(items))
        torch.manual_seed(0)
        train(guard, train=items, loss=loss_of_global_torch, steps=3000, model=Plain())

    options = {"sizes": (8, 16), "repeats": 1, "n_draws": 4, "batch_size": 8} | options
    return taumem.pilot(train_on, ITEMS, loss=loss, folder=folder, **options)


def test_pilots_make_a_study_that_says_when_to_stop_and_are_not_made_twice(tmp_path):
    calls, lines = [], []
    study = pilots(tmp_path / "pilots", calls, log=lines.append)
    assert calls == [8, 16]
    assert [record.header.data.n_train for record in study.records] == [8, 16]
    assert [record.header.data.n_heldout for record in study.records] == [56, 48]
    assert lines[0].startswith("64 items: 2 pilots of 8, 16")
    assert "P = 8 is no larger than the batch size" in lines[1]
    assert "located at step" in lines[2]
    assert lines[-1].startswith("Forecast for all 64")
    guard = taumem.Guard(loss, train=ITEMS, forecast=study, on_onset="stop")
    law = study.forecast(64).law
    assert guard.stop_step == law.predict(64, confidence=FORECAST_CONFIDENCE).low
    again = pilots(tmp_path / "pilots", calls, log=None)
    assert calls == [8, 16]
    assert again.forecast(64).predicted == study.forecast(64).predicted
    pilots(tmp_path / "pilots", calls, sizes=(8, 16, 24), log=None)
    assert calls == [8, 16, 24]


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


def test_groups_stay_together_and_are_what_is_counted(tmp_path):
    groups = [place // 2 for place in range(len(ITEMS))]
    study = pilots(tmp_path, groups=groups, sizes=(4, 8), log=None)
    assert [record.header.data.n_train for record in study.records] == [4, 8]
    assert taumem.Guard(loss, train=ITEMS, forecast=study, n_train=32).stop_step > 0


def test_a_training_that_ends_by_itself_leaves_a_bound(tmp_path):
    def short(items, guard):
        train(guard, train=items, loss=loss_of_global_torch, steps=20)

    lines = []
    study = taumem.pilot(short, ITEMS, loss=loss, sizes=(8, 16), repeats=1, folder=tmp_path, log=lines.append)
    assert "ended by step 19" in lines[1]
    assert lines[-1].startswith("No forecast")
    assert len(study.records) == 2


def test_a_limit_of_steps_ends_a_pilot(tmp_path):
    lines = []
    pilots(tmp_path, max_steps=20, log=lines.append)
    assert "the most that was allowed" in lines[2]


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"train_on": 3}, ConfigError, "train_on is called"),
        ({"heldout": HELDOUT}, ConfigError, "heldout"),
        ({"clock": "tau_vall"}, ConfigError, "tau_val"),
        ({"train_on": lambda items, guard: None}, ConfigError, "without a look"),
        ({"loss": lambda m, x, g: 3.0}, ConfigError, "returned float"),
        ({"sizes": (8, 62)}, ConfigError, "leaves 2 items"),
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
