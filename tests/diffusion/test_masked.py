"""Masked diffusion, against Bayes by brute force, the entropy of known sources, and the strings it must generate."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small_languages import ExactDenoiser, Language, bayes, iid, markov, masking_matrix, random_language

from taumem.diffusion import (
    CosineKeeping,
    MaskedDiffusion,
    Polynomial,
    cosine_grid,
    sample,
    sample_in_any_order,
    stratified_times,
)
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser

F64 = torch.float64
SCHEDULES = [Polynomial(), Polynomial(2.0), CosineKeeping()]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at(t: float, n: int) -> torch.Tensor:
    return torch.full((n,), t, dtype=F64)


@given(
    vocabulary=st.integers(2, 5),
    t=st.floats(0.05, 0.99),
    ratio=st.floats(0.0, 1.0),
    schedule=st.sampled_from(SCHEDULES),
    seed=st.integers(0, 100),
)
def test_the_reverse_step_is_bayes_rule(vocabulary, t, ratio, schedule, seed):
    diffusion, s = MaskedDiffusion(vocabulary, schedule), t * ratio
    alpha_t, alpha_s = (float(schedule(at(time, 1))[0]) for time in (t, s))
    prior = np.random.default_rng(seed).dirichlet(np.ones(vocabulary))
    matrices = masking_matrix(vocabulary, alpha_s), masking_matrix(vocabulary, alpha_t / alpha_s)
    x0_given_xt, xs_given_xt = bayes(prior, *matrices)
    xt = torch.arange(vocabulary + 1)[:, None]
    log_x0 = torch.tensor(x0_given_xt)[:, None].log()
    found = diffusion.posterior(log_x0, xt, at(t, len(xt)), at(s, len(xt)))
    np.testing.assert_allclose(found[:, 0].exp(), xs_given_xt, atol=1e-10)


@each_schedule
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_corruption_hides_each_symbol_with_the_stated_probability(schedule, t):
    diffusion, n = MaskedDiffusion(3, schedule), 40_000
    x0 = torch.randint(3, (n, 2), generator=seeded())
    xt = diffusion.corrupt(x0, at(t, n), diffusion.noise(x0, seeded(1)))
    hidden = xt == diffusion.mask
    lost = float(schedule(at(t, 1))[1])
    assert torch.equal(xt[~hidden], x0[~hidden])
    for symbol in range(3):
        of_symbol = hidden[x0 == symbol]
        assert stats.binomtest(int(of_symbol.sum()), len(of_symbol), lost).pvalue > 1e-3
    # Positions are hidden independently of each other.
    both = int(hidden.all(dim=1).sum())
    assert stats.binomtest(both, n, lost**2).pvalue > 1e-3


@each_schedule
def test_under_the_same_noise_what_is_hidden_stays_hidden(schedule):
    diffusion, x0 = MaskedDiffusion(3, schedule), torch.zeros(50, 8, dtype=torch.long)
    noise = diffusion.noise(x0, seeded())
    hidden = [diffusion.corrupt(x0, at(t, 50), noise) == diffusion.mask for t in (0.0, 0.2, 0.5, 0.8, 1.0)]
    assert not hidden[0].any()
    assert hidden[-1].all()
    assert all((later | ~earlier).all() for earlier, later in itertools.pairwise(hidden))


def expected_loss(diffusion, denoiser, language) -> float:
    """E over strings, masks and t of the loss, times the positions: by enumeration and quadrature, without a draw."""
    n, positions = language.strings.shape
    nodes, weights = np.polynomial.legendre.leggauss(60)
    total = 0.0
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        lost = float(diffusion.schedule(at(t, 1))[1])
        for hidden in itertools.product([0, 1], repeat=positions):
            noise = 1 - torch.tensor(hidden, dtype=F64).expand(n, positions)
            chance = lost ** sum(hidden) * (1 - lost) ** (positions - sum(hidden))
            losses = diffusion.loss(denoiser, language.strings, at(t, n), noise)
            total += weight * chance * float(language.probabilities @ losses) * positions
    return total


SOURCES = {"independent symbols": iid([0.6, 0.3, 0.1], 3), "Markov chain": markov(0.85, 4)}


@pytest.mark.slow
@each_schedule
@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_the_bound_of_an_exact_denoiser_is_the_entropy_of_the_source(schedule, source):
    diffusion = MaskedDiffusion(int(source.strings.max()) + 1, schedule, t_min=1e-9)
    found = expected_loss(diffusion, ExactDenoiser(diffusion, source), source)
    assert found == pytest.approx(source.entropy, rel=1e-9)


def test_the_bound_of_another_denoiser_is_its_cross_entropy_and_so_lies_above_the_entropy():
    # Of a denoiser that is exact for q where the data follow p: H(p) + KL(p || q), both in closed form.
    p, q = [0.6, 0.3, 0.1], [0.2, 0.3, 0.5]
    diffusion = MaskedDiffusion(3, t_min=1e-9)
    found = expected_loss(diffusion, ExactDenoiser(diffusion, iid(q, 3)), iid(p, 3))
    assert found == pytest.approx(-3 * sum(a * math.log(b) for a, b in zip(p, q, strict=True)), rel=1e-9)


@each_schedule
def test_the_average_over_drawn_times_and_noise_is_the_entropy_within_its_error(schedule):
    # What training and evaluation do, at the default smallest time.
    source, n = iid([0.5, 0.25, 0.15, 0.1], 5), 20_000
    diffusion = MaskedDiffusion(4, schedule)
    x0 = source.draw(n, seeded())
    log_p = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()
    losses = diffusion.loss(
        lambda xt, t: log_p.expand(*xt.shape, 4), x0, stratified_times(n, seeded(1)), diffusion.noise(x0, seeded(2))
    )
    assert losses.dtype == torch.float32
    assert abs(float(losses.mean()) - source.entropy / 5) < 4 * float(losses.std()) / math.sqrt(n)


def test_the_unweighted_loss_is_the_cross_entropy_of_the_masked_positions_over_all_positions():
    diffusion, x0 = MaskedDiffusion(3, weighting="x0"), torch.tensor([[0, 1, 2, 1]])
    log_x0 = torch.log_softmax(torch.randn(1, 4, 3, generator=seeded(), dtype=F64), dim=-1)
    noise = torch.tensor([[0.1, 0.9, 0.4, 0.6]])
    found = diffusion.loss(lambda xt, t: log_x0, x0, at(0.5, 1), noise)
    assert float(found) == pytest.approx(-float(log_x0[0, 0, 0] + log_x0[0, 2, 2]) / 4)


def test_the_loss_takes_times_below_the_smallest_one_as_the_smallest_one():
    diffusion, asked = MaskedDiffusion(3, t_min=0.25), []
    x0 = torch.zeros(2, 4, dtype=torch.long)

    def denoiser(xt, t):
        asked.append((xt, t))
        return torch.full((2, 4, 3), -math.log(3))

    noise = torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(2, 4)
    found = diffusion.loss(denoiser, x0, torch.tensor([0.0, 0.25]), noise)
    torch.testing.assert_close(found, torch.full((2,), 4 * 2 * math.log(3) / 4))
    assert asked[0][1].tolist() == [0.25, 0.25]
    assert asked[0][0].tolist() == [[3, 3, 0, 0]] * 2


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_at_any_time_the_posterior_of_a_string_is_what_agrees_with_what_is_seen(t):
    # At t = 0 there should be no mask and at t = 1 no symbol: asked all the same, the answer is that of other times.
    diffusion = MaskedDiffusion(2)
    candidates = torch.tensor([[0, 0], [0, 1], [1, 1]])
    weights = torch.softmax(diffusion.log_prob(torch.tensor([[0, 2], [2, 2], [1, 0]]), candidates, at(t, 3)), dim=1)
    torch.testing.assert_close(weights[:2], torch.tensor([[1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]], dtype=F64))
    assert torch.isnan(weights[2]).all()  # nothing fits; `average` knows


def test_a_reverse_step_leaves_what_is_seen_and_finds_the_stated_share_of_the_rest():
    diffusion, n = MaskedDiffusion(4, CosineKeeping()), 20_000
    xt = torch.full((n, 3), 4)
    xt[:, 1] = 2
    log_p = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    xs = diffusion.reverse(lambda xt, t: log_p.expand(*xt.shape, 4), xt, 0.8, 0.5, seeded())
    assert (xs[:, 1] == 2).all()
    lost_t, lost_s = math.sin(0.4 * math.pi), math.sin(0.25 * math.pi)
    expected = torch.tensor([0.1, 0.2, 0.3, 0.4, 0], dtype=F64) * (1 - lost_s / lost_t)
    expected[4] = lost_s / lost_t
    assert stats.chisquare(torch.bincount(xs[:, [0, 2]].flatten(), minlength=5), 2 * n * expected).pvalue > 1e-3


LANGUAGE = random_language(2, 3)


@each_schedule
def test_ancestral_sampling_with_the_exact_denoiser_reproduces_the_language(schedule):
    diffusion, n = MaskedDiffusion(2, schedule), 3000
    made = sample(diffusion, ExactDenoiser(diffusion, LANGUAGE), n, (3,), seeded(), steps=100)
    assert stats.chisquare(LANGUAGE.counts(made), n * LANGUAGE.probabilities).pvalue > 1e-3


def test_sampling_in_any_order_with_the_exact_denoiser_reproduces_the_language():
    language, n = random_language(3, 3, seed=1), 20_000
    diffusion = MaskedDiffusion(3)
    made = sample_in_any_order(diffusion, ExactDenoiser(diffusion, language), n, (3,), seeded())
    assert stats.chisquare(language.counts(made), n * language.probabilities).pvalue > 1e-3


def test_in_any_order_the_empirical_denoiser_generates_training_strings_only_each_equally_often():
    diffusion, n = MaskedDiffusion(4), 4000
    train = torch.randint(4, (20, 12), generator=seeded())
    made = sample_in_any_order(diffusion, EmpiricalDenoiser(diffusion, train), n, (12,), seeded(1))
    same = (made[:, None] == train).all(dim=2)
    assert same.any(dim=1).all()
    assert stats.chisquare(same.sum(dim=0)).pvalue > 1e-3


def test_ancestral_samples_of_the_empirical_denoiser_are_training_strings_where_the_steps_are_many():
    diffusion, n = MaskedDiffusion(4), 500
    train = torch.randint(4, (20, 12), generator=seeded())

    def share(steps: int) -> float:
        made = sample(diffusion, EmpiricalDenoiser(diffusion, train), n, (12,), seeded(1), steps=steps)
        return float((made[:, None] == train).all(dim=2).any(dim=1).float().mean())

    # Two positions found in one step may contradict each other: the more steps, the more seldom.
    assert share(10) < 0.8
    assert share(100) > 0.92


def test_in_any_order_one_position_is_found_at_a_time_and_every_order_is_as_likely():
    diffusion, n, asked = MaskedDiffusion(2, CosineKeeping()), 3000, []

    def denoiser(xt, t):
        asked.append((xt == diffusion.mask, t))
        return torch.full((*xt.shape, 2), -math.log(2))

    made = sample_in_any_order(diffusion, denoiser, n, (3, 1), seeded())
    assert made.shape == (n, 3, 1)
    assert made.max() < 2
    hidden = [mask[..., 0] for mask, _ in asked]
    assert [mask.sum(dim=1).unique().tolist() for mask in hidden] == [[3], [2], [1]]
    assert all((earlier | ~later).all() for earlier, later in itertools.pairwise(hidden))
    orders = 3 * (~hidden[1]).float().argmax(dim=1) + hidden[2].float().argmax(dim=1)
    counts = orders.unique(return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3
    # The time is that at which so many are hidden: 1 - alpha_t = sin(pi t / 2) = 3/3, 2/3, 1/3.
    for k, (_, t) in enumerate(asked):
        torch.testing.assert_close(t, torch.full((n,), math.asin(1 - k / 3) * 2 / math.pi), rtol=1e-5, atol=1e-6)


def test_sampling_in_any_order_draws_from_the_generator_alone():
    diffusion = MaskedDiffusion(3)

    def denoiser(xt, t):
        return torch.log_softmax(torch.sin(xt[..., None] + torch.arange(3.0)), dim=-1)

    first, again, other = (sample_in_any_order(diffusion, denoiser, 16, (6,), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_model_that_ignores_t_may_be_sampled_under_another_schedule():
    linear = MaskedDiffusion(2)
    cosine = replace(linear, schedule=CosineKeeping())
    made = sample(cosine, ExactDenoiser(linear, LANGUAGE), 3000, (3,), seeded(), steps=100)
    assert stats.chisquare(LANGUAGE.counts(made), 3000 * LANGUAGE.probabilities).pvalue > 1e-3


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_on_the_cosine_grid_any_schedule_masks_the_same_shares(schedule, steps):
    times = torch.tensor(cosine_grid(schedule, steps), dtype=torch.float64)
    assert (times[0], times[-1], len(times)) == (1, 0, steps + 1)
    shares = [math.cos(math.pi * k / (2 * steps)) for k in range(steps + 1)]
    torch.testing.assert_close(schedule(times)[1], torch.tensor(shares, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_symbols_that_are_found_in_one_step_are_drawn_independently(grid):
    # Two symbols that differ with probability 1/10 in the language: with 1/2 if one step finds both.
    language = Language.of(2, 2, lambda string: 0.45 if string[0] == string[1] else 0.05)
    diffusion, n, steps = MaskedDiffusion(2), 20_000, 4
    times = [1 - k / steps for k in range(steps + 1)] if grid == "uniform" else cosine_grid(diffusion.schedule, steps)
    made = sample(diffusion, ExactDenoiser(diffusion, language), n, (2,), seeded(), times=times)
    in_one_step = float((torch.tensor(times).diff() ** 2).sum())
    differing = int((made[:, 0] != made[:, 1]).sum())
    assert stats.binomtest(differing, n, 0.1 + 0.4 * in_one_step).pvalue > 1e-3


@pytest.mark.parametrize("times", [[1.0], [0.9, 0.0], [1.0, 0.1], [1.0, 0.5, 0.5, 0.0]])
def test_times_that_do_not_fall_from_1_to_0_are_refused(times):
    diffusion = MaskedDiffusion(2)
    with pytest.raises(ConfigError, match="must fall from 1 to 0"):
        sample(diffusion, ExactDenoiser(diffusion, LANGUAGE), 4, (3,), seeded(), times=times)


@pytest.mark.parametrize(
    "options", [{"vocabulary": 0}, {"weighting": "kl"}, {"t_min": 0.0}, {"t_min": 1.0}, {"t_min": math.nan}]
)
def test_what_cannot_be_used_is_refused(options):
    with pytest.raises(ConfigError, match=str(next(iter(options.values())))):
        MaskedDiffusion(**{"vocabulary": 3, **options})
