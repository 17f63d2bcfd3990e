"""Learned variances, against Gaussian data: every reverse step is then a Gaussian whose variance is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from taumem.diffusion import Cosine, GaussianDiffusion, LearnedVariance, sample
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser, Preconditioned, UNet

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def of_step(t, s, diffusion):
    """alpha_t, sigma_t, alpha_s, sigma_s, beta and beta~, by the formulas of DDPM."""
    (a_t, s_t), (a_s, s_s) = (tuple(map(float, diffusion.scales(torch.tensor(u, dtype=F64)))) for u in (t, s))
    beta = 1 - (a_t / a_s) ** 2
    return a_t, s_t, a_s, s_s, beta, beta * s_s**2 / s_t**2


class OfGaussianData:
    """The exact denoiser of data N(0, c^2), and the v of the exact variance of a step of a given length."""

    def __init__(self, c, diffusion, step):
        self.c, self.diffusion, self.step = c, diffusion, step

    def __call__(self, xt, t, *, with_variance=False):
        a_t, s_t = (float(u) for u in self.diffusion.scales(t[:1]))
        var_t = (a_t * self.c) ** 2 + s_t**2
        x0 = a_t * self.c**2 / var_t * xt
        if not with_variance:
            return x0
        s = float(t[0]) - self.step
        _, _, a_s, s_s, beta, beta_tilde = of_step(float(t[0]), s, self.diffusion)
        var_s = (a_s * self.c) ** 2 + s_s**2
        exact = var_s - (a_t / a_s * var_s) ** 2 / var_t  # of xs given xt, which are jointly normal
        share = (math.log(exact) - math.log(beta_tilde)) / (math.log(beta) - math.log(beta_tilde))
        return x0, torch.full_like(xt, 2 * share - 1)


@pytest.mark.parametrize("c", [0.3, 1.0])
def test_few_steps_with_the_exact_variances_draw_from_the_exact_distribution(c):
    n, steps = 200_000, 5
    diffusion = LearnedVariance()
    denoiser = OfGaussianData(c, diffusion, 1 / steps)
    x = diffusion.prior(n, (1,), seeded(1)).double()
    for k in range(steps - 1):
        x = diffusion.reverse(denoiser, x, 1 - k / steps, 1 - (k + 1) / steps, seeded(k + 2))
    a_s, s_s = (float(u) for u in diffusion.scales(torch.tensor(1 / steps, dtype=F64)))
    exact = (a_s * c) ** 2 + s_s**2
    assert abs(float(x.var()) / exact - 1) < 5 * math.sqrt(2 / n)
    assert abs(float(x.mean())) < 5 * math.sqrt(exact / n)
    fixed = diffusion.prior(n, (1,), seeded(1)).double()
    for k in range(steps - 1):
        fixed = GaussianDiffusion(eta=1.0).reverse(denoiser, fixed, 1 - k / steps, 1 - (k + 1) / steps, seeded(k + 2))
    assert float(fixed.var()) < 0.97 * exact


@pytest.mark.parametrize("v", [-1.0, 1.0])
def test_the_ends_of_v_are_the_posteriors_variance_and_the_datas_own_noise(v):
    diffusion, t, s = LearnedVariance(), 0.6, 0.4
    *_, beta, beta_tilde = of_step(t, s, diffusion)
    x = torch.zeros(100_000, 1, dtype=F64)

    def denoiser(xt, t, *, with_variance=False):
        return (torch.zeros_like(xt), torch.full_like(xt, v))

    drawn = diffusion.reverse(denoiser, x, t, s, seeded())
    assert abs(float(drawn.var()) / {-1.0: beta_tilde, 1.0: beta}[v] - 1) < 0.02


@pytest.mark.parametrize("weighting", ["eps", "v", "x0"])
def test_the_loss_is_the_simple_one_with_the_divergence_of_each_step(weighting):
    x0, noise = torch.randn(2, 3, 7, generator=seeded(), dtype=F64)
    t = torch.tensor([0.2, 0.5, 0.97])
    diffusion = LearnedVariance(weighting=weighting, n_steps=100, vlb_weight=0.25)

    def denoiser(xt, t, *, with_variance=False):
        return (torch.sin(xt), torch.cos(3 * xt)) if with_variance else torch.sin(xt)

    simple = GaussianDiffusion(weighting=weighting).loss(denoiser, x0, t.double(), noise)
    torch.testing.assert_close(replace(diffusion, vlb_weight=0).loss(denoiser, x0, t.double(), noise), simple)
    xt = diffusion.corrupt(x0, t.double(), noise)
    x0_hat, v = denoiser(xt, t, with_variance=True)
    expected = []
    for k in range(3):
        a_t, s_t, a_s, s_s, beta, beta_tilde = of_step(float(t[k].double()), float(t[k].double()) - 0.01, diffusion)

        def mean(x0, k=k, a_t=a_t, s_t=s_t, a_s=a_s, s_s=s_s, beta=beta):
            return (a_s * beta * x0 + a_t / a_s * s_s**2 * xt[k]) / s_t**2

        share = (v[k] + 1) / 2
        deviation = (share * math.log(beta) + (1 - share) * math.log(beta_tilde)).exp().sqrt()
        nats = kl_divergence(Normal(mean(x0[k]), math.sqrt(beta_tilde)), Normal(mean(x0_hat[k]), deviation))
        expected.append(100 * nats.mean() / math.log(2))
    found = diffusion.loss(denoiser, x0, t.double(), noise) - simple
    torch.testing.assert_close(found, 0.25 * torch.stack(expected), rtol=1e-6, atol=1e-9)


def test_the_bound_is_least_at_the_exact_variance():
    n, t, n_steps, c = 400_000, 0.7, 10, 0.5
    diffusion = LearnedVariance(n_steps=n_steps, vlb_weight=1.0)
    exact = OfGaussianData(c, diffusion, 1 / n_steps)
    x0, noise = c * torch.randn(n, 1, generator=seeded(1), dtype=F64), torch.randn(n, 1, generator=seeded(2), dtype=F64)
    times = torch.full((n,), t, dtype=F64)
    v = exact(x0, times, with_variance=True)[1][0, 0].clone().requires_grad_()

    def denoiser(xt, t, *, with_variance=False):
        x0_hat = exact(xt, t)
        return (x0_hat, v.expand_as(xt)) if with_variance else x0_hat

    (slope,) = torch.autograd.grad(diffusion.loss(denoiser, x0, times, noise).mean(), v)
    with torch.no_grad():
        v += 0.1
    (beside,) = torch.autograd.grad(diffusion.loss(denoiser, x0, times, noise).mean(), v)
    assert abs(float(slope)) < 0.05 * abs(float(beside))


def small_model(outputs=2):
    network = UNet((1, 8, 8), channels=8, multipliers=(1, 2), blocks=1, outputs=outputs)
    with torch.no_grad():
        network.leave[-1].weight += 0.1 * torch.randn(network.leave[-1].weight.shape, generator=seeded(3))
    return Preconditioned(network, LearnedVariance())


def test_the_bound_trains_the_variance_alone():
    model, x0 = small_model(), torch.randn(4, 1, 8, 8, generator=seeded())
    t, noise = torch.tensor([0.1, 0.4, 0.7, 0.99]), torch.randn(4, 1, 8, 8, generator=seeded(1))

    def gradient_of(vlb_weight):
        model.zero_grad()
        LearnedVariance(vlb_weight=vlb_weight).loss(model, x0, t, noise).sum().backward()
        return model.network.leave[-1].weight.grad.clone()

    simple, hybrid = gradient_of(0.0), gradient_of(0.1)
    torch.testing.assert_close(hybrid[:1], simple[:1], rtol=1e-4, atol=1e-6)  # of x0's outputs
    assert (simple[1:] == 0).all()
    assert (hybrid[1:] != 0).all()


def test_to_all_but_training_and_sampling_it_is_a_denoiser_like_any_other():
    model, xt, t = small_model(), torch.randn(2, 1, 8, 8, generator=seeded()), torch.tensor([0.2, 0.8])
    x0, v = model(xt, t, with_variance=True)
    assert torch.equal(model(xt, t), x0)
    assert x0.shape == v.shape == xt.shape
    drawn = sample(LearnedVariance(), model, 3, (1, 8, 8), seeded(), steps=4)
    assert drawn.shape == (3, 1, 8, 8)
    assert torch.isfinite(drawn).all()
    data, noise = torch.randn(2, 5, 1, 8, 8, generator=seeded(4))
    exact = EmpiricalDenoiser(LearnedVariance(), data)  # has no variance, and is compared by the simple loss
    assert torch.isfinite(LearnedVariance().loss(exact, data, torch.full((5,), 0.3), noise)).all()


def test_the_smallest_and_largest_times_have_finite_losses():
    model, times = small_model(), torch.tensor([0.0, 1e-4, 1e-3, 1.2e-3, 2e-3, 0.999, 1.0])
    x0, noise = torch.randn(2, len(times), 1, 8, 8, generator=seeded())
    simple = LearnedVariance().loss(model, x0, times, noise)
    hybrid = LearnedVariance(vlb_weight=1e-3).loss(model, x0, times, noise)
    assert torch.isfinite(hybrid).all()
    assert torch.equal(hybrid[:3], simple[:3])  # the last step has no variance


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"ancestral sampling, eta = 1; got eta = 0"):
        LearnedVariance(Cosine(), eta=0.0)
    with pytest.raises(ConfigError, match="at least 2 steps"):
        LearnedVariance(n_steps=1)
    with pytest.raises(ConfigError, match="predicts no variances"):
        small_model(outputs=1)(torch.zeros(1, 1, 8, 8), torch.ones(1), with_variance=True)
    with pytest.raises(TypeError):
        LearnedVariance(vlb_weight=1.0).loss(nn.Identity(), torch.zeros(1, 1), torch.ones(1), torch.zeros(1, 1))
