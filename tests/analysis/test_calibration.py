import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from law_calibration import Setting, coverage, settings

LEAST = 0.78
"""90 % of 60 studies is 90 +- 4, of 100 it is 90 +- 3; only an interval too narrow misleads."""


@pytest.mark.parametrize("fit", ["free", "fixed"])
def test_the_intervals_hold_about_as_often_as_they_say(fit):
    _check(Setting("3 x 2", "both", 1.0, fit), studies=60)


@pytest.mark.slow
@pytest.mark.parametrize("setting", list(settings()), ids=lambda s: f"{s.design}-{s.censoring}-{s.planted}-{s.fit}")
def test_the_intervals_hold_in_every_design(setting):
    _check(setting, studies=100)


def _check(setting: Setting, studies: int) -> None:
    found = coverage(setting, studies)
    found.pop("a = 1 refused")
    assert all(share >= LEAST for share in found.values()), found
