"""The spectrum of training, against brute force, against the solved model, and in its three groups."""

import pytest
import torch
from torch import nn

from taumem.data import GaussianMixture
from taumem.diffusion import GaussianDiffusion, MaskedDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, EmpiricalDenoiser, GradientFlow, Preconditioned, SineFeatures, moments_of_draws
from taumem.probes import gradient_spectrum
from taumem.randomness import generator_for

DIFFUSION = GaussianDiffusion(weighting="eps")


def gaussian(n: int, dimensions: int) -> torch.Tensor:
    return GaussianMixture.two_modes(dimensions, separation=0).sample(n, torch.Generator().manual_seed(1))


def test_the_rates_are_those_of_the_gradients_taken_one_by_one():
    model, items, t = Preconditioned(MLP((3,), width=8, depth=1), DIFFUSION, "eps"), gaussian(5, 3), 0.3
    found = gradient_spectrum(model, DIFFUSION, items, t, draws=2, seed=4)
    x0, times = items.repeat_interleave(2, dim=0), torch.full((10,), t)
    xt = DIFFUSION.corrupt(x0, times, DIFFUSION.noise(x0, generator_for(4, "spectrum")))
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(model(xt[i : i + 1], times[:1])[0, c], model.parameters())])
        for c in range(3)
        for i in range(10)
    ]
    gram = sum(part @ part.T for part in torch.stack(rows).double().reshape(3, 10, -1)) / 3
    alpha, sigma = DIFFUSION.scales(times[:1].double())
    expected = torch.linalg.eigvalsh(gram * float((alpha / sigma) ** 2) * 2 / (10 * 3)).flip(0)
    torch.testing.assert_close(found.rates, expected, rtol=1e-4, atol=1e-7 * float(expected[0]))


@pytest.mark.parametrize("weighting", ["eps", "v", "x0"])
def test_of_random_features_the_rates_are_those_of_the_solved_training(weighting):
    diffusion, network, items = GaussianDiffusion(weighting=weighting), SineFeatures((3,), width=16), gaussian(6, 3)
    found = gradient_spectrum(Preconditioned(network, diffusion, weighting), diffusion, items, 0.3, draws=4)
    x0 = items.repeat_interleave(4, dim=0)
    noise = diffusion.noise(x0, generator_for(0, "spectrum")).reshape(6, 4, 3).transpose(0, 1)
    solved = GradientFlow(moments_of_draws(network, diffusion, items, 0.3, noise)).rates
    torch.testing.assert_close(found.rates[:16], solved, rtol=1e-3, atol=1e-6 * float(solved[0]))
    assert found.rates[16:].max() < 1e-5 * solved[0]


def test_items_are_told_apart_after_what_they_share_and_before_the_noise_and_not_by_single_draws():
    n, d = 24, 4
    model = Preconditioned(SineFeatures((d,), width=2000, gain=2.0), DIFFUSION, "eps")
    several = gradient_spectrum(model, DIFFUSION, gaussian(n, d), 0.04, draws=6)
    same, rates = several.same_for_draws, several.rates
    assert same[: n - d].min() > 0.8  # what all or one of the items have, whatever the noise
    assert same[2 * n :].mean() < 0.2
    assert rates[n // 2] > 20 * rates[2 * n]
    single = gradient_spectrum(model, DIFFUSION, gaussian(n * 6, d), 0.04, draws=1)
    assert (single.same_for_draws - 1).abs().max() < 1e-6
    assert single.rates[n // 2] / single.rates[2 * n] < 10  # the same number of gradients, and no gap after the n-th


def test_random_directions_stand_for_all_coordinates():
    model = Preconditioned(MLP((12,), width=16, depth=1), DIFFUSION, "eps")
    every, some = (gradient_spectrum(model, DIFFUSION, gaussian(8, 12), 0.3, draws=2, directions=k) for k in (12, 6))
    exact = gradient_spectrum(model, DIFFUSION, gaussian(8, 12), 0.3, draws=2)
    torch.testing.assert_close(every.rates, exact.rates, rtol=1e-3, atol=1e-5 * float(exact.rates[0]))
    assert float(some.rates.sum() / exact.rates.sum()) == pytest.approx(1, abs=0.3)


def test_looking_changes_nothing_and_frozen_weights_do_not_count():
    model = Preconditioned(MLP((3,), width=8, depth=1), DIFFUSION, "eps")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    whole = gradient_spectrum(model, DIFFUSION, gaussian(4, 3), 0.3)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert isinstance(model.network, MLP)
    model.network.enter.requires_grad_(False)
    assert gradient_spectrum(model, DIFFUSION, gaussian(4, 3), 0.3).rates.sum() < whole.rates.sum()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"denoiser": nn.Identity()}, "Identity has none"),
        ({"denoiser": EmpiricalDenoiser(DIFFUSION, gaussian(4, 3))}, "EmpiricalDenoiser has none"),
        ({"draws": 0}, "got 4 items, 0 draws"),
        ({"draws": 5000}, "at most 8,192"),
        ({"directions": 4}, "at most 3 directions"),
        ({"items": gaussian(1, 3)}, "got 1 items"),
        ({"t": 1.0}, "between 0 and 1"),
        ({"diffusion": MaskedDiffusion(4), "items": torch.ones(4, 3, dtype=torch.int64)}, "got MaskedDiffusion"),
    ],
)
def test_what_has_no_spectrum_is_refused(changes, words):
    given = {
        "denoiser": Preconditioned(MLP((3,), width=8), DIFFUSION),
        "diffusion": DIFFUSION,
        "items": gaussian(4, 3),
        "t": 0.3,
    }
    with pytest.raises(ConfigError, match=words):
        gradient_spectrum(**(given | changes))
