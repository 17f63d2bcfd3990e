"""Uniform diffusion, against Bayes by brute force, information identities, and the strings it must generate."""

import math
from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import rel_entr
from small_languages import ExactDenoiser, bayes, random_language, uniform_matrix

from taumem.diffusion import CosineKeeping, LinearBetas, Polynomial, UniformDiffusion, sample
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser

F64 = torch.float64
SCHEDULES = [Polynomial(), Polynomial(2.0), CosineKeeping(), LinearBetas()]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at(t: float, n: int) -> torch.Tensor:
    return torch.full((n,), t, dtype=F64)


def single_steps(vocabulary: int, steps: int = 200) -> list[np.ndarray]:
    """D3PM's transition matrices (1 - beta) I + beta / v, one a step, with the betas of the grammar experiments."""
    return [uniform_matrix(vocabulary, 1 - (1e-3 + (0.1 - 1e-3) * i / steps)) for i in range(1, steps + 1)]


@given(
    vocabulary=st.integers(2, 5),
    t=st.floats(0.02, 1.0),
    ratio=st.floats(0.0, 0.999),
    schedule=st.sampled_from(SCHEDULES),
    seed=st.integers(0, 100),
)
def test_the_reverse_step_is_bayes_rule(vocabulary, t, ratio, schedule, seed):
    diffusion, s = UniformDiffusion(vocabulary, schedule), t * ratio
    alpha_t, alpha_s = (float(schedule(at(time, 1))[0]) for time in (t, s))
    prior = np.random.default_rng(seed).dirichlet(np.ones(vocabulary))
    matrices = uniform_matrix(vocabulary, alpha_s), uniform_matrix(vocabulary, alpha_t / alpha_s)
    x0_given_xt, xs_given_xt = bayes(prior, *matrices)
    xt = torch.arange(vocabulary)[:, None]
    log_x0 = torch.tensor(x0_given_xt)[:, None].log()
    found = diffusion.posterior(log_x0, xt, at(t, vocabulary), at(s, vocabulary))
    np.testing.assert_allclose(found[:, 0].exp(), xs_given_xt, atol=1e-10)


@pytest.mark.parametrize("k", [1, 2, 50, 200])
def test_the_discrete_posterior_is_that_of_the_product_of_single_steps(k):
    diffusion, steps = UniformDiffusion(4, LinearBetas()), single_steps(4)
    before = reduce(np.matmul, steps[: k - 1], np.eye(4))
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    x0_given_xt, xs_given_xt = bayes(prior, before, steps[k - 1])
    found = diffusion.posterior(
        torch.tensor(x0_given_xt)[:, None].log(), torch.arange(4)[:, None], at(k / 200, 4), at((k - 1) / 200, 4)
    )
    np.testing.assert_allclose(found[:, 0].exp(), xs_given_xt, atol=1e-10)
    # And of a known x0, the formula of D3PM: q(xs | xt, x0) = q(xt | xs) q(xs | x0) / q(xt | x0).
    for a in range(4):
        certain = torch.eye(4, dtype=F64)[a].log().expand(4, 1, 4)
        found = diffusion.posterior(certain, torch.arange(4)[:, None], at(k / 200, 4), at((k - 1) / 200, 4))
        exact = steps[k - 1].T * before[a] / (before @ steps[k - 1])[a][:, None]
        np.testing.assert_allclose(found[:, 0].exp(), exact, atol=1e-10)


@each_schedule
@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_corruption_follows_q(schedule, t):
    diffusion, n = UniformDiffusion(3, schedule), 40_000
    x0 = torch.randint(3, (n, 2), generator=seeded())
    xt = diffusion.corrupt(x0, at(t, n), diffusion.noise(x0, seeded(1)))
    matrix = uniform_matrix(3, float(schedule(at(t, 1))[0]))
    for a in range(3):
        counts = torch.bincount(xt[x0 == a], minlength=3).numpy()
        assert stats.chisquare(counts, counts.sum() * matrix[a]).pvalue > 1e-3
    changed = (xt != x0).numpy()
    assert stats.binomtest(int(changed.all(axis=1).sum()), n, (1 - matrix[0, 0]) ** 2).pvalue > 1e-3


