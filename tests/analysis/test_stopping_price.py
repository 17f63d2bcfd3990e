"""The price of stopping at tau_mem is the planted one: at the same look, at the best of all data, and by its law."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest, t

from taumem.analysis import Study, find_onsets
from taumem.analysis.price_law import fit_price_law
from taumem.analysis.stopping_price import StoppingPrice
from taumem.analysis.tau_mem import tau_mem_of
from taumem.errors import ConfigError
from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord

LOOKS = tuple(2**k for k in range(2, 13))
SIZES = (16, 32, 64, 128, 256)
C, A = 6.0, 3.0  # copies are seen from 6 P on: the last look before is 4 P
N = 40


def loss(step, n_train):
    """Falls to the end, and with more data: at step 4 P it is 1 + (2 + A) P^-0.5."""
    return 1 + 4 * step**-0.5 + A * n_train**-0.5


def planted(n_train, *, seed=0, half=None, last=LOOKS[-1], noise=0.0, valid=None, data="planted", batch_size=16):
    """A run whose held-out items differ by much, in the same way in all runs of a seed."""
    facts = DataFacts(name=data, fingerprint="0", n_train=n_train, n_heldout=64, item_shape=(2,), kind="texts")
    header = RunHeader(name="study", data=facts, seed=seed, half=half, batch_size=batch_size, steps=LOOKS[-1])
    hard = np.random.default_rng(seed).normal(0, 0.5, N)
    own = np.random.default_rng([seed, n_train, half == "b"]).normal(0, noise, N)
    rows = []
    for step in (look for look in LOOKS if look <= last):
        items = loss(step, n_train) + hard + own
        copied = 80 if step >= C * n_train else 0
        estimates = [
            Estimate(quantity="heldout_loss", value=float(items.mean()), se=0.1, count=N, items=tuple(items.tolist())),
            Estimate(quantity="copy_fraction", value=copied / 100, count=100),
            Estimate(quantity="copy_fraction_chance", value=0.0, count=100),
        ]
        if valid is not None:
            low, high = binomtest(round(100 * valid), 100).proportion_ci(0.95)
            share = {"value": valid, "low": float(low), "high": float(high), "confidence": 0.95, "count": 100}
            estimates.append(Estimate(quantity="validity", **share))
        rows += [Measurement.of(e, step=step, examples=step * 16, seconds=0.0) for e in estimates]
    return RunRecord.of(header, rows)


def price(records, **options):
    return StoppingPrice.of(records, find_onsets(records), **options)


@pytest.fixture(scope="module")
def records():
    return [planted(n, seed=seed) for n in SIZES for seed in range(3)]


# --- costs -----------------------------------------------------------------------------------------------------------


def test_each_size_pays_what_was_planted_at_the_same_look_and_at_the_best(records):
    found = price(records)
    assert (found.clock, found.all_data, found.is_apart) == ("tau_copy[0.05]", 256, False)
    assert found.best_step == pytest.approx(LOOKS[-1])
    assert [size.n_train for size in found.sizes] == list(SIZES)
    for size in found.sizes:
        cost = size.cost("heldout_loss")
        assert size.step == pytest.approx(4 * size.n_train)
        assert (size.n_runs, size.n_reached, size.n_left_out) == (3, 3, 0)
        assert cost.best.value == pytest.approx(loss(size.step, size.n_train) - loss(LOOKS[-1], 256))
        if size.n_train < 256:
            assert cost.same_look.value == pytest.approx(A * (size.n_train**-0.5 - 256**-0.5))
    assert found.sizes[-1].cost("heldout_loss").same_look is None


def test_what_the_items_share_is_in_the_value_and_not_in_the_difference(records):
    cost = price(records).sizes[0].cost("heldout_loss")
    hard = [np.random.default_rng(seed).normal(0, 0.5, N).mean() for seed in range(3)]
    reach = math.hypot(1.959964 * 0.1, t.ppf(0.975, 2) * np.std(hard, ddof=1) / math.sqrt(3))
    assert cost.at_stop.high - cost.at_stop.value == pytest.approx(reach, rel=1e-5)
    assert cost.best.high - cost.best.low < 1e-9


def test_the_error_of_a_difference_is_that_of_paired_items():
    small, large = planted(16, noise=0.2), planted(256, noise=0.2)
    cost = price([small, large]).sizes[0].cost("heldout_loss")
    items = [record.curve("heldout_loss").items[-1] for record in (small, large)]
    se = np.std(items[0] - items[1], ddof=1) / math.sqrt(N)
    assert cost.best.high - cost.best.value == pytest.approx(1.959964 * se, rel=1e-5)


def test_the_twins_of_a_seed_count_as_one_run():
    pairs = [planted(n, seed=s, half=half) for n in (16, 256) for s in range(3) for half in "ab"]
    single = [planted(n, seed=s) for n in (16, 256) for s in range(3)]
    costs = [price(each).sizes[0].cost("heldout_loss") for each in (pairs, single)]
    assert costs[0].at_stop == costs[1].at_stop


def test_shares_are_compared_with_the_errors_of_their_intervals():
    cost = price([planted(16, valid=0.3), planted(256, valid=0.8)]).sizes[0].cost("validity")
    assert cost.same_look.value == cost.best.value == pytest.approx(-0.5)
    widths = [binomtest(k, 100).proportion_ci(0.95) for k in (30, 80)]
    expected = math.hypot(*((float(w.high) - float(w.low)) / 2 for w in widths))
    assert cost.best.high - cost.best.value == pytest.approx(expected, rel=1e-5)


def test_runs_on_all_data_can_be_named_and_stand_in_for_seeds_that_they_lack(records):
    (full,) = every = [planted(4096)]
    found = price(records, all_data=every)
    assert (found.all_data, found.is_apart) == (4096, True)
    assert {size.n_train for size in found.sizes} == set(SIZES)
    cost = found.sizes[-1].cost("heldout_loss")
    assert cost.same_look.low < A * (256**-0.5 - 4096**-0.5) < cost.same_look.high
    assert price(records[::3], all_data=[full]).sizes[0].cost("heldout_loss").same_look.value == pytest.approx(
        A * (16**-0.5 - 4096**-0.5)
    )


def test_of_runs_named_as_all_data_only_those_on_the_most_count_whatever_their_order(records):
    alone = price(records, all_data=[planted(4096)])
    several = price(records, all_data=[*records, planted(4096), planted(512)])
    assert several.best_step == alone.best_step
    assert several.sizes == alone.sizes
    assert alone.left_out == ()
    assert several.left_out == (
        "Of the runs that were named as all data, 16 at P = 16, 32, 64, 128, 256, 512 are passed over: all data are "
        "P = 4,096.",
    )


def test_runs_that_are_not_smaller_than_all_data_have_no_price(records):
    found = price(records, all_data=[planted(64)])
    assert (found.all_data, [size.n_train for size in found.sizes]) == (64, [16, 32])
    assert found.left_out == ("Runs at P = 64, 128, 256 have no price, as they are on no less than all data (P = 64).",)
    assert found.law.sizes == SIZES  # of the loss where runs stopped: nothing is held against all data
    for most in (16, 32):
        with pytest.raises(ConfigError, match=rf"all data are P = {most}, and these runs have P = 32"):
            price([planted(32)], all_data=[planted(most), planted(16)])


def test_where_no_run_reached_tau_mem_or_all_had_at_once_none_has_a_price():
    early, late = [planted(n, last=16) for n in (16, 256)], [planted(16), planted(256)]
    with pytest.raises(ConfigError, match=r"no run has reached tau_copy\[0\.05\], so none has to stop"):
        price(early, clock="tau_copy[0.05]")
    at_once = [RunRecord.of(r.header, [m for m in r.measurements if m.step >= C * 256]) for r in late]
    with pytest.raises(ConfigError, match=r"every run had reached tau_copy\[0\.05\] by its first look"):
        price(at_once, clock="tau_copy[0.05]")


def test_where_the_run_on_all_data_ended_before_there_is_no_same_look():
    found = price([planted(16), planted(64)], all_data=[planted(4096, last=64)])
    assert [size.cost("heldout_loss").same_look is None for size in found.sizes] == [False, True]


def test_runs_that_ended_before_tau_mem_are_counted_and_those_that_copied_at_once_left_out():
    runs = [planted(16), planted(64, last=64), planted(256)]
    at_once = RunRecord.of(
        runs[0].header.model_copy(update={"seed": 1}), [m for m in runs[0].measurements if m.step >= C * 16]
    )
    by_size = {size.n_train: size for size in price([*runs, at_once]).sizes}
    assert (by_size[64].n_reached, by_size[64].n_runs, by_size[64].step) == (0, 1, pytest.approx(64))
    assert (by_size[16].n_reached, by_size[16].n_runs, by_size[16].n_left_out) == (1, 1, 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"data": "another"}, "one data set"),
        ({"batch_size": 32}, "one batch size"),
    ],
)
def test_what_does_not_belong_together_is_refused(more, words):
    with pytest.raises(ConfigError, match=words):
        price([planted(16), planted(256)], all_data=[planted(4096, **more)])


def test_one_size_alone_has_no_price_and_says_what_to_do():
    with pytest.raises(ConfigError, match="runs of two sizes: add one on all the data"):
        price([planted(16), planted(16, seed=1)])
    study = Study.of([planted(16)])
    assert study.price is None
    assert "two sizes" in study.lacking["price of stopping"]
    assert any(words.startswith("No price of stopping: ") for words in study.missing())


def test_a_study_says_it_as_plain_json(records):
    study = Study.of(records, tau_mem="tau_copy[0.1]", all_data=[planted(4096)])
    facts = json.loads(json.dumps(study.to_json()["stopping_price"], allow_nan=False))
    assert (facts["clock"], facts["all_data"], facts["is_apart"]) == ("tau_copy[0.1]", 4096, True)
    assert facts["sizes"][0]["costs"][0]["quantity"] == "heldout_loss"
    assert facts["law"]["sizes"] == list(SIZES)


# --- which clock -----------------------------------------------------------------------------------------------------


def test_tau_mem_is_that_of_copies_where_two_runs_copied_and_else_the_turn_of_the_loss(records):
    onsets = find_onsets(records)
    assert tau_mem_of(onsets) == "tau_copy[0.05]"
    assert tau_mem_of([o for o in onsets if o.clock != "tau_copy[0.05]" or (o.n_train, o.seed) == (16, 0)]) == "tau_val"
    assert tau_mem_of(onsets, "tau_val") == "tau_val"
    copies = [o for o in onsets if o.clock.startswith("tau_copy")]
    assert tau_mem_of([o for o in copies if (o.n_train, o.seed) == (16, 0)]) == "tau_copy[0.05]"  # for want of a loss
    assert tau_mem_of([]) == ""
    with pytest.raises(ConfigError, match="no clock 'tau_vla' to be tau_mem; did you mean 'tau_val'"):
        tau_mem_of(onsets, "tau_vla")


# --- the law ---------------------------------------------------------------------------------------------------------


def test_the_law_of_the_loss_is_the_planted_one(records):
    law = price(records).law
    assert law.exponent.value == pytest.approx(0.5, abs=0.01)
    assert law.won.value == pytest.approx((2 + A) * (16**-0.5 - 256**-0.5), rel=1e-3)
    assert law.at(64) - law.at(256) == pytest.approx((2 + A) * (64**-0.5 - 256**-0.5), rel=0.01)


def test_the_law_covers_the_planted_exponent_at_its_confidence():
    rng, n = np.random.default_rng(1), 80
    sizes, seeds = np.repeat(SIZES, 3), np.tile(range(3), len(SIZES))
    covered = [0, 0]
    for _ in range(n):
        offset = rng.normal(0, 1, 3)[seeds]  # what the runs of a seed share is no matter
        losses = offset + A * sizes**-0.6 + rng.normal(0, 0.01, len(sizes))
        law = fit_price_law(sizes, losses, seeds)
        covered[0] += 0.6 in law.exponent
        covered[1] += A * (16**-0.6 - 256**-0.6) in law.won
    for hits in covered:
        assert binomtest(hits, n, 0.9).pvalue > 0.01


def test_the_posterior_is_that_of_brute_force():
    """Over L, D, b and log sigma, all flat, on a grid."""
    sizes = np.array([16, 32, 64, 128, 256])
    losses = 0.4 + 2 * sizes**-0.5 + 0.02 * np.array([1.0, -1.2, 0.4, 0.9, -0.8])
    law = fit_price_law(sizes, losses, [0] * 5)
    b = (np.arange(30) + 0.5) / 10
    shape = (sizes[:, None] ** -b - 256.0**-b) / (16.0**-b - 256.0**-b)
    at, won, log_sigma = np.linspace(0.2, 0.9, 45), np.linspace(-0.2, 0.9, 56), np.linspace(-5.5, 0.5, 20)
    residual = losses[:, None, None, None] - at[:, None, None] - won[:, None] * shape[:, None, None, :]
    left = (residual**2).sum(axis=0)
    log_mass = -left[..., None] / 2 / np.exp(2 * log_sigma) - 5 * log_sigma
    mass = np.exp(log_mass - log_mass.max()).sum(axis=(0, 1, 3))
    below = np.concatenate([[0], np.cumsum(mass)]) / mass.sum()
    quantiles = np.interp((0.5, 0.05, 0.95), below, np.linspace(0, 3, 31))
    found = (law.exponent.value, law.exponent.low, law.exponent.high)
    assert found == pytest.approx(tuple(quantiles), abs=0.05)


def test_two_sizes_or_runs_that_leave_no_scatter_have_no_law():
    with pytest.raises(ConfigError, match="at 3 sizes or more"):
        fit_price_law([16, 16, 32, 32], [1, 1.1, 0.5, 0.6], [0, 1, 0, 1])
    with pytest.raises(ConfigError, match="got 3 of 3 seeds"):
        fit_price_law([16, 32, 64], [1, 0.8, 0.7], [0, 1, 2])
    found = price([planted(16), planted(256)])
    assert found.law is None
    assert "3 sizes" in found.no_law
