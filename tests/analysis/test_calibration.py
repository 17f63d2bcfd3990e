import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from law_calibration import COVERED, Setting, coverage, settings

LEAST = 0.78
"""90 % of 60 studies is 90 +- 4, of 100 it is 90 +- 3; only an interval too narrow misleads."""


@pytest.mark.parametrize("fit", ["free", "fixed"])
def test_the_intervals_hold_about_as_often_as_they_say(fit):
    _check(Setting(3, 2, "both", 1.0, fit), studies=60)


def test_the_intervals_hold_for_alike_twins_of_which_some_are_bounds():
    _check(Setting(3, 2, "right", 1.0, "free", 0.8), studies=60)


def test_a_forecast_from_few_pilots_holds():
    _check(Setting(3, 1, "none", "1.2 ± 0.2", "forecast"), studies=60)


ALL = [s for table in ("runs", "twins", "forecasts") for s in settings(table) if s.fit != "taken as alone"]


@pytest.mark.slow
@pytest.mark.parametrize("setting", ALL, ids=lambda s: f"{s.design}-{s.censoring}-{s.twins}-{s.planted}-{s.fit}")
def test_the_intervals_hold_in_every_design(setting):
    _check(setting, studies=100)


def _check(setting: Setting, studies: int) -> None:
    found = coverage(setting, studies)
    assert all(found[name] >= LEAST for name in COVERED if name in found), found
