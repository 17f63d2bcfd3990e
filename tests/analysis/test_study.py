import json
import math

import numpy as np
import pytest
from planted import STEPS, curve, header, heldout, items_of, share_curve, twins, written

from taumem.analysis import Forecast, Interval, Onset, Study, find_onsets, fit_law, usual_prior
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import Measurement, RunKey, RunRecord

SIZES = (16, 32, 64, 128)
T = STEPS.astype(float)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for n_train in SIZES:
        loss = items_of(heldout(T, 8.0 * n_train), 48, np.random.default_rng(n_train), noise=0.02)
        runs.append(written(folder, header(n_train), [curve("heldout_loss", T, loss)]))
    return runs


def of(records, clock):
    return [onset for onset in find_onsets(records) if onset.clock == clock]


def test_a_study_is_what_its_parts_say(records):
    study = Study.of(records[::-1])
    assert list(study.onsets) == find_onsets(records)
    assert study.laws["tau_val"] == fit_law(of(records, "tau_val"), exponent=None)
    assert study.fits(1.0)[0]["tau_val"] == fit_law(of(records, "tau_val"))
    assert (study.sizes, study.batch_sizes, study.experiments) == ([*SIZES], [16], ["study"])
    assert study.headline.clock == "tau_val"


def test_nothing_is_computed_before_it_is_asked_for_and_nothing_twice(records, monkeypatch):
    fits = []
    monkeypatch.setattr(
        "taumem.analysis.laws.fit_law", lambda *a, **k: fits.append(k.get("exponent", "prior")) or fit_law(*a, **k)
    )
    study = Study.of(records)
    assert "onsets" not in vars(study)
    for _ in range(2):
        study.forecast(256)
        study.to_json()
    assert sorted(map(str, fits)) == sorted(map(str, ["prior", None, None, 1.0]))  # tau_val, both clocks, c P


def test_a_forecast_is_the_prediction_of_the_law_with_a_floor_and_the_usual_exponent(records):
    forecast = Study.of(records[:3], confidence=0.5).forecast(128)
    onsets = [o for o in find_onsets(records[:3], confidence=0.5) if o.clock == "tau_val"]
    law = fit_law(onsets, prior=usual_prior(), confidence=0.5)
    assert (forecast.law, forecast.predicted) == (law, law.predict(128))
    content = json.loads(json.dumps(forecast.to_json(), allow_nan=False))
    assert content["examples"]["value"] == pytest.approx(16 * content["steps"]["value"])


def test_passes_are_steps_times_the_batch_over_the_training_set(records):
    forecast = Study.of(records).forecast(256)
    assert forecast.passes.value == pytest.approx(forecast.predicted.value * 16 / 256)
    assert forecast.passes.low == pytest.approx(forecast.examples.low / 256)
    assert forecast.supported == ("steps",)
    assert "steps at batch size 16" in forecast.support
    content = forecast.to_json()
    assert content["passes"]["value"] == pytest.approx(content["steps"]["value"] * 16 / 256)
    assert (content["supported"], content["differences"]) == (["steps"], [])


def test_with_full_batches_a_step_is_a_pass_and_both_are_supported():
    onsets = [Onset(9.0 * p**0.4, 8.0, 99.0, "no", "tau_val", RunKey(p, p)) for p in (16, 32, 64) for _ in range(2)]
    forecast = Forecast("tau_val", 256, fit_law(onsets, exponent=None).predict(256), law=fit_law(onsets, exponent=None))
    assert forecast.passes.value == pytest.approx(forecast.predicted.value)
    assert forecast.supported == ("steps", "passes")


def test_a_run_that_differs_from_its_pilots_is_told_in_which_things_and_none_of_the_units_is_supported(records):
    study = Study.of(records)
    forecast = study.forecast(256, target={"weights": "ema", "learning_rate": 1e-4})
    assert [(d.name, d.pilots) for d in forecast.differences] == [("averaged weights", "raw"), ("learning rate", None)]
    assert forecast.supported == ()
    assert forecast.support.startswith("The run differs from the pilots (averaged weights): ")
    assert forecast.predicted == study.forecast(256).predicted
    assert json.loads(json.dumps(forecast.to_json()))["differences"][1]["pilots"] is None
    assert study.forecast(256, target=records[0].header).differences == ()
    with pytest.raises(ConfigError, match="described by its header, or by a mapping"):
        study.forecast(256, target="a run")


