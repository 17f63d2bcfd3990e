"""What every diffusion owes, whatever its noise. A new one joins by a line in CASES."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator, Tensor

from taumem.diffusion import (
    AutoregressiveDiffusion,
    Cosine,
    CosineKeeping,
    Denoiser,
    Diffusion,
    Exploding,
    Flow,
    GaussianDiffusion,
    KeepSchedule,
    Linear,
    LinearBetas,
    MaskedDiffusion,
    Polynomial,
    Schedule,
    UniformDiffusion,
    sample,
)

SYMBOLS = 5
SHAPE = (2, 3, 3)
LEVELS = [0.05, 0.3, 0.7, 0.95]


@dataclass(frozen=True)
class Case:
    """A diffusion, and what its contract is checked against."""

    diffusion: Diffusion
    items: Callable[[int, Generator], Tensor]
    """Draws data of the kind that it corrupts: [n, *SHAPE]."""
    denoiser: Denoiser
    """Any denoiser that looks at xt and t."""
    log_density: Callable[[np.ndarray, np.ndarray, float], float]
    """The exact log q(xt | x0) of one item."""
    certain: Callable[[Tensor], Tensor] = lambda x0: x0
    """The prediction of a denoiser that is sure of x0."""


def scales(schedule: Schedule, t: float) -> tuple[float, float]:
    """alpha_t and sigma_t, by the defining formulas."""
    if isinstance(schedule, Flow):
        return 1 - t, t
    if isinstance(schedule, Exploding):
        return 1.0, 0.01 * 8000**t
    alpha = math.cos(math.pi * t / 2) if isinstance(schedule, Cosine) else math.exp(-(19.9 * t**2 / 4 + 0.05 * t))
    return alpha, math.sqrt(1 - alpha**2)


def gaussian(schedule: Schedule, weighting: str, eta: float = 0.0) -> Case:
    def log_density(xt: np.ndarray, x0: np.ndarray, t: float) -> float:
        alpha, sigma = scales(schedule, t)
        return stats.norm(alpha * x0, sigma).logpdf(xt).sum()

    return Case(
        diffusion=GaussianDiffusion(schedule=schedule, weighting=weighting, eta=eta),
        items=lambda n, generator: torch.rand((n, *SHAPE), generator=generator) * 2 - 1,
        denoiser=lambda xt, t: torch.tanh(xt) * (1 - 0.5 * t[:, None, None, None]),
        log_density=log_density,
    )


def keeping(schedule: KeepSchedule, t: float) -> float:
    """alpha_t, by the defining formulas; LinearBetas at its steps."""
    if isinstance(schedule, LinearBetas):
        betas = [1e-3 + (0.1 - 1e-3) * i / 200 for i in range(1, round(200 * t) + 1)]
        return math.prod(1 - beta for beta in betas)
    return 1 - (math.sin(math.pi * t / 2) if isinstance(schedule, CosineKeeping) else t**schedule.exponent)


def masked_log_density(xt: np.ndarray, x0: np.ndarray, alpha: float) -> float:
    known = xt != SYMBOLS
    if (xt[known] != x0[known]).any():
        return -math.inf
    return known.sum() * math.log(alpha) + (~known).sum() * math.log(1 - alpha)


def uniform_log_density(xt: np.ndarray, x0: np.ndarray, alpha: float) -> float:
    return np.log(np.where(xt == x0, alpha + (1 - alpha) / SYMBOLS, (1 - alpha) / SYMBOLS)).sum()


def autoregressive_log_density(xt: np.ndarray, x0: np.ndarray, alpha: float) -> float:
    """But for a constant: how many are hidden does not depend on what they are."""
    known = xt != SYMBOLS
    return 0.0 if (xt[known] == x0[known]).all() else -math.inf


LOG_DENSITIES = {
    MaskedDiffusion: masked_log_density,
    UniformDiffusion: uniform_log_density,
    AutoregressiveDiffusion: autoregressive_log_density,
}


def tokens(diffusion: MaskedDiffusion | UniformDiffusion | AutoregressiveDiffusion) -> Case:
    log_density = LOG_DENSITIES[type(diffusion)]

    def denoiser(xt: Tensor, t: Tensor) -> Tensor:
        scores = torch.sin(xt[..., None] + torch.arange(SYMBOLS)) * (2 - t[:, None, None, None, None])
        return torch.log_softmax(scores + xt.flatten(1).sum(dim=1)[:, None, None, None, None] % 3, dim=-1)

    return Case(
        diffusion=diffusion,
        items=lambda n, generator: torch.randint(SYMBOLS, (n, *SHAPE), generator=generator),
        denoiser=denoiser,
        log_density=lambda xt, x0, t: log_density(xt, x0, keeping(diffusion.schedule, t)),
        certain=lambda x0: torch.nn.functional.one_hot(x0, SYMBOLS).float().log(),
    )


CASES = {
    **{f"gaussian cosine {weighting}": gaussian(Cosine(), weighting) for weighting in ("eps", "v", "x0")},
    **{f"gaussian linear {weighting}": gaussian(Linear(), weighting) for weighting in ("eps", "v", "x0")},
    **{f"flow matching {weighting}": gaussian(Flow(), weighting) for weighting in ("eps", "v", "x0")},
    **{f"exploding {weighting}": gaussian(Exploding(), weighting) for weighting in ("eps", "v", "x0")},
    "flow matching eta 1": gaussian(Flow(), "v", eta=1.0),
    "exploding ancestral": gaussian(Exploding(), "v", eta=1.0),
    "gaussian ancestral": gaussian(Cosine(), "v", eta=1.0),
    "gaussian eta 0.5": gaussian(Linear(), "v", eta=0.5),
    "masked linear": tokens(MaskedDiffusion(SYMBOLS)),
    "masked polynomial": tokens(MaskedDiffusion(SYMBOLS, Polynomial(2.0))),
    "masked cosine": tokens(MaskedDiffusion(SYMBOLS, CosineKeeping())),
    "masked unweighted": tokens(MaskedDiffusion(SYMBOLS, weighting="x0")),
    "uniform": tokens(UniformDiffusion(SYMBOLS)),
    "uniform in steps": tokens(UniformDiffusion(SYMBOLS, LinearBetas(), "kl")),
    "autoregressive": tokens(AutoregressiveDiffusion(SYMBOLS)),
    "autoregressive of what is hidden": tokens(AutoregressiveDiffusion(SYMBOLS, "hidden")),
    "uniform cosine in steps": tokens(UniformDiffusion(SYMBOLS, CosineKeeping(), "kl", steps=50)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request) -> Case:
    return request.param


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def times(t: float, n: int) -> Tensor:
    return torch.full((n,), t)


def test_it_is_a_diffusion(case):
    assert isinstance(case.diffusion, Diffusion)


def test_at_time_zero_data_are_left_as_they_are(case):
    x0 = case.items(16, seeded())
    xt = case.diffusion.corrupt(x0, times(0.0, 16), case.diffusion.noise(x0, seeded(1)))
    assert xt.shape == x0.shape
    assert xt.dtype == x0.dtype
    assert (xt - x0).double().square().mean().sqrt() < 0.02


def test_at_time_one_data_are_forgotten(case):
    x0 = case.items(16, seeded())
    xt = case.diffusion.corrupt(x0, times(1.0, 16), case.diffusion.noise(x0, seeded(1)))
    log_prob = case.diffusion.log_prob(xt, x0, times(1.0, 16))
    assert (log_prob - log_prob.mean(dim=1, keepdim=True)).abs().max() < 0.2


def test_later_times_say_less_about_the_data(case):
    x0 = case.items(64, seeded())
    noise = case.diffusion.noise(x0, seeded(1))

    def chance_of_the_truth(t: float) -> float:
        xt = case.diffusion.corrupt(x0, times(t, 64), noise)
        return float(torch.softmax(case.diffusion.log_prob(xt, x0, times(t, 64)), dim=1).diagonal().mean())

    chances = [chance_of_the_truth(t) for t in (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)]
    # Where nothing is left to lose, 64 items tell the chance of the truth to within a thousandth.
    assert all(later <= earlier + 1e-3 for earlier, later in pairwise(chances))
    assert chances[0] > 0.99
    assert chances[-1] == pytest.approx(1 / 64, rel=0.1)


def test_noise_comes_from_the_generator_alone(case):
    x0 = case.items(8, seeded())
    # Of 18 positions 8.64 are hidden from the end on, 8 or 9: at 0.5 it would be 9 whatever the noise.
    xt, again, other = (
        case.diffusion.corrupt(x0, times(0.48, 8), case.diffusion.noise(x0, seeded(seed))) for seed in (1, 1, 2)
    )
    assert torch.equal(xt, again)
    assert not torch.equal(xt, other)


def test_the_same_noise_gives_the_same_loss(case):
    x0, t = case.items(8, seeded()), torch.linspace(0.02, 0.98, 8)
    noise = case.diffusion.noise(x0, seeded(1))
    kept = noise.clone()
    first = case.diffusion.loss(case.denoiser, x0, t, noise)
    assert torch.equal(first, case.diffusion.loss(case.denoiser, x0, t, noise))
    assert torch.equal(noise, kept)


def test_the_loss_is_one_number_for_each_item_and_of_that_item_alone(case):
    x0, t = case.items(8, seeded()), torch.linspace(0.0, 1.0, 8)
    noise = case.diffusion.noise(x0, seeded(1))
    together = case.diffusion.loss(case.denoiser, x0, t, noise)
    assert together.shape == (8,)
    assert torch.isfinite(together).all()
    assert (together >= 0).all()
    alone = [case.diffusion.loss(case.denoiser, x0[i : i + 1], t[i : i + 1], noise[i : i + 1]) for i in range(8)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_denoiser_that_knows_the_data_has_no_loss(case):
    x0, t = case.items(8, seeded()), torch.linspace(0.0, 1.0, 8)
    loss = case.diffusion.loss(lambda xt, t: case.certain(x0), x0, t, case.diffusion.noise(x0, seeded(1)))
    torch.testing.assert_close(loss, torch.zeros(8))


def test_the_prior_draws_from_the_generator_alone(case):
    first, again, other = (case.diffusion.prior(8, SHAPE, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == (8, *SHAPE)
    assert torch.equal(first, again)
    assert not torch.equal(first, other) or first.unique().numel() == 1


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.9), (0.6, 0.2), (0.3, 0.0)])
def test_a_reverse_step_draws_from_the_generator_alone(case, t, s):
    xt = case.diffusion.prior(8, SHAPE, seeded(1))
    kept = xt.clone()
    generators = seeded(2), seeded(2)
    first, again = (case.diffusion.reverse(case.denoiser, xt, t, s, generator) for generator in generators)
    assert first.shape == xt.shape
    assert first.dtype == xt.dtype
    assert torch.equal(first, again)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    assert torch.equal(xt, kept)


def test_a_reverse_step_asks_the_denoiser_at_the_time_it_starts_from(case):
    asked = []

    def denoiser(xt: Tensor, t: Tensor) -> Tensor:
        asked.append(t)
        return case.denoiser(xt, t)

    case.diffusion.reverse(denoiser, case.diffusion.prior(8, SHAPE, seeded()), 0.6, 0.4, seeded())
    for t in asked:
        torch.testing.assert_close(t, times(0.6, 8))


def test_a_denoiser_that_is_certain_is_obeyed(case):
    x0 = case.items(8, seeded())
    made = sample(case.diffusion, lambda xt, t: case.certain(x0), 8, SHAPE, seeded(1), steps=5)
    torch.testing.assert_close(made, x0)


@pytest.mark.parametrize("t", LEVELS)
def test_log_prob_is_the_exact_log_density_but_for_a_constant(case, t):
    x0 = case.items(12, seeded())
    xt = case.diffusion.corrupt(x0[:5], times(t, 5), case.diffusion.noise(x0[:5], seeded(1)))
    found = case.diffusion.log_prob(xt, x0, times(t, 5)).double().numpy()
    exact = np.array([[case.log_density(x, y, t) for y in x0.double().numpy()] for x in xt.double().numpy()])
    assert found.shape == (5, 12)
    with np.errstate(invalid="ignore"):  # where the first candidate cannot be, -inf - -inf
        np.testing.assert_allclose(found - found[:, :1], exact - exact[:, :1], rtol=1e-4, atol=1e-3)


def test_log_prob_takes_each_item_at_its_own_time(case):
    x0, t = case.items(4, seeded()), torch.tensor(LEVELS)
    xt = case.diffusion.corrupt(x0, t, case.diffusion.noise(x0, seeded(1)))
    alone = [case.diffusion.log_prob(xt[i : i + 1], x0, t[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(case.diffusion.log_prob(xt, x0, t), torch.cat(alone))


def test_log_prob_of_a_candidate_does_not_hang_on_the_others(case):
    x0, t = case.items(9, seeded()), times(0.5, 9)
    xt = case.diffusion.corrupt(x0, t, case.diffusion.noise(x0, seeded(1)))
    parts = [case.diffusion.log_prob(xt, part, t) for part in torch.split(x0, 4)]
    torch.testing.assert_close(torch.cat(parts, dim=1), case.diffusion.log_prob(xt, x0, t))


def test_the_average_under_certain_weights_is_the_candidate(case):
    x0 = case.items(6, seeded())
    torch.testing.assert_close(case.diffusion.average(torch.eye(6), x0), case.certain(x0))


def test_the_average_of_equal_candidates_is_that_candidate(case):
    x0 = case.items(1, seeded()).expand(4, *SHAPE)
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
    torch.testing.assert_close(case.diffusion.average(weights, x0), case.certain(x0[:2]))
