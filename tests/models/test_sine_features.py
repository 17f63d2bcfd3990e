"""Random features: the closed-form averages against quadrature and Monte Carlo, and training against the solution."""

import math

import numpy as np
import pytest
import torch

from taumem.data import GaussianMixture
from taumem.diffusion import Cosine, Exploding, Flow, GaussianDiffusion
from taumem.errors import ConfigError
from taumem.models import (
    EmpiricalDenoiser,
    GradientFlow,
    MixtureDenoiser,
    Moments,
    Preconditioned,
    SineFeatures,
    moments_of_draws,
    moments_of_items,
    moments_of_mixture,
)
from taumem.training import Learner, train

F64 = torch.float64
WEIGHTINGS = ("eps", "v", "x0")
UNEVEN = GaussianMixture(
    torch.tensor([0.2, 0.5, 0.3], dtype=F64),
    torch.tensor([[1.0, 0.5], [-0.4, 2.0], [0.3, -1.0]], dtype=F64),
    torch.tensor([0.5, 1.5, 0.5], dtype=F64),
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=F64)


def assert_same(a: Moments, b: Moments, **tolerances: float) -> None:
    torch.testing.assert_close(a.features, b.features, **tolerances)
    torch.testing.assert_close(a.targets, b.targets, **tolerances)
    assert a.power == pytest.approx(b.power, rel=1e-2)


def direct_loss(network, diffusion, items, t, noise, weights) -> float:
    """The weighted mean of the diffusion's own loss."""
    denoiser = Preconditioned(network, diffusion, predicts=diffusion.weighting)
    losses = diffusion.loss(denoiser, items, torch.full((len(items),), t, dtype=F64), noise)
    return float((weights * losses.detach()).sum())


@pytest.mark.parametrize("schedule", [Cosine(), Flow(), Exploding()])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_loss_over_all_noise_is_that_of_quadrature(weighting, schedule):
    diffusion, network = GaussianDiffusion(schedule, weighting), SineFeatures((2,), width=12, gain=2.0).double()
    network.readout.data = normal(2, 12, seed=3)
    items = normal(4, 2)
    nodes, node_weights = (torch.tensor(v) for v in np.polynomial.hermite_e.hermegauss(40))
    grid = torch.cartesian_prod(nodes, nodes)
    weights = torch.outer(node_weights, node_weights).flatten() / node_weights.sum() ** 2 / 4
    x0, noise = items.repeat_interleave(len(grid), dim=0), grid.repeat(4, 1)
    expected = direct_loss(network, diffusion, x0, 0.3, noise, weights.repeat(4))
    assert moments_of_items(network, diffusion, items, 0.3).loss(network.readout.detach()) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_loss_on_a_mixture_is_that_on_ever_more_items_of_it(weighting):
    diffusion, network = GaussianDiffusion(weighting=weighting), SineFeatures((2,), width=10, gain=1.5)
    of_all = moments_of_mixture(network, diffusion, UNEVEN, 0.4)
    of_many = moments_of_items(network, diffusion, UNEVEN.sample(50_000, seeded(1)), 0.4)
    assert_same(of_all, of_many, rtol=0, atol=1.2e-2)


def test_fixed_draws_of_noise_are_their_own_average_and_many_are_all_noise():
    diffusion, network, items = GaussianDiffusion(weighting="v"), SineFeatures((3,), width=8), normal(5, 3)
    network.readout.data = normal(3, 8, seed=2).float()
    noise = normal(7, 5, 3, seed=1)
    moments = moments_of_draws(network, diffusion, items, 0.3, noise)
    flat = items.expand(7, 5, 3).reshape(35, 3)
    expected = direct_loss(network, diffusion, flat, 0.3, noise.reshape(35, 3), torch.full((35,), 1 / 35, dtype=F64))
    assert moments.loss(network.readout.detach().double()) == pytest.approx(expected, abs=1e-12)
    many = moments_of_draws(network, diffusion, items, 0.3, normal(20_000, 5, 3, seed=1))
    assert_same(many, moments_of_items(network, diffusion, items, 0.3), rtol=0, atol=1e-2)


def test_gradient_descent_on_fixed_draws_is_the_solution_at_every_step():
    diffusion, network = GaussianDiffusion(weighting="eps"), SineFeatures((4,), width=40).double()
    items, noise = normal(6, 4), normal(8, 6, 4, seed=1)
    flow = GradientFlow(moments_of_draws(network, diffusion, items, 0.2, noise))
    rate, found = 0.9 * flow.highest_rate, []
    denoiser = Preconditioned(network, diffusion, predicts="eps")
    optimizer = torch.optim.SGD([network.readout], lr=rate)
    x0, eps = items.expand(8, 6, 4).reshape(48, 4), noise.reshape(48, 4)
    t = torch.full((48,), 0.2, dtype=F64)
    for _ in range(80):
        optimizer.zero_grad()
        loss = diffusion.loss(denoiser, x0, t, eps).mean()
        found.append(loss.item())
        loss.backward()
        optimizer.step()
    times = rate * torch.arange(80, dtype=F64)
    torch.testing.assert_close(flow.losses(flow.train, times, learning_rate=rate), torch.tensor(found, dtype=F64))
    torch.testing.assert_close(flow.readout(80 * rate, learning_rate=rate), network.readout.detach())


