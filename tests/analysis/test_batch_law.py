"""The law with its batch size, and with other settings: planted laws, least squares, and what cannot be told apart."""

import csv
import json
import math
import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from regression import t_intervals
from scipy import stats

from taumem.analysis import Onset, Prior, Study, fit_law
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunKey, read_runs

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
A, K = 1.3, 0.7


def onset(n_train, batch_size, step, censored="no", *, seed=None, unit="steps", **settings):
    low, high = (0.9 * step, 1.1 * step) if censored == "no" else (step, math.inf)
    run = RunKey(n_train, batch_size, seed)
    settings = {f"training.{name}": value for name, value in settings.items()}
    return Onset(float(step), low, high, censored, "tau_val", run, unit=unit, settings=settings)


def planted(sizes, batch_sizes, repeats=2, *, floor=0.0, sigma=0.15, seed=0, k=K):
    """Onsets around tau_0 + 5 P^A B^-k; a batch size of None is that of the whole training set."""
    rng = np.random.default_rng(seed)
    found = []
    for p, b, _ in product(sizes, batch_sizes, range(repeats)):
        b = p if b is None else b
        found.append(onset(p, b, (floor + 5 * p**A * max(b, 1) ** -k) * math.exp(sigma * rng.standard_normal())))
    return found


def least_squares(onsets, columns, at, confidence):
    """Regression of log tau on 1 and these columns: t intervals of the coefficients, and the interval of a new run."""
    return t_intervals(np.log([o.step for o in onsets]), columns, at, confidence)[:2]


def ends(interval):
    return interval.low, interval.high


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_without_bounds_and_floor_the_intervals_are_those_of_least_squares(repeats, confidence):
    onsets = planted((32, 64, 128, 256), (16, 64, None), repeats)
    law = fit_law(onsets, exponent=None, confidence=confidence)
    p, b = np.log([o.n_train for o in onsets]), np.log([o.batch_size for o in onsets])
    (_, a, minus_k), new = least_squares(onsets, (p, b), np.array([1, math.log(512), math.log(32)]), confidence)
    found = law.predict(512, batch_size=32)
    for mine, theirs in (
        (ends(law.exponent), a),
        (ends(law.batch_exponent), (-minus_k[1], -minus_k[0])),
        ((math.log(found.low), math.log(found.high)), new),
    ):
        assert mine == pytest.approx(theirs, abs=0.02 * (theirs[1] - theirs[0]))


