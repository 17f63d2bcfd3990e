"""The exact denoiser of the grammar, against brute force over all strings and against the empirical optimum."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from taumem.data import RandomHierarchyModel
from taumem.diffusion import MaskedDiffusion, UniformDiffusion, sample_in_any_order
from taumem.errors import ConfigError
from taumem.models import BeliefDenoiser, EmpiricalDenoiser, propagate

F64 = torch.float64
SMALL = [
    RandomHierarchyModel(2, 1, 2, 1, 0),
    RandomHierarchyModel(3, 2, 2, 2, 1),
    RandomHierarchyModel(4, 2, 3, 1, 2),
    RandomHierarchyModel(3, 2, 2, 2, 3, n_classes=4, zipf=1.5),
    RandomHierarchyModel(2, 2, 3, 2, 4, n_classes=1),
    RandomHierarchyModel(3, 1, 2, 3, 5),
    RandomHierarchyModel(4, 2, 2, 3, 6, zipf=(0.0, 0.5, 3.0)),
]
SMALLEST = -680.0
"""Log-probabilities below this one are those of numbers that a double may not hold."""
PAPER = RandomHierarchyModel(8, 3, 2, 3, 0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brute_force(
    grammar: RandomHierarchyModel, log_likelihood: Tensor, label: int | None = None
) -> tuple[Tensor, Tensor]:
    """Log-marginals and log-evidence, by adding up all strings of the language."""
    strings = grammar.decode(range(grammar.n_strings))
    prior = grammar.log_prob(strings)
    if label is not None:
        strings, prior = strings[grammar.labels(strings) == label], prior[grammar.labels(strings) == label]
        prior = prior + math.log(grammar.n_roots)
    positions = torch.arange(grammar.d)
    joint = prior + torch.stack([item[positions, strings].sum(dim=1) for item in log_likelihood])
    evidence = joint.logsumexp(dim=1)
    marginals = torch.empty_like(log_likelihood)
    for i in range(grammar.d):
        for a in range(grammar.v):
            # An empty sum of probabilities is 0, and its logarithm -inf.
            marginals[:, i, a] = joint[:, strings[:, i] == a].logsumexp(dim=1) - evidence
    return marginals, evidence


def assert_exact(grammar: RandomHierarchyModel, log_likelihood: Tensor, label: int | None = None) -> None:
    found = propagate(grammar, log_likelihood, label=label)
    marginals, evidence = brute_force(grammar, log_likelihood, label)
    possible = torch.isfinite(evidence)
    assert torch.equal(torch.isfinite(found.log_evidence), possible)
    np.testing.assert_allclose(found.log_evidence, evidence, rtol=1e-10, atol=1e-10)
    told = possible[:, None, None] & (marginals > SMALLEST)
    np.testing.assert_allclose(found.log_marginals[told], marginals[told], rtol=1e-10, atol=1e-10)
    assert (found.log_marginals[possible][~told[possible]] <= SMALLEST).all()
    assert (found.log_marginals[~possible] == -math.log(grammar.v)).all()


def random_likelihoods(grammar: RandomHierarchyModel, spread: float, excluded: float, seed: int, n: int = 5) -> Tensor:
    shape = (n, grammar.d, grammar.v)
    values = spread * torch.randn(shape, generator=seeded(seed), dtype=F64)
    return values.masked_fill(torch.rand(shape, generator=seeded(seed + 1)) < excluded, -math.inf)


@pytest.mark.parametrize("grammar", SMALL)
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 1000.0])
def test_any_likelihoods_give_the_posterior_of_brute_force(grammar, spread):
    assert_exact(grammar, random_likelihoods(grammar, spread, 0.0, seed=1))


@given(
    v=st.integers(2, 4),
    m=st.integers(1, 3),
    shape=st.sampled_from([(2, 1), (3, 1), (2, 2)]),
    seed=st.integers(0, 10**6),
    zipf=st.sampled_from([0.0, 1.0, 4.0]),
    excluded=st.sampled_from([0.0, 0.2, 0.6]),
    with_label=st.booleans(),
)
def test_any_grammar_with_excluded_symbols_gives_the_posterior_of_brute_force(
    v, m, shape, seed, zipf, excluded, with_label
):
    grammar = RandomHierarchyModel(v, min(m, v ** (shape[0] - 1)), *shape, seed, zipf=zipf)
    label = seed % v if with_label else None
    assert_exact(grammar, random_likelihoods(grammar, 2.0, excluded, seed), label)


@pytest.mark.parametrize("grammar", SMALL)
@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("kind", [MaskedDiffusion, UniformDiffusion])
def test_both_noises_give_the_posterior_of_brute_force(grammar, t, kind):
    diffusion, times = kind(grammar.v), torch.full((20,), t, dtype=F64)
    x0 = grammar.sample(20, seeded())
    xt = diffusion.corrupt(x0, times, diffusion.noise(x0, seeded(1)))
    denoiser = BeliefDenoiser(grammar, diffusion)
    marginals, evidence = brute_force(grammar, diffusion.log_likelihood(xt, times))
    np.testing.assert_allclose(denoiser(xt, times), marginals, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(denoiser.log_evidence(xt, times), evidence, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [MaskedDiffusion, UniformDiffusion])
def test_on_the_whole_language_the_empirical_optimum_is_the_exact_one(kind):
    # 17,496 strings: another algorithm, on the grammar that is studied.
    diffusion, x0 = kind(8), PAPER.sample(12, seeded())
    t = torch.linspace(0.1, 0.9, 12, dtype=F64)
    xt = diffusion.corrupt(x0, t, diffusion.noise(x0, seeded(1)))
    everything = EmpiricalDenoiser(diffusion, PAPER.decode(range(PAPER.n_strings)))
    torch.testing.assert_close(
        BeliefDenoiser(PAPER, diffusion)(xt, t).exp(), everything(xt, t).exp(), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("grammar", [PAPER, RandomHierarchyModel(32, 8, 2, 6, 0)])
@pytest.mark.parametrize("kind", [MaskedDiffusion, UniformDiffusion])
def test_without_noise_it_gives_the_string_back(grammar, kind):
    x0, t = grammar.sample(10, seeded()), torch.zeros(10, dtype=F64)
    diffusion = kind(grammar.v)
    log_x0 = BeliefDenoiser(grammar, diffusion)(x0, t)
    assert torch.equal(log_x0.argmax(dim=2), x0)
    assert log_x0.gather(2, x0[:, :, None]).abs().max() < 1e-12
    at_no_cost = BeliefDenoiser(grammar, diffusion).log_evidence(x0, t)
    torch.testing.assert_close(at_no_cost, grammar.log_prob(x0), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("grammar", [PAPER, SMALL[6]])
@pytest.mark.parametrize("kind", [MaskedDiffusion, UniformDiffusion])
def test_under_full_noise_it_gives_the_shares_of_the_symbols_in_the_language(grammar, kind):
    strings = grammar.decode(range(grammar.n_strings))
    one_hot = torch.nn.functional.one_hot(strings, grammar.v).double()
    shares = torch.einsum("nda,n->da", one_hot, grammar.log_prob(strings).exp())
    diffusion = kind(grammar.v)
    xt = diffusion.prior(4, (grammar.d,), seeded())
    found = BeliefDenoiser(grammar, diffusion)(xt, torch.ones(4, dtype=F64)).exp()
    torch.testing.assert_close(found, shares.expand(4, -1, -1), rtol=0, atol=1e-12)


def test_a_contradiction_has_no_posterior_and_disturbs_no_neighbor():
    log_likelihood = random_likelihoods(PAPER, 1.0, 0.0, seed=2, n=6)
    alone = propagate(PAPER, log_likelihood)
    outside = torch.randint(8, (3, 8), generator=seeded(5))
    assert not PAPER.contains(outside).any()
    spoiled = log_likelihood.clone()
    spoiled[::2] = torch.nn.functional.one_hot(outside, 8).double().log()
    beside = propagate(PAPER, spoiled)
    assert (beside.log_evidence[::2] == -math.inf).all()
    assert (beside.log_marginals[::2] == -math.log(8)).all()
    assert torch.equal(beside.log_marginals[1::2], alone.log_marginals[1::2])


def test_a_string_that_is_almost_impossible_is_corrected_to_the_nearest_of_the_language():
    # Errors of e^-5000 each: their product is far below the smallest double.
    outside = torch.tensor([[a, b] for a in range(4) for b in range(4)]).repeat(1, 4)
    grammar = SMALL[6]
    log_likelihood = torch.where(torch.nn.functional.one_hot(outside, 4) == 1, 0.0, -5000.0).double()
    assert_exact(grammar, log_likelihood)
    strings = grammar.decode(range(grammar.n_strings))
    fewest = (outside[:, None] != strings).sum(dim=2).amin(dim=1)
    evidence = propagate(grammar, log_likelihood).log_evidence
    assert torch.equal((evidence / -5000).round().long(), fewest)
    assert fewest.max() >= 2


def test_what_says_nothing_changes_the_evidence_alone():
    log_likelihood = random_likelihoods(PAPER, 1.0, 0.1, seed=3)
    said = propagate(PAPER, log_likelihood)
    shifted = propagate(PAPER, log_likelihood + torch.arange(8.0, dtype=F64)[:, None])
    torch.testing.assert_close(shifted.log_marginals, said.log_marginals, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(shifted.log_evidence, said.log_evidence + 28, rtol=1e-10, atol=1e-10)


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_marginals_are_the_gradient_of_the_evidence(seed):
    log_likelihood = random_likelihoods(PAPER, 2.0, 0.0, seed, n=1)
    marginals = propagate(PAPER, log_likelihood).log_marginals.exp()
    torch.testing.assert_close(marginals.sum(dim=2), torch.ones(1, 8, dtype=F64), rtol=1e-12, atol=0)
    place = (0, seed % 8, seed // 8 % 8)
    step = torch.zeros_like(log_likelihood)
    step[place] = 1e-5
    up, down = (propagate(PAPER, log_likelihood + sign * step).log_evidence for sign in (1, -1))
    assert float((up - down) / 2e-5) == pytest.approx(float(marginals[place]), abs=1e-7)


def test_many_strings_get_the_answers_of_few():
    log_likelihood = random_likelihoods(PAPER, 1.0, 0.1, seed=4, n=4000)
    together = propagate(PAPER, log_likelihood)
    parts = [propagate(PAPER, part) for part in log_likelihood.split(900)]
    torch.testing.assert_close(
        together.log_marginals, torch.cat([p.log_marginals for p in parts]), rtol=1e-12, atol=1e-12
    )
    none = propagate(PAPER, log_likelihood[:0])
    assert none.log_marginals.shape == (0, 8, 8)
    assert none.log_evidence.shape == (0,)


@pytest.mark.parametrize("label", [0, 3])
def test_a_known_class_narrows_the_language(label):
    assert_exact(SMALL[3], random_likelihoods(SMALL[3], 1.0, 0.1, seed=6), label)
    x0 = SMALL[3].sample(20, seeded(), label=label)
    diffusion, t = MaskedDiffusion(3), torch.full((20,), 0.9, dtype=F64)
    xt = diffusion.corrupt(x0, t, diffusion.noise(x0, seeded(1)))
    knowing, not_knowing = (BeliefDenoiser(SMALL[3], diffusion, label=known) for known in (label, None))
    assert diffusion.loss(knowing, x0, t, diffusion.noise(x0, seeded(1))).mean() < (
        diffusion.loss(not_knowing, x0, t, diffusion.noise(x0, seeded(1))).mean()
    )
    assert torch.isfinite(knowing.log_evidence(xt, t)).all()


def test_its_loss_is_the_entropy_of_the_language():
    # The bound of masked diffusion is tight for the exact denoiser: -log p(x0) / d on average.
    diffusion, x0 = MaskedDiffusion(8), PAPER.sample(20_000, seeded())
    t = (torch.arange(20_000, dtype=F64) + 0.5) / 20_000
    losses = diffusion.loss(BeliefDenoiser(PAPER, diffusion), x0, t, diffusion.noise(x0, seeded(1)))
    error = float(losses.std()) / math.sqrt(20_000)
    assert error < 0.02
    assert float(losses.mean()) == pytest.approx(math.log(PAPER.n_strings) / 8, abs=4 * error)


def test_what_it_generates_is_the_language_itself():
    grammar = RandomHierarchyModel(3, 2, 2, 2, 1)
    drawn = sample_in_any_order(MaskedDiffusion(3), BeliefDenoiser(grammar, MaskedDiffusion(3)), 6000, (4,), seeded())
    counts = np.bincount(grammar.encode(drawn), minlength=grammar.n_strings)  # encode refuses what is outside
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_answer_has_the_type_of_the_likelihood_and_the_precision_of_doubles():
    diffusion, x0 = UniformDiffusion(8), PAPER.sample(50, seeded())
    t = torch.linspace(0.01, 0.99, 50)
    xt = diffusion.corrupt(x0, t, diffusion.noise(x0, seeded(1)))
    denoiser = BeliefDenoiser(PAPER, diffusion)
    single = denoiser(xt, t)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), denoiser(xt, t.double()), rtol=1e-4, atol=1e-4)


def test_likelihoods_with_a_mask_and_unknown_classes_are_refused():
    for shape in ((5, 8, 9), (5, 7, 8), (8, 8)):
        with pytest.raises(ConfigError, match="without a mask"):
            propagate(PAPER, torch.zeros(shape))
    for label in (-1, 8):
        with pytest.raises(ConfigError, match="from 0 to 7"):
            BeliefDenoiser(PAPER, MaskedDiffusion(8), label=label)
