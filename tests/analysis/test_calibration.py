import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from law_calibration import COVERED, coverage
from planted_laws import Planted, Setting, settings, simulated

LEAST = 0.78
"""90 % of 60 studies is 90 +- 4, of 100 it is 90 +- 3; only an interval too narrow misleads."""


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["free", "fixed"])
def test_the_intervals_hold_about_as_often_as_they_say(fit):
    _check(Setting(3, 2, "both", 1.0, fit), studies=60)


@pytest.mark.slow
def test_the_intervals_hold_for_alike_twins_of_which_some_are_bounds():
    _check(Setting(3, 2, "right", 1.0, "free", 0.8), studies=60)


@pytest.mark.long
@pytest.mark.parametrize("twins", [None, 0.7])
def test_a_forecast_from_few_pilots_holds(twins):
    _check(Setting(3, 1, "none", "prior", "forecast", twins), studies=60)


def test_each_departure_is_in_the_studies_and_named():
    named = {setting.departure: setting for setting in settings("departures")}
    assert len(named) == 8
    sizes = (32, 64, 128)
    for name, setting in named.items():
        setting = replace(setting, sizes=3, runs=200)
        rng = np.random.default_rng(0)
        truth = replace(Planted.drawn(setting, rng), sigma=0.02)
        onsets = simulated(setting, truth, rng)
        law = {p: math.log(truth.floor + 8 * p**truth.exponent) for p in sizes}
        away = {p: np.array([math.log(o.step) - law[p] for o in onsets if o.n_train == p]) for p in sizes}
        small, middle, large = (float(np.median(away[p])) for p in sizes)
        assert (small - 2 * middle + large) / math.log(2) == pytest.approx(setting.bend, abs=0.02), name
        off = np.concatenate([each - np.median(each) for each in away.values()])
        assert abs(np.mean(np.abs(off) > 0.5) - setting.outliers) < 0.04, name
        share = truth.floor / math.exp(law[32])
        assert 0 < share < 1 if setting.share is None else share == pytest.approx(setting.share), name
    once, twice = (Planted.drawn(named[name], np.random.default_rng(1)) for name in ("nothing", "scatter x 2"))
    assert twice.sigma / twice.error == pytest.approx(2 * once.sigma / once.error)


ALL = [s for table in ("runs", "twins", "forecasts") for s in settings(table) if s.fit != "taken as alone"]


@pytest.mark.long
@pytest.mark.parametrize("setting", ALL, ids=lambda s: f"{s.design}-{s.censoring}-{s.twins}-{s.planted}-{s.fit}")
def test_the_intervals_hold_in_every_design(setting):
    _check(setting, studies=100)


def _check(setting: Setting, studies: int) -> None:
    found = coverage(setting, studies)
    assert all(found[name] >= LEAST for name in COVERED if name in found), found