def test_a_forecast_is_carried_to_another_batch_size_by_what_other_studies_showed(records):
    study = Study.of(records)
    own, forecast = study.forecast(256), study.forecast(256, batch_size=64)
    mean, sd = usual_prior().batch
    assert own == study.forecast(256, batch_size=16)
    assert (forecast.predicted.batch_size, forecast.examples.value) == (64, 64 * forecast.predicted.value)
    # without the floor, which does not move, it would be 4^-mean
    assert 4**-mean < forecast.predicted.value / own.predicted.value < 1
    assert forecast.predicted.high / forecast.predicted.low > own.predicted.high / own.predicted.low
    (difference,) = forecast.differences
    assert (difference.pilots, difference.target, difference.is_carried) == ("16", "64", True)
    assert "by B^-k with k = 0.7" in str(difference)
    assert "as other studies showed it, not these pilots" in forecast.support
    assert forecast.supported == ("steps",)
    for target in (
        {"batch_size": 64},
        {"training": {"batch_size": 64}},
        records[0].header.model_copy(update={"batch_size": 64}),
    ):
        assert study.forecast(256, target=target).predicted == forecast.predicted
    both = study.forecast(64, batch_size="P", target={"batch_size": 32, "weights": "ema"})
    assert both.predicted == study.forecast(64, batch_size=64).predicted
    assert [(d.name, d.is_carried) for d in both.differences] == [("batch size", True), ("averaged weights", False)]
    assert both.supported == ()
    assert forecast.law.batch_exponent.high - forecast.law.batch_exponent.low == pytest.approx(2 * 1.645 * sd, rel=0.1)


def test_runs_of_several_batch_sizes_are_one_law_and_a_forecast_names_its_own(records, tmp_path):
    k, mixed = 0.6, list(records)
    for n_train in SIZES[1:]:
        loss = items_of(
            heldout(T, 8.0 * n_train * (n_train / 16) ** -k), 48, np.random.default_rng(n_train), noise=0.02
        )
        run = header(n_train).model_copy(update={"batch_size": n_train})
        mixed.append(written(tmp_path, run, [curve("heldout_loss", T, loss)]))
    study = Study.of(mixed)
    law = study.laws["tau_val"]
    assert k in law.batch_exponent
    assert 1 in law.exponent
    assert law.predict(128, batch_size="P").value == pytest.approx(8 * 128 * 8**-k, rel=0.15)
    forecast = study.forecast(256, batch_size=64)
    assert "as the pilots show it" in forecast.support
    assert study.next_pilot(256, batch_size=64).spent_share > 0
    with pytest.raises(ConfigError, match="batches of 16, 32, 64, 128: name the batch size"):
        study.forecast(256)
    assert not any("no larger than the batch size" in caution for caution in study.cautions)
    assert not any("One batch size" in sentence for sentence in study.missing())


def test_onsets_carry_the_numbers_of_their_experiment(tmp_path):
    experiment = {"training": {"learning_rate": 1e-3, "batch_size": "P", "betas": [0.9, 0.99]}, "twins": True}
    loss = items_of(heldout(T, 300.0), 48, np.random.default_rng(0), noise=0.02)
    run = written(tmp_path, header(experiment=experiment), [curve("heldout_loss", T, loss)])
    found = next(onset for onset in find_onsets([run]) if onset.clock == "tau_val")
    assert found.settings == {"training.learning_rate": 1e-3, "twins": 1.0}
    assert found.unit == "steps"
    assert "settings" not in repr(found)


def test_a_batch_size_that_was_not_recorded_leaves_steps_alone():
    onsets = [Onset(9.0 * p, 8.0 * p, 10.0 * p, "no", "tau_val", RunKey(p, 0)) for p in (16, 32) for _ in range(2)]
    law = fit_law(onsets)
    forecast = Forecast("tau_val", 64, law.predict(64), law=law)
    assert (forecast.examples, forecast.passes, forecast.supported) == (None, None, ("steps",))
    assert "was not recorded" in forecast.support


def test_the_next_pilot_of_a_study_counts_what_its_pilots_took(records):
    study = Study.of(records, excluded={16})
    found = study.next_pilot(512)
    steps = sum(record.last_step for record in records[1:])
    assert found.spent_share == pytest.approx(steps / study.forecast(512).predicted.value)
    with pytest.raises(ConfigError, match="did you mean 'tau_val'"):
        study.next_pilot(1024, "tau_vla")
    with pytest.raises(ConfigError, match="a whole number of at least 1"):
        study.next_pilot(0)


