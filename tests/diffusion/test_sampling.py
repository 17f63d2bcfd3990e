"""Generation with exact denoisers, against what it must then produce."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taumem.data import GaussianMixture
from taumem.diffusion import Cosine, GaussianDiffusion, Linear, sample
from taumem.errors import ConfigError
from taumem.models import MLP, EmpiricalDenoiser, MixtureDenoiser
from taumem.neighbors import gap_ratio, nearest

F64 = torch.float64
ETAS = pytest.mark.parametrize("eta", [0.0, 1.0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class GaussianDenoiser:
    """E[x0 | xt] of one Gaussian N(mean, covariance): mean + alpha C (alpha^2 C + sigma^2 I)^-1 (xt - alpha mean)."""

    def __init__(self, diffusion, mean, covariance):
        self.diffusion, self.mean, self.covariance = diffusion, mean, covariance

    def __call__(self, xt, t):
        alpha, sigma = (float(scale[0]) for scale in self.diffusion.scales(t.double()))
        blurred = alpha**2 * self.covariance + sigma**2 * torch.eye(len(self.mean), dtype=F64)
        gain = alpha * self.covariance @ torch.linalg.inv(blurred)
        return (self.mean + (xt.double() - alpha * self.mean) @ gain.T).to(xt.dtype)


MEAN = torch.tensor([1.0, -0.5], dtype=F64)
COVARIANCE = torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=F64)


@pytest.mark.parametrize("schedule", [Cosine(), Linear()], ids=repr)
def test_ddim_transports_a_gaussian_along_the_exact_flow(schedule):
    # The probability-flow ODE of a Gaussian keeps (xt - alpha mean) in proportion to the root of its covariance.
    diffusion = GaussianDiffusion(schedule=schedule)
    variance, mean = 0.3, torch.tensor([0.7], dtype=F64)
    alpha, sigma = (float(v) for v in diffusion.scales(torch.ones(1, dtype=F64)))
    start = diffusion.prior(16, (1,), seeded()).double()
    exact = mean + math.sqrt(variance / (alpha**2 * variance + sigma**2)) * (start - alpha * mean)
    denoiser = GaussianDenoiser(diffusion, mean, variance * torch.eye(1, dtype=F64))

    def error(steps: int) -> float:
        return float((sample(diffusion, denoiser, 16, (1,), seeded(), steps=steps).double() - exact).abs().max())

    assert error(400) < 0.01
    assert error(400) < 0.4 * error(100)


@pytest.mark.slow
def test_ancestral_sampling_reproduces_the_mean_and_the_covariance_of_a_gaussian():
    diffusion, n = GaussianDiffusion(eta=1.0), 20_000
    made = sample(diffusion, GaussianDenoiser(diffusion, MEAN, COVARIANCE), n, (2,), seeded(), steps=400).double()
    z = (made - MEAN) @ torch.linalg.inv(torch.linalg.cholesky(COVARIANCE)).T
    # Whitened samples: mean 0 with standard error 1/sqrt(n), covariance I with sqrt(2/n) on and sqrt(1/n) off diagonal.
    assert (z.mean(dim=0).abs() < 4 / math.sqrt(n)).all()
    np.testing.assert_allclose(np.cov(z.numpy().T), np.eye(2), atol=4 * math.sqrt(2 / n))
    assert all(stats.kstest(z[:, axis], "norm").pvalue > 1e-3 for axis in range(2))


@ETAS
def test_a_data_set_of_one_point_is_returned_exactly(eta):
    diffusion, point = GaussianDiffusion(eta=eta), torch.rand((1, 1, 4, 4), generator=seeded(3))
    made = sample(diffusion, EmpiricalDenoiser(diffusion, point), 5, (1, 4, 4), seeded(), steps=7)
    assert torch.equal(made, point.expand(5, 1, 4, 4))


@pytest.mark.slow
@ETAS
def test_the_exact_denoiser_of_a_mixture_generates_the_mixture(eta):
    mixture = GaussianMixture(
        torch.tensor([0.3, 0.7]), torch.tensor([[2.0, 0.0], [-2.0, 1.0]]), torch.tensor([0.1, 0.3])
    )
    diffusion, n = GaussianDiffusion(eta=eta), 8000
    made = sample(diffusion, MixtureDenoiser(diffusion, mixture), n, (2,), seeded(), steps=250)
    first = made[:, 0] > 0
    assert abs(int(first.sum()) - 0.3 * n) < 4 * math.sqrt(n * 0.3 * 0.7)
    for mode, mean, variance in zip((made[first], made[~first]), mixture.means, mixture.variances, strict=True):
        count = len(mode)
        assert ((mode.mean(dim=0) - mean).abs() < 4 * math.sqrt(variance / count)).all()
        # The steps are finite: the variance may fall short by two percent.
        np.testing.assert_allclose(mode.var(dim=0), [variance] * 2, rtol=4 * math.sqrt(2 / count) + 0.02)


@ETAS
def test_the_empirical_denoiser_generates_training_items_each_equally_often(eta):
    diffusion, n = GaussianDiffusion(eta=eta), 800
    train = torch.randn((8, 1, 4, 4), generator=seeded(3))
    made = sample(diffusion, EmpiricalDenoiser(diffusion, train), n, (1, 4, 4), seeded(), steps=40)
    distances, positions = nearest(made, train, k=2)
    assert gap_ratio(distances).max() < 0.01
    assert stats.chisquare(torch.bincount(positions[:, 0], minlength=8)).pvalue > 1e-3


def test_the_initial_noise_is_the_generators_first_draw():
    seen = []

    def denoiser(xt, t):
        seen.append(xt.clone())
        return xt / 2

    diffusion = GaussianDiffusion(eta=1.0)
    sample(diffusion, denoiser, 4, (3,), seeded(9), steps=3)
    assert torch.equal(seen[0], diffusion.prior(4, (3,), seeded(9)))


def test_the_steps_lie_on_a_uniform_grid_from_noise_to_data():
    seen = []

    def denoiser(xt, t):
        seen.append(float(t[0]))
        return xt / 2

    sample(GaussianDiffusion(), denoiser, 4, (3,), seeded(), steps=4)
    assert seen == [1.0, 0.75, 0.5, 0.25]


def test_one_step_is_the_prediction_from_pure_noise():
    diffusion = GaussianDiffusion()
    made = sample(diffusion, lambda xt, t: xt / 3, 4, (3,), seeded(), steps=1)
    assert torch.equal(made, diffusion.prior(4, (3,), seeded()) / 3)


def test_no_gradients_are_kept():
    network = MLP((3,), width=8)
    assert not sample(GaussianDiffusion(), network, 4, (3,), seeded(), steps=2).requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("steps", [0, -3])
def test_fewer_than_one_step_is_refused(steps):
    with pytest.raises(ConfigError, match=f"got {steps}"):
        sample(GaussianDiffusion(), lambda xt, t: xt, 4, (3,), seeded(), steps=steps)
