"""Onsets in effective time, of runs whose time is planted: T = 3 step^0.8, from looks that are far apart."""

import math

import numpy as np
import pytest
from planted import header

from taumem.analysis import Study, find_onsets, fit_law
from taumem.analysis.onset import NOISE
from taumem.analysis.timeline import Timeline, in_effective_time, reached
from taumem.errors import ConfigError
from taumem.monitor.arguments import onset_forecast
from taumem.record import Measurement, RunRecord
from taumem.report import write_report

LOOKS = (8, 16, 64, 256, 1024, 4096)


def planted_time(step: float) -> float:
    return 3 * step**0.8


def run(
    *, n_train: int = 64, seed: int = 0, batch_size: int = 16, turn: float = 300.0, heat: float | None = 0.1, **more
) -> RunRecord:
    """A run whose held-out loss turns at a step, and whose heat stays."""
    rng = np.random.default_rng([seed, n_train])
    offsets = 0.02 * rng.standard_normal(32)
    rows = []
    for step in (*LOOKS, *np.unique(np.geomspace(10, 4000, 30).astype(int)).tolist()):
        when = {"step": int(step), "examples": int(step) * batch_size, "seconds": 0.0}
        u = step / turn
        loss = 0.5 + 0.1 * (u**-0.6 / 0.6 + u**0.8 / 0.8)
        rows.append(Measurement(quantity="heldout_loss", value=loss, items=tuple(loss + offsets), count=32, **when))
        if step in LOOKS:
            rows.append(Measurement(quantity="effective_time", value=planted_time(step), **when))
            if heat is not None:
                rows.append(Measurement(quantity="heat", value=heat * step**0.0, **when))
    return RunRecord.of(header(n_train, seed=seed, **more).model_copy(update={"batch_size": batch_size}), rows)


def test_time_goes_as_a_power_of_the_step_between_looks_and_in_proportion_to_it_before_them():
    timeline = Timeline.of(run())
    for step in (8, 11, 100, 4096):
        assert timeline.at(step) == pytest.approx(planted_time(step))
    assert timeline.at(2) == pytest.approx(planted_time(8) / 4)
    assert timeline.at(math.inf) == math.inf
    assert timeline.at(0) == 0


def test_an_onset_in_time_is_that_in_steps_at_its_time_with_its_ends():
    runs = [run()]
    steps, times = ({o.clock: o for o in find_onsets(runs, unit=unit)} for unit in ("steps", "effective_time"))
    assert steps.keys() == times.keys() >= {"tau_val"}
    for clock, onset in times.items():
        of_steps = steps[clock]
        assert onset.unit == "effective_time"
        assert onset.censored == of_steps.censored
        for end in ("step", "low", "high"):
            assert getattr(onset, end) == pytest.approx(Timeline.of(runs[0]).at(getattr(of_steps, end)))


def test_the_noise_of_an_onset_is_its_mean_heat_times_the_root_of_p():
    (onset, *_) = find_onsets([run(n_train=100)], unit="effective_time")
    assert onset.settings[NOISE] == pytest.approx(0.1 * 10)
    (onset, *_) = find_onsets([run(heat=None)], unit="effective_time")
    assert NOISE not in onset.settings


def test_heat_is_averaged_over_time_rather_than_over_steps():
    when = [{"step": step, "examples": 0, "seconds": 0.0} for step in LOOKS]
    rows = [Measurement(quantity="effective_time", value=planted_time(w["step"]), **w) for w in when]
    rows += [Measurement(quantity="heat", value=math.log(w["step"]), **w) for w in when]
    timeline = Timeline.of(RunRecord.of(header(), rows))
    # Of log s over T = s^0.8 from 8 to S, with log 8 before: log S - (1 - (8 / S)^0.8) / 0.8.
    expected = math.log(1024) - (1 - (8 / 1024) ** 0.8) / 0.8
    assert timeline.heat_until(1024) == pytest.approx(expected, rel=1e-3)


def test_runs_whose_time_was_not_measured_have_no_onsets_in_it():
    plain = run()
    without = RunRecord.of(plain.header, (m for m in plain.measurements if m.quantity == "heldout_loss"))
    assert Timeline.of(without) is None
    assert find_onsets([without]) != []
    assert find_onsets([without], unit="effective_time") == []


def test_twins_have_the_mean_of_their_times():
    a, b = (run(seed=1, half=half) for half in "ab")
    slower = RunRecord.of(
        b.header,
        (m.model_copy(update={"value": 3 * m.value}) if m.quantity == "effective_time" else m for m in b.measurements),
    )
    (onset, *_) = find_onsets([a])
    assert in_effective_time(onset, [a, slower]).step == pytest.approx(2 * Timeline.of(a).at(onset.step))
    assert in_effective_time(onset, [a, RunRecord.of(b.header, [])]) is None


def test_a_law_in_time_takes_runs_of_any_batch_size():
    runs = [
        run(n_train=p, batch_size=b, turn=5.0 * p, seed=k)
        for k, (p, b) in enumerate([(32, 8), (64, 32), (128, 8), (128, 128)])
    ]
    onsets = [o for o in find_onsets(runs, unit="effective_time") if o.clock == "tau_val"]
    law = fit_law(onsets, exponent=None)
    assert law.unit == "effective_time"
    assert law.exponent.value == pytest.approx(0.8, abs=0.1)


def test_there_are_two_units():
    with pytest.raises(ConfigError, match="steps or effective_time; got 'passes'"):
        find_onsets([run()], unit="passes")


def test_an_onset_past_the_last_known_time_has_none():
    whole = run(turn=300.0)
    lost = RunRecord.of(whole.header, (m for m in whole.measurements if m.quantity != "effective_time" or m.step <= 64))
    assert any(o.clock == "tau_val" for o in find_onsets([whole], unit="effective_time"))
    assert not any(o.clock == "tau_val" for o in find_onsets([lost], unit="effective_time"))


def test_a_law_in_time_says_at_which_step_a_run_reaches_it():
    pilots = [run(n_train=p, turn=5.0 * p, seed=k) for k, p in enumerate((32, 64, 128))]
    law = fit_law([o for o in find_onsets(pilots, unit="effective_time") if o.clock == "tau_val"])
    target = run(n_train=256, turn=1280.0, batch_size=128)
    found = reached(law, target, 256)
    assert Timeline.of(target).at(found.value) == pytest.approx(law.predict(256).value, rel=0.02)
    assert found.low < found.value < found.high
    assert reached(law, RunRecord.of(target.header, ()), 256) is None


def test_effective_time_is_refused_where_steps_are_meant(tmp_path):
    study = Study.of([run(n_train=p, turn=5.0 * p, seed=k) for k, p in enumerate((32, 64, 128))], unit="effective_time")
    assert study.forecast(256).predicted.batch_size is None
    with pytest.raises(ConfigError, match="compared by their steps"):
        study.next_pilot(256)
    with pytest.raises(ConfigError, match="a page is about steps"):
        write_report(tmp_path / "page.html", study)
    with pytest.raises(ConfigError, match="a guard's forecast"):
        onset_forecast(study, 256, 16)
    assert all(math.isnan(onset.examples) and onset.to_json()["examples"] is None for onset in study.onsets)