def test_a_setting_is_a_power_where_it_is_above_0_and_an_exponential_where_it_is_not():
    rng = np.random.default_rng(1)
    onsets = [
        onset(
            p,
            16,
            9 * p * (rate / 1e-3) ** -0.4 * math.exp(1.5 * drop + 0.1 * rng.standard_normal()),
            rate=rate,
            drop=drop,
        )
        for p, rate, drop in product((32, 64, 128), (1e-3, 3e-3), (0.0, 0.1, 0.3))
    ]
    law = fit_law(onsets, exponent=None, covariates=["training.rate", "training.drop"])
    columns = [np.log([o.n_train for o in onsets])] + [
        np.array([convert(o.settings[f"training.{name}"]) for o in onsets])
        for name, convert in (("rate", math.log), ("drop", float))
    ]
    (_, _, rate, drop), new = least_squares(onsets, columns, np.array([1, math.log(256), math.log(2e-3), 0.2]), 0.9)
    assert [(c.name, c.is_power, c.kind, c.reference) for c in law.covariates] == [
        ("training.rate", True, "free", 1e-3),
        ("training.drop", False, "free", 0.0),
    ]
    assert ends(law.covariates[0].coefficient) == pytest.approx(rate, abs=0.02 * (rate[1] - rate[0]))
    assert ends(law.covariates[1].coefficient) == pytest.approx(drop, abs=0.02 * (drop[1] - drop[0]))
    found = law.predict(256, settings={"training.rate": 2e-3, "training.drop": 0.2, "training.clip": 1.0})
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(new, abs=0.02 * (new[1] - new[0]))
    for settings in (None, {"training.rate": 2e-3}, {"training.rate": 0.0, "training.drop": 0.0}):
        with pytest.raises(ConfigError, match="this law depends on training"):
            law.predict(256, settings=settings)
    known = fit_law(onsets, covariates={"training.rate": -0.4, "training.drop": (1.5, 0.1)})
    assert [c.kind for c in known.covariates] == ["fixed", "prior"]
    assert ends(known.covariates[0].coefficient) == (-0.4, -0.4)
    json.dumps(law.to_json(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("floor", [False, True])
def test_the_exponent_of_the_batch_size_is_covered_at_the_stated_confidence(floor):
    held = {"exponent": 0, "k": 0, "new": 0}
    for seed in range(60):
        onsets = planted((16, 32, 64, 128), (16, None), floor=30.0 * floor, seed=seed)
        onsets = [o if o.step < 420 else onset(o.n_train, o.batch_size, 400, "right") for o in onsets]
        law = fit_law(onsets, exponent=None, floor=floor)
        new = planted((256,), (64,), 1, floor=30.0 * floor, seed=1000 + seed)[0]
        held["exponent"] += A in law.exponent
        held["k"] += K in law.batch_exponent
        held["new"] += new.step in law.predict(256, batch_size=64)
    for name, count in held.items():
        assert stats.binomtest(count, 60, 0.9).pvalue > 0.01, (name, count)


def test_a_planted_floor_is_found_beside_both_exponents():
    law = fit_law(
        planted((8, 16, 32, 64, 128, 256), (8, 32, None), 3, floor=60.0, sigma=0.08), exponent=None, floor=True
    )
    assert A in law.exponent
    assert K in law.batch_exponent
    assert 60 in law.floor
    assert law.posterior.effective_share > 0.25
    assert law.collapse < 0.2


def test_at_full_batch_the_law_is_that_of_full_batches_with_their_own_exponent():
    onsets = planted((16, 32, 64, 128), (16, None), 3, sigma=0.02)
    both = fit_law(onsets, exponent=None)
    whole = fit_law([o for o in onsets if o.batch_size == o.n_train], exponent=None)
    assert whole.batch_exponent is None
    assert whole.exponent.value == pytest.approx(both.exponent.value - both.batch_exponent.value, abs=0.03)
    assert both.predict(256, batch_size="P") == both.predict(256, batch_size=256)
    assert both.predict(256, batch_size="P").value == pytest.approx(whole.predict(256).value, rel=0.05)
    assert whole.predict(256, batch_size="P") == whole.predict(256) == whole.predict(256, batch_size=256)


def test_the_law_says_what_it_is_of():
    onsets = planted((32, 64, 128), (16, 64), sigma=0.03)
    law = fit_law([*onsets, onset(128, 16, 395)], exponent=None, batch_exponent=(0.7, 0.1))
    assert (law.unit, law.batch_sizes, law.batch_size, law.reference_batch_size) == ("steps", (16, 64), None, 16)
    assert (law.batch_exponent_kind, law.takes_whole_sets) == ("prior", False)
    content = json.loads(json.dumps(law.to_json(), allow_nan=False))
    assert content["batch_exponent"]["kind"] == "prior"
    assert (content["batch_sizes"], content["batch_size"], content["reference_batch_size"]) == ([16, 64], None, 16)
    at_one = fit_law([o for o in onsets if o.batch_size == 16], exponent=None)
    assert law.prefactor.value == pytest.approx(at_one.prefactor.value, rel=0.3)  # c is that at B_0
    fixed = fit_law(onsets, batch_exponent=0.7)
    assert (ends(fixed.batch_exponent), fixed.batch_exponent_kind) == ((0.7, 0.7), "fixed")
    assert fixed.linearity is not None


def test_what_is_known_of_k_carries_one_batch_size_to_another_with_a_wider_interval():
    onsets = planted((32, 64, 128), (16,))
    plain = fit_law(onsets, exponent=None)
    carried = fit_law(onsets, exponent=None, batch_exponent=(0.7, 0.2))
    for name in ("exponent", "prefactor", "sigma", "linearity", "collapse", "bend"):
        assert getattr(carried, name) == getattr(plain, name)
    assert carried.predict(256) == plain.predict(256) == carried.predict(256, batch_size=16)
    assert ends(carried.batch_exponent) == pytest.approx((0.7 - 1.645 * 0.2, 0.7 + 1.645 * 0.2), abs=0.01)
    there, here = carried.predict(256, batch_size=64), carried.predict(256)
    assert (there.batch_size, here.batch_size) == (64, 16)
    assert there.value == pytest.approx(here.value * 4**-0.7, rel=0.02)
    # two spreads in quadrature, about: that of the law and its runs, and that of k
    half = math.log(here.high / here.low) / 2
    assert math.log(there.high / there.low) / 2 == pytest.approx(math.hypot(half, 1.645 * 0.2 * math.log(4)), rel=0.05)
    exact = fit_law(onsets, exponent=None, batch_exponent=0.7).predict(256, batch_size=64)
    assert exact.high == pytest.approx(here.high * 4**-0.7, rel=1e-5)
    with pytest.raises(ConfigError, match=r"says nothing of batch size 64.*batch_exponent.*or add pilots"):
        plain.predict(256, batch_size=64)


def test_a_prior_carries_full_batches_to_a_batch_size_too():
    onsets = planted((32, 64, 128), (None,), 2, sigma=0.02)
    prior = Prior((0.6, 0.2), batch=(K, 0.1))
    law, plain = fit_law(onsets, prior=prior), fit_law(onsets, prior=replace(prior, batch=None))
    assert law.predict(256) == plain.predict(256)
    assert (law.predict(256).batch_size, law.reference_batch_size) == (256, None)
    truth = 5 * 256**A * 64**-K
    assert truth in law.predict(256, batch_size=64)
    with pytest.raises(ConfigError, match="runs with full batches"):
        plain.predict(256, batch_size=64)


def test_a_batch_size_far_from_those_of_the_runs_is_warned_of():
    law = fit_law(planted((64, 128, 256), (16, 64)), exponent=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        law.predict(512, batch_size=4)
        law.predict(512, batch_size=256)
    for far in (3, 257, "P"):
        with pytest.warns(TaumemWarning, match="more than 4 times away from those of the runs"):
            law.predict(512, batch_size=far)
    whole = fit_law(planted((64, 128), (None,)), batch_exponent=(0.7, 0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole.predict(512)


@pytest.mark.parametrize("wrong", [0, -3, 1.5, True, "p", "16"])
def test_what_is_no_batch_size_is_refused(wrong):
    with pytest.raises(ConfigError, match="a batch size is a whole number of at least 1"):
        fit_law(planted((32, 64), (16, 64))).predict(128, batch_size=wrong)


def test_a_law_of_several_batch_sizes_wants_to_know_which():
    with pytest.raises(ConfigError, match=r"batches of 16, 64: name the batch size.*or \"P\""):
        fit_law(planted((32, 64), (16, 64))).predict(128)


@pytest.mark.parametrize(
    ("onsets", "options", "message"),
    [
        (planted((32, 64), (0, 16)), {}, "0, 16 training examples a step.*not recorded"),
        (planted((32, 64), (0,), k=0), {"batch_exponent": 0.7}, "not recorded"),
        (planted((32, 64), (16,)), {"batch_exponent": None}, "batch size does not vary over the 4 located onsets"),
        (planted((32, 64), (None,)), {"batch_exponent": None}, "batch size does not vary"),
        (
            [onset(p, p // 4, 100 * p) for p in (32, 64, 128)],
            {"exponent": None},
            "P and batch size cannot be told apart.*fix one, or give what is known of it",
        ),
        ([onset(32, 16, 90), onset(64, 64, 120)], {"exponent": None}, "P and batch size cannot be told apart"),
        (
            [onset(32, 16, 90), onset(64, 16, 180), onset(64, 64, 70, "right")],
            {},
            "batch size does not vary over the 2 located onsets",
        ),
        (planted((32, 64), (16,)), {"batch_exponent": "x"}, "an exponent is a finite number.*got 'x'"),
        (planted((32, 64), (16,)), {"covariates": ["training.rate"]}, "4 of 4 onsets have no setting 'training.rate'"),
        (
            [onset(p, 16, 9 * p, rate=r) for p, r in ((32, 1), (64, 2), (128, 2))],
            {"covariates": "training.rat"},
            "did you mean 'training.rate'",
        ),
        (
            [onset(p, 16, 9 * p, rate=2.0) for p in (32, 64)],
            {"covariates": ["training.rate"]},
            r"training\.rate does not vary",
        ),
        (
            [onset(p, b, 9 * p, rate=math.sqrt(b)) for p in (32, 64) for b in (4, 16)],
            {"covariates": ["training.rate"]},
            r"batch size and training\.rate cannot be told apart",
        ),
        (
            [onset(32, 16, 90), onset(64, 16, 9.0, unit="effective_time")],
            {},
            "more than one unit: effective_time, steps",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_to_do(onsets, options, message):
    with pytest.raises(ConfigError, match=message):
        fit_law(onsets, **options)


def test_what_is_tied_together_can_be_told_once_something_is_known():
    onsets = [onset(p, p // 4, 5 * p**A * (p // 4) ** -K * f) for p in (32, 64, 128) for f in (0.9, 1.1)]
    law = fit_law(onsets, exponent=(1.3, 0.1), batch_exponent=(0.7, 0.1))
    assert law.linearity is None or law.linearity <= 1
    assert A in law.exponent
    assert K in law.batch_exponent
    assert fit_law(onsets, exponent=A).batch_exponent.value == pytest.approx(K, abs=0.05)
    assert fit_law(onsets, exponent=A).linearity is None  # a and k cannot both be free


def test_effective_time_is_taken_not_to_depend_on_the_batch_size_unless_it_is_asked():
    onsets = [replace(o, unit="effective_time") for o in planted((32, 64, 128), (16, 64), k=0.0, sigma=0.05)]
    law = fit_law(onsets, exponent=None)
    assert (law.unit, law.batch_exponent, law.batch_size) == ("effective_time", None, None)
    found = law.predict(256)
    assert (found.batch_size, found.examples) == (None, None)
    assert law.predict(256, batch_size=64) == found
    tested = fit_law(onsets, exponent=None, batch_exponent=None, confidence=0.99)
    assert 0 in tested.batch_exponent
    with pytest.raises(ConfigError, match="name the batch size"):
        tested.predict(256)
    assert tested.predict(256, batch_size=64).batch_size is None
    assert fit_law([replace(o, run=RunKey(o.n_train, 0)) for o in onsets]).predict(256).batch_size is None


def test_the_bend_is_found_beside_the_batch_size():
    def curved(bend):
        return [
            onset(p, b, 8 * p ** (0.7 + bend * math.log2(p / 16)) * b**-0.6)
            for p, b in product((16, 32, 64, 128, 256), (8, 32))
        ]

    law = fit_law(curved(0.1), exponent=None)
    assert law.bend.value == pytest.approx(0.2)
    assert law.is_bent
    assert not fit_law(planted((16, 32, 64, 128), (8, None), seed=5), exponent=None).is_bent


@pytest.mark.slow
@pytest.mark.parametrize("study", ["images/full-batch", "text/english"])
def test_at_one_batch_size_the_laws_of_finished_studies_are_what_they_were(study):
    laws = Study.of(read_runs(EXPERIMENTS / f"{study}.sealed")).laws
    for row in csv.DictReader((EXPERIMENTS / f"{study}.laws.tsv").open(), delimiter="\t"):
        found = laws[row["clock"]].exponent
        written = tuple(float(row[name]) for name in ("exponent", "low", "high"))  # five digits of each
        assert (found.value, found.low, found.high) == pytest.approx(written, rel=5e-5)
