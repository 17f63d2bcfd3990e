"""The noise schedules, against their defining formulas and against DDPM's discrete steps."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taumem.diffusion import Cosine, Exploding, Flow, Linear
from taumem.errors import ConfigError

SCHEDULES = [Cosine(), Linear(), Linear(beta_min=0.5, beta_max=5.0)]
F64 = torch.float64


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@given(t=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_signal_and_noise_keep_the_variance(schedule, t):
    alpha, sigma = schedule(torch.tensor(t, dtype=F64))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_signal_falls_from_one_and_noise_rises_from_zero(schedule):
    alpha, sigma = schedule(torch.linspace(0, 1, 1001, dtype=F64))
    assert alpha[0] == 1
    assert sigma[0] == 0
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_single_precision_is_as_good_as_it_can_be_from_the_smallest_times_on(schedule):
    t = torch.logspace(-6, 0, 200)
    for single, double in zip(schedule(t), schedule(t.double()), strict=True):
        # The angle pi t / 2 is itself rounded: cos is off by that much near t = 1.
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=2e-7)


def test_the_cosine_schedule_is_that_of_improved_ddpm_without_offset():
    t = np.linspace(0, 1, 11)
    alpha, _ = Cosine()(torch.tensor(t))
    np.testing.assert_allclose(alpha**2, [math.cos(x * math.pi / 2) ** 2 for x in t], atol=1e-15)


def discrete_alpha(steps: int) -> torch.Tensor:
    """alpha after each of DDPM's steps, betas rising linearly from 0.1/steps to 20/steps (1e-4 to 0.02 at 1,000)."""
    betas = torch.linspace(0.1, 20, steps, dtype=F64) / steps
    return (1 - betas).log().cumsum(0).mul(0.5).exp()


def test_the_linear_schedule_is_the_limit_of_ddpms_discrete_steps():
    def error(steps: int) -> float:
        t = torch.arange(1, steps + 1, dtype=F64) / steps
        return float((discrete_alpha(steps) - Linear()(t)[0]).abs().max())

    assert error(1000) < 5e-3
    # A limit of first order: ten times the steps, a tenth of the error.
    assert error(10_000) == pytest.approx(error(1000) / 10, rel=0.1)
    assert error(100_000) == pytest.approx(error(1000) / 100, rel=0.1)


def test_flow_matching_goes_along_straight_lines():
    t = torch.linspace(0, 1, 11, dtype=F64)
    alpha, sigma = Flow()(t)
    assert torch.equal(alpha, 1 - t)
    assert torch.equal(sigma, t)


def test_exploding_noise_is_evenly_spaced_in_its_logarithm_between_its_ends():
    alpha, sigma = Exploding(0.02, 50.0)(torch.linspace(0, 1, 11, dtype=F64))
    assert (alpha == 1).all()
    np.testing.assert_allclose(sigma, np.geomspace(0.02, 50, 11), rtol=1e-12)


VELOCITIES = {
    Cosine(): lambda x0, eps, t: math.cos(math.pi * t / 2) * eps - math.sin(math.pi * t / 2) * x0,
    Flow(): lambda x0, eps, t: eps - x0,
    # Karras et al. 2022, table 1: the network's target is F = (x0 - c_skip xt) / c_out, here with the other sign.
    Exploding(0.02, 50.0, data_scale=0.5): lambda x0, eps, t: (
        (0.25 / (0.25 + (s := 0.02 * 2500**t) ** 2) * (x0 + s * eps) - x0) / (s * 0.5 / math.sqrt(s**2 + 0.25))
    ),
}


@pytest.mark.parametrize("schedule", VELOCITIES, ids=repr)
@pytest.mark.parametrize("t", [0.01, 0.4, 0.6, 0.99])
def test_a_velocity_is_turned_into_data(schedule, t):
    x0, eps = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=F64)
    (alpha, sigma), (skip, out) = schedule(torch.tensor(t, dtype=F64)), schedule.velocity(torch.tensor(t, dtype=F64))
    v = VELOCITIES[schedule](x0, eps, t)
    torch.testing.assert_close(skip * (alpha * x0 + sigma * eps) - out * v, x0, rtol=1e-8, atol=1e-9)


def test_a_network_reads_exploding_noise_at_the_scale_of_one():
    schedule, t = Exploding(data_scale=0.3), torch.linspace(0, 1, 7, dtype=F64)
    variance = 0.3**2 + schedule(t)[1].square()
    torch.testing.assert_close(schedule.input_scale(t).square() * variance, torch.ones_like(t))
    assert all((other.input_scale(t) == 1).all() for other in (Cosine(), Linear(), Flow()))


@pytest.mark.parametrize("scales", [(0.0, 80.0), (80.0, 0.01), (0.01, math.inf), (0.01, 80.0, 0.0)])
def test_scales_that_no_noise_has_are_refused(scales):
    with pytest.raises(ConfigError, match="0 < sigma_min < sigma_max and a positive data_scale; got"):
        Exploding(*scales)
