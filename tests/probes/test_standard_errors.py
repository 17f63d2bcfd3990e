"""A stated error is the spread over many draws of the data, and an interval covers as often as it says."""

import numpy as np
import pytest
import torch
from reference_problem import DIFFUSION, EXACT, by_name, items, memorized
from scipy import stats

from taumem.probes import EmpiricalGap, LossGap, SymmetricGap, membership
from taumem.probes.probe import mean, share, variance_of_sum

REPEATS = 300


def ratio_of_variances(values, errors) -> float:
    """Found over stated variance, which should lie around 1."""
    return float(np.var(values, ddof=1) / np.mean(np.square(errors)))


LOW, HIGH = stats.chi2(REPEATS - 1).ppf([1e-4, 1 - 1e-4]) / (REPEATS - 1)
"""Where the ratio lies for normal values, but for 2 in 10,000 cases."""


def right(values, errors) -> bool:
    # The stated errors vary too, by a few per cent: hence the 5 %.
    return 0.95 * LOW < ratio_of_variances(values, errors) < 1.05 * HIGH


def test_the_check_itself_sees_an_error_that_is_half_again_too_large():
    values = np.random.default_rng(0).standard_normal(REPEATS)
    assert right(values, np.ones(REPEATS))
    assert not right(values, np.full(REPEATS, 1.5))
    assert not right(values, np.full(REPEATS, 0.7))


@pytest.mark.slow
@pytest.mark.parametrize(("n_train", "n_heldout"), [(64, 64), (40, 100)])
def test_the_errors_of_the_loss_gap_and_of_membership_are_the_spread_over_data_and_noise(n_train, n_heldout):
    found: dict = {}
    for seed in range(REPEATS):
        data = items(n_train + n_heldout, seed)
        sets = {"train": data[:n_train], "heldout": data[n_train:]}
        reading = LossGap(DIFFUSION, sets, times=(0.15, 0.5), seed=seed).measure(EXACT)
        for key, estimate in by_name(reading).items():
            if estimate.se is not None:
                found.setdefault(key, []).append((estimate.value, estimate.se))
    assert len(found) == 10
    wrong = {key: ratio_of_variances(*np.array(v).T) for key, v in found.items() if not right(*np.array(v).T)}
    assert wrong == {}
    gaps, _ = np.array(found["gap", None]).T
    assert abs(gaps.mean()) < 4 * gaps.std() / REPEATS**0.5


@pytest.mark.slow
def test_the_error_of_the_symmetric_gap_is_the_spread_over_data_and_noise():
    # Two fixed models that are neither exact nor alike, on fresh data for which neither was trained: no gap.
    ours, theirs = memorized(items(500, 1)), memorized(items(500, 2))
    found = []
    for seed in range(REPEATS):
        data = items(128, 1000 + seed)
        probe = SymmetricGap(DIFFUSION, data[:64], theirs, data[64:], times=(0.35, 0.6), seed=seed)
        (gap,) = probe.measure(ours).estimates
        found.append((gap.value, gap.se))
    values, errors = np.array(found).T
    assert right(values, errors)
    assert abs(values.mean()) < 4 * values.std() / REPEATS**0.5


def test_the_error_of_the_empirical_gap_is_the_spread_over_data_and_noise():
    train, found = items(50, 1), []
    for seed in range(REPEATS):
        probe = EmpiricalGap(DIFFUSION, train, items(64, 1000 + seed), seed=seed)
        probe.scale = 1.0  # the scale is of the data, not of the model: its own spread is not part of the error
        (gap,) = probe.measure(EXACT).estimates
        found.append((gap.value, gap.se))
    assert right(*np.array(found).T)


@pytest.mark.parametrize(("shift", "share_of_noise"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.8), (2.0, 0.0)])
def test_the_error_of_the_auc_is_right_with_and_without_shared_noise(shift, share_of_noise):
    rng, found = np.random.default_rng(0), []
    for _ in range(REPEATS):
        shared = rng.standard_normal(80)
        own, other = (share_of_noise * shared + (1 - share_of_noise**2) ** 0.5 * rng.standard_normal(80) for _ in "ab")
        auc, _ = membership(torch.from_numpy(own[:60] - shift), torch.from_numpy(other))
        found.append((auc.value, auc.se))
    values, errors = np.array(found).T
    assert right(values, errors)
    expected = stats.norm.cdf(shift / 2**0.5)
    assert abs(values.mean() - expected) < 4 * values.std() / REPEATS**0.5


@pytest.mark.parametrize(("n", "m"), [(30, 30), (20, 50), (50, 20)])
def test_the_variance_of_a_sum_counts_what_pairs_share(n, m):
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        shared = rng.standard_normal(50)
        a, b = (torch.from_numpy((sign * shared + 0.5 * rng.standard_normal(50))[:k]) for sign, k in ((1, n), (-1, m)))
        draws.append((float(a.mean() + b.mean()), variance_of_sum(a, b)))
    values, variances = np.array(draws).T
    assert values.var() == pytest.approx(variances.mean(), rel=0.15)


def test_one_item_alone_has_no_error():
    assert mean("x", torch.tensor([2.0])).se is None
    gap = by_name(LossGap(DIFFUSION, {"train": items(1, 0), "heldout": items(5, 1)}).measure(EXACT))
    assert gap["gap", None].se is None
    assert gap["membership_auc", None].se is None
    assert gap["heldout_loss", None].se > 0


def test_an_average_and_its_error_are_numpys_in_double_precision():
    values = torch.tensor(np.random.default_rng(0).normal(1e4, 1e-2, 1000), dtype=torch.float32)
    estimate = mean("x", values, t=0.5, keep_items=True)
    exact = values.numpy().astype(np.float64)
    assert estimate.value == pytest.approx(exact.mean(), rel=1e-14)
    assert estimate.se == pytest.approx(exact.std(ddof=1) / 1000**0.5, rel=1e-9)
    assert (estimate.t, estimate.count) == (0.5, 1000)
    np.testing.assert_allclose(estimate.items, exact, rtol=1e-6)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 50), (50, 50), (1, 50), (17, 64), (250, 512)])
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(count, n, confidence):
    estimate = share("x", count, n, confidence=confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else stats.beta.ppf(tail, count, n - count + 1)
    high = 1.0 if count == n else stats.beta.isf(tail, count + 1, n - count)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)
    assert (estimate.value, estimate.count, estimate.se) == (count / n, n, None)


@pytest.mark.parametrize("truth", [0.01, 0.2, 0.5])
def test_the_interval_of_a_share_covers_the_truth_at_least_as_often_as_it_says(truth):
    n = 40
    covered = [k for k in range(n + 1) if (e := share("x", k, n)).low <= truth <= e.high]
    assert stats.binom(n, truth).pmf(covered).sum() >= 0.95
