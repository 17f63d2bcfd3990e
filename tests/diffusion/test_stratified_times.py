"""Diffusion times of a batch: one in each stratum, and uniform."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from taumem.diffusion import stratified_times


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(n=st.integers(1, 300), seed=st.integers(0, 2**31))
def test_each_stratum_holds_exactly_one_time(n, seed):
    t = stratified_times(n, seeded(seed)).sort().values.double() * n
    k = torch.arange(n, dtype=torch.float64)
    rounding = 1e-7 * n
    assert t.shape == (n,)
    assert ((t >= k - rounding) & (t <= k + 1 + rounding)).all()
    assert t.max() <= n


def test_every_place_in_the_batch_has_uniform_times():
    table = np.array([stratified_times(4, seeded(seed)).tolist() for seed in range(3000)])
    for place in range(4):
        assert stats.kstest(table[:, place], "uniform").pvalue > 1e-3


def test_the_strata_stand_in_random_order():
    orders = [tuple(stratified_times(3, seeded(seed)).argsort().tolist()) for seed in range(3000)]
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_batch_mean_of_a_function_of_time_varies_far_less_than_with_independent_times():
    stratified = torch.stack([stratified_times(16, seeded(s)).square().mean() for s in range(500)])
    independent = torch.rand(500, 16, generator=seeded(0)).square().mean(dim=1)
    assert stratified.std() < independent.std() / 8
    assert abs(stratified.mean() - 1 / 3) < 4 * stratified.std() / 500**0.5
