"""Gaussian mixtures, against autograd, scipy, numerical integration and Monte Carlo."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from taumem.data import GaussianMixture
from taumem.errors import ConfigError

F64 = torch.float64
TIMES = [(1.0, 0.0), (0.9, 0.4358898943540674), (0.3, 0.95), (0.0, 1.0)]


def uneven(dimensions: int) -> GaussianMixture:
    """Three components of different weight and width: nothing cancels by symmetry."""
    generator = torch.Generator().manual_seed(5)
    return GaussianMixture(
        weights=torch.tensor([0.2, 0.5, 0.3], dtype=F64),
        means=torch.randn(3, dimensions, generator=generator, dtype=F64) * 2,
        variances=torch.tensor([0.3, 1.0, 0.05], dtype=F64),
    )


def points(n: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed), dtype=F64) * 2


@pytest.mark.parametrize(("alpha", "sigma"), TIMES)
def test_the_log_density_is_that_of_scipy(alpha, sigma):
    mixture, x = uneven(3), points(20, 3)
    expected = sum(
        w * stats.multivariate_normal(alpha * m, (alpha**2 * v + sigma**2) * np.eye(3), allow_singular=False).pdf(x)
        for w, m, v in zip(mixture.weights.numpy(), mixture.means.numpy(), mixture.variances.numpy(), strict=True)
    )
    np.testing.assert_allclose(mixture.log_density(x, alpha, sigma), np.log(expected), rtol=1e-10)


@pytest.mark.parametrize(("alpha", "sigma"), TIMES)
def test_the_score_is_the_gradient_of_the_log_density(alpha, sigma):
    mixture = uneven(4)
    x = points(30, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_density(x, alpha, sigma).sum(), x)
    torch.testing.assert_close(mixture.score(x.detach(), alpha, sigma), gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("alpha", "sigma"), TIMES[:3])
def test_the_posterior_mean_obeys_tweedies_formula(alpha, sigma):
    mixture, x = uneven(4), points(30, 4)
    tweedie = (x + sigma**2 * mixture.score(x, alpha, sigma)) / alpha
    torch.testing.assert_close(mixture.posterior_mean(x, alpha, sigma), tweedie, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("xt", [-2.5, 0.1, 1.7])
@pytest.mark.parametrize(("alpha", "sigma"), [(0.9, 0.43), (0.4, 0.9)])
def test_the_posterior_mean_is_bayes_rule_integrated_numerically(xt, alpha, sigma):
    mixture = uneven(1)
    parts = list(zip(*(p.flatten().tolist() for p in (mixture.weights, mixture.means, mixture.variances)), strict=True))

    def joint(x0: float) -> float:
        prior = sum(w * stats.norm.pdf(x0, m, v**0.5) for w, m, v in parts)
        return prior * stats.norm.pdf(xt, alpha * x0, sigma)

    nodes = sorted(m for _, m, _ in parts)
    evidence, _ = integrate.quad(joint, -15, 15, points=nodes, limit=200, epsabs=1e-13)
    mean, _ = integrate.quad(lambda x0: x0 * joint(x0), -15, 15, points=nodes, limit=200, epsabs=1e-13)
    got = mixture.posterior_mean(torch.tensor([[xt]], dtype=F64), alpha, sigma).item()
    assert got == pytest.approx(mean / evidence, rel=1e-6)
    density = mixture.log_density(torch.tensor([[xt]], dtype=F64), alpha, sigma).exp().item()
    assert density == pytest.approx(evidence, rel=1e-6)


def test_the_posterior_mean_is_the_regression_of_clean_on_corrupted_samples():
    # For the best denoiser, x0 - E[x0 | xt] has mean zero whatever it is multiplied with: a Monte-Carlo check
    # that uses sample() alone and none of the formulas.
    mixture, generator, n = uneven(1), torch.Generator().manual_seed(0), 200_000
    x0 = mixture.sample(n, generator)
    xt = 0.7 * x0 + 0.6 * torch.randn(n, 1, generator=generator, dtype=F64)
    left = x0 - mixture.posterior_mean(xt, 0.7, 0.6)
    for test in (torch.ones_like(xt), xt, xt.sin(), xt**2):
        product = left * test
        assert abs(product.mean() / (product.std() / n**0.5)) < 4


def test_samples_have_the_moments_and_the_distribution_of_the_mixture():
    mixture, n = uneven(2), 100_000
    x = mixture.sample(n, torch.Generator().manual_seed(1))
    mean = mixture.weights @ mixture.means
    covariance = (
        torch.einsum("k,ki,kj->ij", mixture.weights, mixture.means, mixture.means)
        - torch.outer(mean, mean)
        + (mixture.weights @ mixture.variances) * torch.eye(2, dtype=F64)
    )
    torch.testing.assert_close(x.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(x.T.cov(), covariance, atol=0.06, rtol=0)
    first = [(w.item(), m[0].item(), v.sqrt().item()) for w, m, v in zip(*vars(mixture).values(), strict=True)]
    ks = stats.kstest(x[:5000, 0], lambda q: sum(w * stats.norm.cdf(q, m, s) for w, m, s in first))
    assert ks.pvalue > 1e-3


def test_each_item_may_have_its_own_noise_level():
    mixture, x = uneven(3), points(4, 3)
    alpha = torch.tensor([1.0, 0.9, 0.3, 0.0], dtype=F64)
    sigma = torch.tensor([0.1, 0.4, 0.95, 1.0], dtype=F64)
    for method in (mixture.log_density, mixture.score, mixture.posterior_mean):
        together = method(x, alpha, sigma)
        alone = torch.cat([method(x[i : i + 1], alpha[i].item(), sigma[i].item()) for i in range(4)])
        torch.testing.assert_close(together, alone)


def test_without_noise_the_posterior_mean_is_the_item_and_without_signal_the_mean_of_the_data():
    mixture, x = uneven(3), points(6, 3)
    torch.testing.assert_close(mixture.posterior_mean(x), x)
    prior_mean = (mixture.weights @ mixture.means).expand(6, 3)
    torch.testing.assert_close(mixture.posterior_mean(x, 0.0, 1.0), prior_mean)


def test_far_away_points_give_finite_numbers():
    mixture = GaussianMixture.two_modes()
    x = torch.full((1, 8), 1e4)
    assert torch.isfinite(mixture.log_density(x)).all()
    torch.testing.assert_close(mixture.score(x), 1 - x)


def test_the_reference_problem_has_two_unit_modes_at_plus_and_minus_one():
    mixture = GaussianMixture.two_modes(dtype=F64)
    assert mixture.dimensions == 8
    x = points(10, 8)
    expected = np.logaddexp(
        stats.multivariate_normal(np.ones(8)).logpdf(x), stats.multivariate_normal(-np.ones(8)).logpdf(x)
    ) - np.log(2)
    np.testing.assert_allclose(mixture.log_density(x), expected)
    # The density is even, so its score is odd.
    torch.testing.assert_close(mixture.score(-x, 0.5, 0.8), -mixture.score(x, 0.5, 0.8))


def test_the_generator_alone_decides_the_samples():
    mixture = GaussianMixture.two_modes()
    before = torch.get_rng_state()
    first = mixture.sample(10, torch.Generator().manual_seed(7))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    assert torch.equal(mixture.sample(10, torch.Generator().manual_seed(7)), first)
    assert first.dtype == torch.float32
    assert mixture.sample(0, torch.Generator()).shape == (0, 8)


@pytest.mark.parametrize(
    ("weights", "means", "variances", "message"),
    [
        ([0.5, 0.5], [[0.0], [1.0]], [1.0], r"weights \[k\], means \[k, d\]"),
        ([0.5, 0.5], [0.0, 1.0], [1.0, 1.0], r"means \[k, d\]"),
        ([0.5, 0.6], [[0.0], [1.0]], [1.0, 1.0], "sum to 1.1"),
        ([1.5, -0.5], [[0.0], [1.0]], [1.0, 1.0], "weights must be positive"),
        ([0.5, 0.5], [[0.0], [1.0]], [1.0, 0.0], "variances must be positive"),
        ([0.5, 0.5], [[0.0], [float("nan")]], [1.0, 1.0], "NaN"),
        ([1], [[0]], [1], "floats of one type"),
    ],
)
def test_a_mixture_that_is_none_is_refused(weights, means, variances, message):
    with pytest.raises(ConfigError, match=message):
        GaussianMixture(torch.tensor(weights), torch.tensor(means), torch.tensor(variances))