def test_under_the_same_noise_what_is_redrawn_stays_as_it_was_redrawn():
    diffusion, x0 = UniformDiffusion(9), torch.zeros(50, 8, dtype=torch.long)
    noise = diffusion.noise(x0, seeded())
    early, late, last = (diffusion.corrupt(x0, at(t, 50), noise) for t in (0.3, 0.7, 1.0))
    assert torch.equal(late[early != 0], early[early != 0])
    assert torch.equal(last[late != 0], late[late != 0])


def noise_that_gives(xt: torch.Tensor, vocabulary: int) -> torch.Tensor:
    return torch.stack([torch.zeros_like(xt, dtype=F64), (xt + 0.5) / vocabulary], dim=-1)


def expected_loss(diffusion, language_prior, t: float, denoiser) -> float:
    """E over one symbol and what becomes of it, of the loss at time t: by enumeration, without a draw."""
    v = len(language_prior)
    x0, xt = (axis.reshape(-1, 1) for axis in torch.meshgrid(torch.arange(v), torch.arange(v), indexing="ij"))
    losses = diffusion.loss(denoiser, x0, at(t, v * v), noise_that_gives(xt, v))
    joint = language_prior[:, None] * uniform_matrix(v, float(diffusion.schedule(at(t, 1))[0]))
    return float(joint.ravel() @ losses.numpy())


def exact(diffusion, prior):
    """The denoiser of a single symbol: prior times likelihood, normalized."""
    return lambda xt, t: torch.log_softmax(diffusion.log_likelihood(xt, t) + torch.tensor(prior).log(), dim=-1)


PRIOR = np.array([0.5, 0.3, 0.15, 0.05])


@pytest.mark.slow
@pytest.mark.parametrize(
    "diffusion",
    [UniformDiffusion(4, LinearBetas(), "kl"), UniformDiffusion(4, CosineKeeping(), "kl", steps=25)],
    ids=["linear betas", "cosine"],
)
def test_the_bound_of_an_exact_denoiser_is_what_the_noise_has_destroyed_of_the_entropy(diffusion):
    # Each step's divergence is I(x0; xs) - I(x0; xt): their sum is H(x0) - I(x0; x1), by the chain rule.
    steps = diffusion.steps or 200
    found = sum(expected_loss(diffusion, PRIOR, k / steps, exact(diffusion, PRIOR)) for k in range(1, steps + 1))
    joint = PRIOR[:, None] * uniform_matrix(4, float(diffusion.schedule(at(1.0, 1))[0]))
    information = rel_entr(joint, PRIOR[:, None] * joint.sum(axis=0)).sum()
    assert found / steps == pytest.approx(stats.entropy(PRIOR) - information, rel=1e-8)


@pytest.mark.parametrize("weighting", ["x0", "kl"])
@pytest.mark.parametrize("t", [0.005, 0.2, 0.5])
def test_no_other_denoiser_has_a_lower_loss_than_the_posterior(weighting, t):
    diffusion = UniformDiffusion(4, LinearBetas(), weighting)
    optimum = exact(diffusion, PRIOR)
    generator = seeded()

    def bent(amount: float, direction: torch.Tensor) -> float:
        return expected_loss(
            diffusion,
            PRIOR,
            t,
            lambda xt, times: torch.log_softmax(optimum(xt, times) + amount * direction[xt[:, 0]][:, None], dim=-1),
        )

    for _ in range(5):
        direction = torch.randn(4, 4, generator=generator, dtype=F64)
        least, both = bent(0.0, direction), (bent(-0.05, direction), bent(0.05, direction))
        assert min(both) > least
        # A minimum: the slope there vanishes, so both sides rise alike but for the third order.
        assert abs(both[0] - both[1]) < 0.3 * (sum(both) - 2 * least)


@pytest.mark.parametrize("k", [1, 7, 150])
def test_the_loss_in_steps_is_the_divergence_of_the_two_posteriors(k):
    diffusion, steps = UniformDiffusion(3, LinearBetas(), "kl"), single_steps(3)
    before = reduce(np.matmul, steps[: k - 1], np.eye(3))
    x0, xt = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 1]])
    log_x0 = torch.log_softmax(torch.randn(1, 3, 3, generator=seeded(), dtype=F64), dim=-1)
    expected = 0.0
    for place in range(3):
        given = [before[a] * steps[k - 1][:, int(xt[0, place])] for a in range(3)]
        given = [one / one.sum() for one in given]
        model = sum(float(log_x0[0, place, a].exp()) * given[a] for a in range(3))
        expected += 200 * rel_entr(given[int(x0[0, place])], model).sum() / 3
    # Any time within the step is raised to its end.
    for t in (k / 200, (k - 0.4) / 200):
        found = diffusion.loss(lambda xt, t: log_x0, x0, at(t, 1), noise_that_gives(xt, 3))
        assert float(found) == pytest.approx(expected, rel=1e-8)


