"""The phase diagram of data without levels, over P and over a setting: its regions and laws are those planted."""

import numpy as np
import pytest
from planted import curve, header, heldout, items_of, written

from taumem.analysis import PhaseDiagram, Study, find_onsets
from taumem.errors import ConfigError
from taumem.record import Estimate, Measurement, RunRecord

SIZES = (16, 32, 64, 128)
T = np.unique(np.round(np.geomspace(10, 4000, 40)).astype(int)).astype(float)


def run(folder, n_train, minimum, *, seed=0, name="study", **more):
    about = header(n_train, seed=seed, **more).model_copy(update={"name": name})
    loss = items_of(heldout(T, minimum), 48, np.random.default_rng([seed, int(minimum)]), noise=0.02)
    return written(folder, about, [curve("heldout_loss", T, loss)])


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [run(folder, n, 8.0 * n, seed=seed) for n in SIZES for seed in (0, 1)]


@pytest.fixture(scope="module")
def over_width(tmp_path_factory):
    """At one size the loss turns at 4,000 / width: wider networks are sooner there."""
    folder = tmp_path_factory.mktemp("widths")
    widths = [(width, seed) for width in (8, 16, 32, 64) for seed in (0, 1)]
    return [
        run(folder, 64, 4000.0 / width, seed=seed, name=f"width={width}", experiment={"model": {"width": width}})
        for width, seed in widths
    ]


def test_each_look_is_before_tau_gen_or_between_the_clocks_or_after_tau_mem(records):
    found = Study.of(records).phase
    onsets = {(o.clock, o.run): o.step for o in find_onsets(records)}
    assert (found.clock, found.depth, found.over) == ("tau_val", 0, "P")
    assert {look.region for look in found.looks} == {"underfit", "generalization", "memorization"}
    for look in found.looks:
        key = next(r.header.key for r in records if (r.header.data.n_train, r.header.seed) == (look.n_train, look.seed))
        learned, memorized = onsets["tau_gen", key], onsets["tau_val", key]
        at = "memorization" if look.step >= memorized else "generalization" if look.step >= learned else "underfit"
        assert look.region == at
        assert look.x == look.n_train


def test_its_boundaries_are_the_laws_of_the_clocks(records):
    study = Study.of(records)
    (learned,), memorized = study.phase.boundaries, study.phase.memorization
    for boundary in (learned, memorized):
        assert boundary.exponent == study.laws[boundary.clock].exponent
        assert boundary.at(64) == pytest.approx(study.laws[boundary.clock].predict(64).value)
    assert memorized.linear.prefactor.value == pytest.approx(8, rel=0.15)
    assert learned.linear is None
    assert set(study.laws) >= {"tau_gen", "tau_val"}  # as before: no clock is taken from the table by the diagram
    assert study.headline.clock == "tau_val"
    assert study.hierarchy is None


def test_the_clock_of_memorization_can_be_chosen_and_a_wrong_one_is_told(records):
    assert Study.of(records, tau_mem="tau_gen").phase.memorization.clock == "tau_gen"
    with pytest.raises(ConfigError, match=r"these runs have no clock 'tau_vla' to be tau_mem; did you mean 'tau_val'"):
        Study.of(records, tau_mem="tau_vla")


def test_over_a_setting_the_laws_are_those_of_the_setting(over_width):
    study = Study.of(over_width, covariates=["model.width"])
    found = study.phase
    assert (found.over, found.is_over_sizes) == ("model.width", False)
    assert [size.x for size in found.levels] == [8, 16, 32, 64]
    assert -1.0 in found.memorization.exponent
    assert found.memorization.exponent.high < -0.8
    assert found.memorization.at(32) == pytest.approx(4000 / 32, rel=0.15)
    assert found.memorization.linear is None


def test_over_a_setting_all_runs_are_of_one_size_and_have_it(over_width, records):
    onsets = find_onsets([*over_width, *records])
    with pytest.raises(ConfigError, match="one size; these runs have 16, 64"):
        PhaseDiagram.of([*over_width, records[0]], onsets, over="model.width")
    with pytest.raises(ConfigError, match=r"over model\.depth needs its value, above 0; did you mean"):
        PhaseDiagram.of(over_width, onsets, over="model.depth")


def test_the_number_of_weights_is_a_setting_where_it_was_counted(tmp_path):
    counted = Estimate(quantity="learning_rate", value=1e-3, count=12_345)
    loss = items_of(heldout(T, 300.0), 48, np.random.default_rng(0), noise=0.02)
    seen = written(tmp_path, header(), [curve("heldout_loss", T, loss)])
    rows = [*seen.measurements, Measurement.of(counted, step=10, examples=160, seconds=0.0)]
    onsets = find_onsets([RunRecord.of(seen.header, rows)])
    assert {onset.settings["parameters"] for onset in onsets} == {12_345}
    assert "parameters" not in find_onsets([seen])[0].settings


def test_runs_of_several_studies_or_without_a_loss_say_why_there_is_no_diagram(records, tmp_path):
    other = [record.header.model_copy(update={"name": "other"}) for record in records[:1]]
    mixed = Study.of([*records, RunRecord.of(other[0], records[0].measurements)])
    assert "one study; these runs have other, study" in mixed.lacking["phase diagram"]
    bare = Study.of([RunRecord.of(header(), [])])
    assert "tau_gen of one run at least" in bare.lacking["phase diagram"]
    assert Study.of([]).lacking == {}