def test_excluded_sizes_enter_no_fit_but_are_there(records):
    study = Study.of(records, excluded={128})
    assert study.laws["tau_val"].sizes == (16, 32, 64)
    assert max(onset.n_train for onset in study.onsets) == 128
    study.laws["typo"] = study.laws["tau_val"]  # a dict of the caller's own
    assert list(study.laws) == [clock.clock for clock in study.clocks if clock.free]
    none = Study.of(records, excluded=SIZES)
    assert none.laws == {}
    assert "every size with an onset is excluded" in none.fits(None)[1]["tau_val"]


def test_a_forecast_that_cannot_be_is_refused_with_a_reason(records, tmp_path):
    study = Study.of(records)
    with pytest.raises(ConfigError, match="did you mean 'tau_val'"):
        study.forecast(256, "tau_vla")
    with pytest.raises(ConfigError, match=r"no tau_copy\[0.05\], which needs samples"):
        study.forecast(256, "tau_copy[0.05]")
    with pytest.raises(ConfigError, match="needs 2 located onsets"):
        Study.of(records[:1]).forecast(256)
    valid = written(tmp_path, header(), [share_curve("valid[1]", T, [100] * len(T), 100)])
    with pytest.raises(ConfigError, match="does not grow in proportion to P"):
        Study.of([valid]).forecast(256, "tau_level[1]")
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Study.of(records, confidence=90)


def test_a_forecast_that_cannot_be_names_the_clocks_that_can(tmp_path):
    runs, rng = [], np.random.default_rng(0)
    for n_train in (16, 32, 64):  # the held-out loss falls to the end, and the training loss falls more
        held = 0.3 + np.exp(-T / 50)
        train = held * (1 - 0.4 * T / (T + 20 * n_train))
        curves = [
            curve(f"{name}_loss", T, items_of(loss, 48, rng, noise=0.02))
            for name, loss in (("heldout", held), ("train", train))
        ]
        runs.append(written(tmp_path, header(n_train), curves))
    study = Study.of(runs)
    with pytest.raises(ConfigError, match=r"these runs have located: .*tau_gap\[0.1\]") as refused:
        study.forecast(256)
    assert "tau_gen" not in str(refused.value)
    assert study.forecast(256, "tau_gap[0.1]").predicted


@pytest.mark.parametrize("n_train", ["1000", None, math.nan, math.inf, 1.5, 0, -4, [64]])
def test_what_is_no_size_is_refused_in_words_before_anything_is_fitted(records, n_train):
    with pytest.raises(ConfigError, match="a whole number of at least 1; got n_train = "):
        Study.of(records).forecast(n_train)


def test_a_whole_number_of_any_kind_is_a_size(records):
    study = Study.of(records)
    forecasts = [study.forecast(n_train) for n_train in (256, 256.0, np.int64(256), np.float64(256))]
    assert len({forecast.predicted for forecast in forecasts}) == 1
    assert {type(forecast.n_train) for forecast in forecasts} == {int}


def test_pilots_of_two_sizes_give_a_forecast_and_pilots_of_one_a_warning_with_it(records, tmp_path):
    forecast = Study.of(records[:2]).forecast(64)
    assert forecast.predicted.low < 8 * 64 < forecast.predicted.high
    loss = items_of(heldout(T, 8.0 * 32), 48, np.random.default_rng(9), noise=0.02)
    more = written(tmp_path, header(32, seed=1), [curve("heldout_loss", T, loss)])
    with pytest.warns(TaumemWarning, match="located at one size only"):
        Study.of([records[1], more]).forecast(64)


def test_an_exponent_of_another_kind_is_refused_in_words(records):
    for wrong in ("x", [1.0], {"mean": 1}):
        with pytest.raises(ConfigError, match="an exponent is a finite number"):
            Study.of(records).fits(wrong)


