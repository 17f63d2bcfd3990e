"""The schedules of token diffusion, against their formulas, their derivatives and a product of single steps."""

import math

import numpy as np
import pytest
import torch

from taumem.diffusion import CosineKeeping, LinearBetas, Polynomial
from taumem.errors import ConfigError

F64 = torch.float64
SCHEDULES = [Polynomial(), Polynomial(0.5), Polynomial(3.0), CosineKeeping(), LinearBetas(), LinearBetas(7, 0.0, 0.8)]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


@each_schedule
def test_what_is_not_kept_is_lost(schedule):
    kept, lost = schedule(torch.linspace(0, 1, 101, dtype=F64))
    torch.testing.assert_close(kept + lost, torch.ones(101, dtype=F64), rtol=1e-14, atol=1e-14)
    assert lost[0] == 0
    assert (kept.diff() < 0).all()
    assert 0 <= kept[-1] < 1e-3 * (1000 if isinstance(schedule, LinearBetas) and schedule.steps == 7 else 1)


@each_schedule
def test_the_rate_is_the_derivative_of_what_is_lost(schedule):
    t = torch.linspace(0.0111, 0.9957, 50, dtype=F64)  # not at the steps, where the rate jumps
    h = 1e-6
    slope = (schedule(t + h)[1] - schedule(t - h)[1]) / (2 * h)
    torch.testing.assert_close(schedule.rate(t), slope, rtol=1e-6, atol=1e-9)


@each_schedule
def test_the_rate_is_never_negative_and_single_precision_is_good_down_to_small_times(schedule):
    t = torch.cat([torch.logspace(-5, 0, 200), 1 - torch.logspace(-5, -1, 50)])
    assert (schedule.rate(t) >= 0).all()
    (kept, lost), (kept_exactly, lost_exactly) = schedule(t), schedule(t.double())
    torch.testing.assert_close(lost.double(), lost_exactly, rtol=2e-5, atol=0)
    torch.testing.assert_close(kept.double(), kept_exactly, rtol=2e-5, atol=1e-7)


def test_the_discrete_schedule_is_the_product_of_its_steps_and_geometric_between_them():
    schedule = LinearBetas()
    betas = [1e-3 + (0.1 - 1e-3) * i / 200 for i in range(1, 201)]
    products = np.cumprod([1.0] + [1 - beta for beta in betas])
    at_steps = schedule(torch.arange(201, dtype=F64) / 200)[0].numpy()
    np.testing.assert_allclose(at_steps, products, rtol=1e-12)
    halfway = schedule((torch.arange(200, dtype=F64) + 0.5) / 200)[0].numpy()
    np.testing.assert_allclose(halfway, np.sqrt(products[1:] * products[:-1]), rtol=1e-12)


def test_the_cosine_schedule_hides_the_share_of_a_sine():
    t = np.linspace(0, 1, 11)
    _, lost = CosineKeeping()(torch.tensor(t))
    np.testing.assert_allclose(lost, [math.sin(x * math.pi / 2) for x in t], atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polynomial(0.0), "got 0"),
        (lambda: Polynomial(math.nan), "nan"),
        (lambda: LinearBetas(steps=0), "got 0"),
        (lambda: LinearBetas(beta_max=1.0), "1.0"),
        (lambda: LinearBetas(beta_min=-0.1), "-0.1"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