def test_the_denoiser_is_asked_at_the_end_of_the_step():
    diffusion, asked = UniformDiffusion(3, LinearBetas(10), "kl"), []

    def denoiser(xt, t):
        asked.append(t)
        return torch.full((4, 2, 3), -math.log(3))

    x0 = torch.zeros(4, 2, dtype=torch.long)
    diffusion.loss(denoiser, x0, torch.tensor([0.0, 0.1, 0.51, 1.0]), diffusion.noise(x0, seeded()))
    torch.testing.assert_close(asked[0], torch.tensor([0.1, 0.1, 0.6, 1.0]))


@pytest.mark.parametrize("t", [0.001, 0.3, 1.0])
def test_the_loss_in_steps_has_a_finite_gradient_however_sure_the_network_is(t):
    diffusion = UniformDiffusion(3, LinearBetas(), "kl")
    logits = torch.tensor([[[2000.0, 0.0, -2000.0], [0.0, 0.0, 0.0]]], requires_grad=True)
    x0 = torch.tensor([[1, 2]])
    loss = diffusion.loss(lambda xt, t: torch.log_softmax(logits, dim=-1), x0, at(t, 1), noise_that_gives(x0 - 1, 3))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()


def test_the_cross_entropy_is_taken_at_all_positions_in_nats_for_each():
    diffusion, x0 = UniformDiffusion(3), torch.tensor([[0, 1, 2, 1]])
    log_x0 = torch.log_softmax(torch.randn(1, 4, 3, generator=seeded(), dtype=F64), dim=-1)
    found = diffusion.loss(lambda xt, t: log_x0, x0, at(0.5, 1), diffusion.noise(x0, seeded()))
    assert float(found) == pytest.approx(-float(log_x0[0, range(4), [0, 1, 2, 1]].mean()))


def test_without_noise_the_nearest_candidates_are_the_likely_ones():
    diffusion = UniformDiffusion(4)
    candidates = torch.tensor([[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]])
    weights = torch.softmax(diffusion.log_prob(torch.tensor([[0, 0, 0], [0, 2, 1]]), candidates, at(0.0, 2)), dim=1)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0]], dtype=F64))


@pytest.mark.slow
@pytest.mark.parametrize("schedule", [Polynomial(), LinearBetas()], ids=repr)
def test_sampling_with_the_exact_denoiser_reproduces_the_language(schedule):
    language, diffusion, n = random_language(2, 3), UniformDiffusion(2, schedule), 3000
    made = sample(diffusion, ExactDenoiser(diffusion, language), n, (3,), seeded(), steps=100)
    assert stats.chisquare(language.counts(made), n * language.probabilities).pvalue > 1e-3


def test_the_empirical_denoiser_generates_training_strings():
    diffusion, n = UniformDiffusion(4), 500
    train = torch.randint(4, (20, 12), generator=seeded())
    made = sample(diffusion, EmpiricalDenoiser(diffusion, train), n, (12,), seeded(1), steps=100)
    assert (made[:, None] == train).all(dim=2).any(dim=1).float().mean() > 0.9


def test_steps_come_from_the_schedule_unless_they_are_given():
    x0, noise = torch.tensor([[0, 1]]), torch.tensor([[[0.0, 0.9], [1.0, 0.0]]])
    log_x0 = torch.full((1, 2, 3), -math.log(3))
    losses = [
        float(UniformDiffusion(3, LinearBetas(40), "kl", steps=steps).loss(lambda *_: log_x0, x0, at(0.5, 1), noise))
        for steps in (None, 40, 20)
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": 1}, "got 1"),
        ({"weighting": "elbo"}, "'elbo'"),
        ({"weighting": "kl"}, "LinearBetas"),
        ({"weighting": "kl", "steps": 0}, "got 0"),
    ],
)
def test_what_cannot_be_used_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        UniformDiffusion(**{"vocabulary": 3, **options})