def test_what_is_asked_for_by_name_and_cannot_be_had_is_refused_at_once(tmp_path, records):
    def run(n_train, seed):
        experiment = {"training": {"learning_rate": 1e-3, "warmup": 10 + seed}}
        loss = items_of(heldout(T, 8.0 * n_train), 48, np.random.default_rng(n_train), noise=0.02)
        return written(tmp_path, header(n_train, seed=seed, experiment=experiment), [curve("heldout_loss", T, loss)])

    runs = [run(n_train, seed) for n_train in (16, 32) for seed in (0, 1)]
    of_more = records[-1]
    of_more = RunRecord.of(of_more.header.model_copy(update={"batch_size": 32}), of_more.measurements)
    assert Study.of(runs, tau_mem="tau_val", covariates=["training.warmup"]).phase.clock == "tau_val"
    wrong = [
        (
            {"covariates": ["training.lerning_rate"]},
            r"--covariate.*'training.lerning_rate'.*did you mean 'training.lear",
        ),
        (
            {"covariates": ["training.learning_rate"]},
            r"--covariate.*all of these runs have training.learning_rate = 0.001",
        ),
        ({"tau_mem": "tau_copy[0.05]"}, r"no clock 'tau_copy\[0.05\]' to be tau_mem.*tau_val"),
        (
            {"tau_mem": "tau_val", "unit": "effective_time"},
            r"no clock 'tau_val' to be tau_mem; they have no clocks at all",
        ),
        ({"all_data": runs[:1]}, r"--all-data.*all data are P = 16, and these runs have P = 16, 32"),
        ({"all_data": [of_more]}, r"--all-data.*is of one batch size; these runs have 16, 32"),
    ]
    for asked, words in wrong:
        with pytest.raises(ConfigError, match=words):
            Study.of(runs, **asked)
    named = [
        record.header.model_copy(update={"name": f"study {k}", "batch_size": 8 + k}) for k, record in enumerate(runs)
    ]
    mixed = [RunRecord.of(header, record.measurements) for header, record in zip(named, runs, strict=True)]
    with pytest.raises(ConfigError, match=r"--tau-mem.*nothing here rests on tau_val; no phase.*no price of stopping"):
        Study.of(mixed, tau_mem="tau_val")
    unasked = Study.of(mixed)
    assert (unasked.phase, unasked.price) == (None, None)
    assert unasked.to_json()["lacking"] == unasked.lacking
    assert set(unasked.lacking) == {"phase diagram", "price of stopping"}
    with pytest.raises(ConfigError, match=r"no clock 'tau_val' to be tau_mem; they have no clocks at all"):
        Study.of([], tau_mem="tau_val")


def test_a_study_is_of_one_time_and_takes_any_iterable(tmp_path, records):
    loss = curve("heldout_loss", T, items_of(heldout(T, 300.0), 8, np.random.default_rng(0)))
    rows = [
        Measurement(quantity="heldout_loss", value=v, items=tuple(i), count=8, step=int(s), examples=1, seconds=0)
        for v, i, s in zip(loss.values, loss.items, loss.steps, strict=True)
    ]
    with RunRecord.open(tmp_path / "live", header()) as live:
        live.append(rows[:20])
        study = Study.of(record for record in [live])
        live.append(rows[20:])
        assert study.records[0].last_step == rows[19].step < live.last_step
        assert study.onsets != Study.of([live]).onsets


def test_what_is_no_run_is_refused_and_one_run_is_a_study(records):
    assert Study.of(records[0]).sizes == [16]
    for wrong in ("folder", ["folder"], None):
        with pytest.raises(ConfigError, match="read_runs"):
            Study.of(wrong)
    assert repr(Study.of(records)) == "<Study of 4 runs of study, P = [16, 32, 64, 128]>"


def test_an_onset_knows_its_run_or_its_pair(tmp_path, records):
    a, b = twins(tmp_path, lambda s: 0.02 + 0.1 * np.log(s / 10), n_train=32, seed=7)
    study = Study.of([*records, b, a])
    assert [(x.path, y.path) for x, y in study.twins] == [(a.path, b.path)]
    keys = {record.header.key for record in study.records}
    assert all(o.run in keys or (o.run.half == "ab" and o.run == a.header.key.pair) for o in study.onsets)


def test_what_is_missing_is_said_of_every_clock_that_concerns_the_data(records):
    said = " ".join(Study.of(records).missing())
    assert "tau_copy could not be read: it needs samples" in said
    assert "tau_val could not be read" not in said
    assert "tau_level" not in said  # no question of vectors
    assert "One seed only" in said


def test_the_error_of_a_forecast_needs_a_measurement():
    made = Interval(1100.0, 900.0, 1300.0, 0.9)
    assert Forecast("tau_val", 256, made).relative_error is None
    assert Forecast("tau_val", 256, made, Interval(900.0, 900.0, math.inf, 0.9)).relative_error is None