def test_training_by_the_loop_follows_the_solution():
    # Fresh noise at each step: the limit of many draws, but for the noise of the steps themselves.
    diffusion = GaussianDiffusion(weighting="eps", t_min=0.2, t_max=0.2)
    network, items = SineFeatures((4,), width=32, gain=2.0), normal(6, 4).float()
    train_loss = moments_of_items(network, diffusion, items, 0.2)
    flow = GradientFlow(train_loss)
    learner = Learner.start(
        Preconditioned(network, diffusion, predicts="eps"), learning_rate=5.0, optimizer="sgd", momentum=0.0
    )
    for step in train(learner, diffusion, items, batch_size=600, seed=0):
        if step.index == 100:
            break
    solved = float(flow.losses(train_loss, torch.tensor([500.0]), learning_rate=5.0)[0])
    assert solved < 0.8
    assert train_loss.loss(network.readout.detach().double()) == pytest.approx(solved, rel=0.02)


def test_a_mode_that_is_learned_in_proportion_to_its_eigenvalue_is_a_planted_one():
    # Two features that never meet: each loss is an exponential of its own.
    flow = GradientFlow(
        Moments(torch.diag(torch.tensor([0.5, 0.01], dtype=F64)), torch.tensor([[0.5, 0.01]]).double(), 1)
    )
    times = torch.tensor([0.0, 1.0, 30.0, math.inf], dtype=F64)
    expected = 0.49 + 0.5 * torch.exp(-2 * times) + 0.01 * torch.exp(-0.04 * times)
    torch.testing.assert_close(flow.losses(flow.train, times), expected)
    torch.testing.assert_close(flow.rates, torch.tensor([1.0, 0.02], dtype=F64))
    slow = flow.losses(flow.train, times[:3], learning_rate=1e-4)
    torch.testing.assert_close(slow, expected[:3], rtol=1e-3, atol=0)


def test_a_preconditioner_is_a_scale_of_the_features():
    network, diffusion, items = SineFeatures((2,), width=9), GaussianDiffusion(), normal(3, 2)
    moments, by = moments_of_items(network, diffusion, items, 0.4), 0.5 + torch.rand(9, generator=seeded(), dtype=F64)
    readout, rate = torch.zeros(2, 9, dtype=F64), 0.3
    for _ in range(50):
        readout = readout - rate * moments.gradient(readout) * by.square()
    flow = GradientFlow(moments.scaled(by))
    torch.testing.assert_close(flow.readout(50 * rate, learning_rate=rate) * by, readout)
    assert float(flow.losses(flow.train, torch.tensor([50 * rate]), learning_rate=rate)[0]) == pytest.approx(
        moments.loss(readout), abs=1e-12
    )


def test_many_modes_memorize_and_few_generalize():
    # d modes of what the items share stand apart; the others, one for each item, fall as 1 / P.
    diffusion, network = GaussianDiffusion(weighting="eps"), SineFeatures((8,), width=400)
    gaussian = GaussianMixture.two_modes(8, separation=0)
    items = gaussian.sample(160, seeded(1))
    spectra = {n: GradientFlow(moments_of_items(network, diffusion, items[:n], 0.05)).rates for n in (40, 160)}
    for rates in spectra.values():
        assert rates[7] / rates[8] > 1.5
    # What is not linear weighs the same at any P, and is shared by P modes.
    assert 3 < float(spectra[40][8:40].mean() / spectra[160][8:160].mean()) < 5
    assert float(spectra[40][7] / spectra[160][7]) == pytest.approx(1, abs=0.5)


def test_in_the_end_the_items_are_memorized_and_the_optima_stand_on_either_side():
    diffusion, t = GaussianDiffusion(weighting="x0"), 0.3
    mixture = GaussianMixture.two_modes(4, separation=0)
    items, fresh = mixture.sample(12, seeded(1)), mixture.sample(2000, seeded(2))
    network = SineFeatures((4,), width=600, gain=4.0)
    flow = GradientFlow(moments_of_items(network, diffusion, items, t))
    times = torch.logspace(0, 9, 60, dtype=F64)
    seen = flow.losses(flow.train, times)
    unseen = flow.losses(moments_of_mixture(network, diffusion, mixture, t), times)
    losses = {
        (name, which): float(diffusion.loss(model, x0, torch.full((len(x0),), t), noise).mean())
        for name, model in (
            ("empirical", EmpiricalDenoiser(diffusion, items)),
            ("exact", MixtureDenoiser(diffusion, mixture)),
        )
        for which, x0 in (("seen", items.repeat(100, 1)), ("unseen", fresh))
        for noise in (diffusion.noise(x0, seeded(3)),)
    }
    assert unseen.min() > losses["exact", "unseen"] * 0.95  # nothing is better than the optimum of the population
    assert unseen[-1] > 1.3 * losses["exact", "unseen"]
    assert losses["empirical", "seen"] * 0.9 < seen[-1] < 0.6 * losses["exact", "seen"]


@pytest.mark.parametrize("options", [{"width": 0}, {"gain": 0.0}, {"gain": math.inf}])
def test_features_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="at least one, with a gain above 0"):
        SineFeatures((3,), **options)


def test_what_diverges_is_refused():
    flow = GradientFlow(Moments(torch.eye(2, dtype=F64), torch.ones(1, 2, dtype=F64), 2.0))
    with pytest.raises(ConfigError, match=r"between 0 and 1; got 1\.5"):
        flow.losses(flow.train, torch.ones(1), learning_rate=1.5)
    with pytest.raises(ConfigError, match="give one at least"):
        moments_of_items(SineFeatures((2,), width=3), GaussianDiffusion(), torch.zeros(0, 2), 0.5)
