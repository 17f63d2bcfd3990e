import math
import warnings

import numpy as np
import pytest

from taumem.analysis import Onset, fit_law
from taumem.analysis.feasibility import SCATTER, TO_LOCATE, doubts, expected_factor, feasibility, objections
from taumem.record import RunKey


def made_up(sizes, repeats, rng, *, exponent=1.2, scatter=SCATTER, tau=lambda p, a: 15 * p**a):
    steps = [
        (p, s, tau(p, exponent) * math.exp(scatter * rng.standard_normal())) for p in sizes for s in range(repeats)
    ]
    return [Onset(t, t / 1.1, t * 1.1, "no", "tau_val", RunKey(n_train=p, batch_size=1, seed=s)) for p, s, t in steps]


def fitted(onsets):
    return fit_law(onsets, exponent=(1.2, 0.2), floor=True, confidence=0.9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "repeats", "n_train"), [((10, 20), 1, 40), ((10, 20), 2, 40), ((8, 16, 32), 1, 64), ((10,), 2, 40)]
)
def test_the_expected_factor_is_that_of_forecasts_from_as_many_pilots(sizes, repeats, n_train):
    rng, widths = np.random.default_rng(0), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(30):
            exponent = 1.2 + 0.2 * rng.standard_normal()
            forecast = fitted(made_up(sizes, repeats, rng, exponent=exponent)).predict(n_train)
            widths.append(math.sqrt(forecast.high / forecast.low))
    assert np.quantile(widths, 0.2) < expected_factor(sizes, repeats, n_train) < np.quantile(widths, 0.8)


@pytest.mark.slow
def test_more_pilots_narrow_what_is_expected_and_a_longer_reach_widens_it():
    factors = [expected_factor((8, 16), 2, n) for n in (32, 64, 128)]
    assert factors == sorted(factors)
    assert expected_factor((8, 16), 4, 32) < factors[0]
    assert expected_factor((10,), 1, 40) == math.inf


@pytest.mark.slow
def test_a_line_says_what_pilots_tell_on_which_assumption_and_what_they_cost():
    text = feasibility((10, 20), 2, 40, (20, 30))
    assert text.startswith("40 items: 4 pilots of 10, 20, 2 of each, with 20 to 30 held out; ")
    assert f"within a factor of about {expected_factor((10, 20), 2, 40):.2g}, if onsets scatter by 20 %" in text
    assert f"about {TO_LOCATE * 60 / 40:.1f} times the steps" in text
    assert "add a size or a repeat" in feasibility((10,), 1, 40, (30, 30))
    assert "40 groups: " in (grouped := feasibility((10, 20), 2, 40, (60, 90), "groups"))
    assert "60 to 90 items held out" in grouped


def test_what_speaks_against_a_forecast_is_said_before_pilots_are_made():
    assert list(doubts((50, 100, 200), 400)) == []
    (two,) = doubts((100, 200), 400)
    assert "2 sizes only" in two
    (far,) = doubts((50, 100, 200), 1000)
    assert "All 1,000 are 5 times the largest pilot" in far
    assert any("first learning" in doubt for doubt in doubts((8, 16, 32), 64))


def test_pilots_speak_against_a_law_that_jumps_or_bends_and_for_one_that_holds():
    rng, sizes = np.random.default_rng(1), (24, 48, 96)
    assert list(objections(fitted(made_up(sizes, 3, rng, scatter=0.05)))) == []
    jump = fitted(made_up(sizes, 3, rng, scatter=0.05, tau=lambda p, a: 60.0 if p < 96 else 650.0))
    assert any("speak against the law" in said for said in objections(jump))
    down = fitted(
        made_up(sizes, 3, rng, scatter=0.02, tau=lambda p, a: p**1.5 if p <= 48 else 48**1.5 * (p / 48) ** 0.7)
    )
    assert any("bend down" in said for said in objections(down))
