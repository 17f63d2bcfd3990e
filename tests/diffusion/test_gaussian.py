"""Gaussian diffusion, against the formulas of DDPM and DDIM."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taumem.data import GaussianMixture
from taumem.diffusion import Cosine, Exploding, Flow, GaussianDiffusion, Linear, sample
from taumem.errors import ConfigError
from taumem.models import MLP, MixtureDenoiser, Preconditioned

F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=F64)


def cosine(t: float) -> tuple[float, float]:
    return math.cos(math.pi * t / 2), math.sin(math.pi * t / 2)


@pytest.mark.parametrize("schedule", [Cosine(), Linear()], ids=repr)
def test_corruption_has_the_mean_and_variance_of_q(schedule):
    diffusion, t = GaussianDiffusion(schedule=schedule), 0.4
    alpha, sigma = (float(v) for v in schedule(torch.tensor(t, dtype=F64)))
    x0 = normal(3).expand(40_000, 3)
    xt = diffusion.corrupt(x0, torch.full((40_000,), t, dtype=F64), diffusion.noise(x0, seeded(1)))
    z = (xt - alpha * x0) / sigma
    assert (z.mean(dim=0).abs() < 4 / 200).all()
    np.testing.assert_allclose(np.cov(z.numpy().T), np.eye(3), atol=4 * math.sqrt(2) / 200)


def test_each_loss_is_the_squared_error_of_what_it_is_named_after():
    x0, eps, t = normal(50, 2, 3), normal(50, 2, 3, seed=1), torch.linspace(0.01, 0.99, 50, dtype=F64)
    alpha, sigma = (v[:, None, None] for v in Cosine()(t))
    xt = alpha * x0 + sigma * eps

    def denoiser(xt, t):
        return torch.sin(xt) + t[:, None, None]

    x0_hat = denoiser(xt, t)
    eps_hat = (xt - alpha * x0_hat) / sigma
    v, v_hat = alpha * eps - sigma * x0, alpha * eps_hat - sigma * x0_hat
    expected = {"eps": eps - eps_hat, "v": v - v_hat, "x0": x0 - x0_hat}
    for weighting, error in expected.items():
        found = GaussianDiffusion(weighting=weighting).loss(denoiser, x0, t, eps)
        torch.testing.assert_close(found, error.square().mean(dim=(1, 2)), rtol=1e-9, atol=1e-12)


@given(t=st.floats(0.1, 0.99), ratio=st.floats(0.02, 0.98))
def test_ancestral_steps_draw_from_the_posterior_of_ddpm(t, ratio):
    s = t * ratio
    alpha_t, alpha_s = cosine(t)[0], cosine(s)[0]
    x0_hat, xt = normal(4, 3), normal(4, 3, seed=1)
    # Ho et al. 2020, eqs. 6-7, with alpha_bar = alpha^2 and one step from t to s.
    bar_t, bar_s = alpha_t**2, alpha_s**2
    alpha, beta = bar_t / bar_s, 1 - bar_t / bar_s
    mean = math.sqrt(bar_s) * beta / (1 - bar_t) * x0_hat + math.sqrt(alpha) * (1 - bar_s) / (1 - bar_t) * xt
    std = math.sqrt((1 - bar_s) / (1 - bar_t) * beta)
    drawn = torch.randn((4, 3), generator=seeded(5), dtype=F64)
    found = GaussianDiffusion(eta=1.0).reverse(lambda x, t: x0_hat, xt, t, s, seeded(5))
    torch.testing.assert_close(found, mean + std * drawn, rtol=1e-7, atol=1e-7)


@given(
    t=st.floats(0.1, 0.99),
    ratio=st.floats(0.02, 0.98),
    eta=st.floats(0, 1),
    schedule=st.sampled_from([Cosine(), Flow(), Exploding()]),
)
def test_every_eta_keeps_the_marginal_of_the_process(t, ratio, eta, schedule):
    s = t * ratio
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (map(float, schedule(torch.tensor(time, dtype=F64))) for time in (t, s))
    diffusion = GaussianDiffusion(schedule, eta=eta)

    def step(x0: float, eps: float) -> torch.Tensor:
        xt = torch.tensor([[alpha_t * x0 + sigma_t * eps]], dtype=F64)
        return diffusion.reverse(lambda x, t: torch.tensor([[x0]], dtype=F64), xt, t, s, seeded(5))

    # xs is linear in x0, eps and the fresh noise; its noise must have the variance sigma_s^2.
    fresh = step(0.0, 0.0) / torch.randn((1, 1), generator=seeded(5), dtype=F64)
    signal, kept = step(1.0, 0.0) - step(0.0, 0.0), step(0.0, 1.0) - step(0.0, 0.0)
    assert float(signal) == pytest.approx(alpha_s, rel=1e-9)
    assert float(kept**2 + fresh**2) == pytest.approx(sigma_s**2, rel=1e-7)


@pytest.mark.parametrize("schedule", [Cosine(), Linear(), Flow(), Exploding()], ids=repr)
@pytest.mark.parametrize("s", [0.2, 0.55])
def test_ancestral_steps_have_the_variance_of_bayes_rule(schedule, s):
    # xs given x0 and xt, by the precisions of xs given x0 and of xt given xs.
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (map(float, schedule(torch.tensor(time, dtype=F64))) for time in (0.6, s))
    kept = alpha_t / alpha_s
    beta = sigma_t**2 - (kept * sigma_s) ** 2
    variance = 1 / (1 / sigma_s**2 + kept**2 / beta)
    x0_hat, xt, drawn = normal(4, 3), normal(4, 3, seed=1), torch.randn((4, 3), generator=seeded(5), dtype=F64)
    mean = variance * (alpha_s * x0_hat / sigma_s**2 + kept * xt / beta)
    found = GaussianDiffusion(schedule, eta=1.0).reverse(lambda x, t: x0_hat, xt, 0.6, s, seeded(5))
    torch.testing.assert_close(found, mean + math.sqrt(variance) * drawn, rtol=1e-7, atol=1e-7)


def test_the_deterministic_step_of_flow_matching_is_eulers():
    x0_hat, xt = normal(4, 3), normal(4, 3, seed=1)
    velocity = (xt - x0_hat) / 0.7  # eps - x0 of the line through xt that ends in x0_hat
    found = GaussianDiffusion(Flow()).reverse(lambda x, t: x0_hat, xt, 0.7, 0.4, seeded())
    torch.testing.assert_close(found, xt + (0.4 - 0.7) * velocity)


@pytest.mark.parametrize("schedule", [Flow(), Exploding()], ids=repr)
@pytest.mark.parametrize("predicts", ["eps", "v", "x0"])
def test_under_other_schedules_too_the_loss_is_the_squared_error_of_what_a_network_predicts(schedule, predicts):
    diffusion = GaussianDiffusion(schedule, weighting=predicts)
    x0, eps, t = normal(20, 3), normal(20, 3, seed=1), torch.linspace(0.01, 0.99, 20, dtype=F64)
    alpha, sigma, skip, out = (scale[:, None] for scale in (*schedule(t), *schedule.velocity(t)))
    xt = alpha * x0 + sigma * eps
    target = {"eps": eps, "v": (skip * xt - x0) / out, "x0": x0}[predicts]
    network = MLP((3,), width=8).double()
    output = network(xt * schedule.input_scale(t)[:, None], t)
    found = diffusion.loss(Preconditioned(network, diffusion, predicts), x0, t, eps)
    torch.testing.assert_close(found, (output - target).square().mean(dim=1), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("schedule", [Flow(), Exploding()], ids=repr)
def test_the_exact_denoiser_draws_from_its_distribution(schedule, eta):
    mixture, diffusion = GaussianMixture.two_modes(2), GaussianDiffusion(schedule, eta=eta)
    steps = 400 if eta else 100  # fresh noise is exact for small steps only
    made = sample(diffusion, MixtureDenoiser(diffusion, mixture), 4000, (2,), seeded(), steps=steps)
    along = made.sum(dim=1).double() / math.sqrt(2)  # 1/2 N(sqrt 2, 1) + 1/2 N(-sqrt 2, 1)
    assert abs(float(along.mean())) < 4 * math.sqrt(3 / 4000)
    assert float(along.square().mean()) == pytest.approx(3, abs=0.25)
    across = (made[:, 0] - made[:, 1]) / math.sqrt(2)
    assert float(across.square().mean()) == pytest.approx(1, abs=0.09)


def test_the_deterministic_step_draws_nothing():
    generator = seeded()
    GaussianDiffusion(eta=0).reverse(lambda x, t: x / 2, normal(4, 3), 0.5, 0.4, generator)
    assert torch.equal(generator.get_state(), seeded().get_state())


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_step_to_zero_returns_the_prediction_itself(eta):
    xt = normal(4, 3)
    assert torch.equal(GaussianDiffusion(eta=eta).reverse(lambda x, t: x / 3, xt, 0.1, 0.0, seeded()), xt / 3)


@pytest.mark.parametrize("weighting", ["eps", "v", "x0"])
@pytest.mark.parametrize("schedule", [Cosine(), Linear(), Flow(), Exploding()], ids=repr)
def test_the_ends_of_time_are_finite(weighting, schedule):
    diffusion = GaussianDiffusion(schedule=schedule, weighting=weighting)
    x0, t = normal(2, 3).float(), torch.tensor([0.0, 1.0])
    loss = diffusion.loss(lambda xt, t: 0.5 * xt, x0, t, normal(2, 3, seed=1).float())
    assert torch.isfinite(loss).all()
    for eta in (0.0, 1.0):
        stepping = GaussianDiffusion(schedule=schedule, eta=eta)
        for start, end in [(1.0, 0.5), (1.0, 0.9999), (1e-3, 1e-4), (1e-4, 1e-5)]:
            assert torch.isfinite(stepping.reverse(lambda xt, t: 0.5 * xt, x0, start, end, seeded())).all()


def test_log_prob_keeps_near_duplicates_apart_in_single_precision():
    # Images of 12,288 coordinates, two of which differ by 0.05 in one: at t = 0.02 that is about one nat.
    x0 = 0.9 + 0.1 * normal(3, 12_288)
    x0[1] = x0[0]
    x0[1, 0] += 0.05
    x0, eps = x0.float(), normal(1, 12_288, seed=1).float()
    diffusion, t = GaussianDiffusion(), torch.tensor([0.02])
    xt = diffusion.corrupt(x0[:1], t, eps)
    alpha, sigma = cosine(0.02)
    exact = -(xt.double() - alpha * x0.double()).square().sum(dim=1) / (2 * sigma**2)
    found = diffusion.log_prob(xt, x0, t)[0].double()
    assert float(found[1] - found[0]) == pytest.approx(float(exact[1] - exact[0]), abs=0.02)


@pytest.mark.parametrize(
    "options",
    [
        {"weighting": "epsilon"},
        {"eta": -0.1},
        {"eta": 1.5},
        {"eta": float("nan")},
        {"t_min": 0.0},
        {"t_max": 1.5},
        {"t_min": 0.6, "t_max": 0.4},
    ],
)
def test_what_cannot_be_used_is_refused(options):
    with pytest.raises(ConfigError, match=str(next(iter(options.values())))):
        GaussianDiffusion(**options)
