"""Bits per symbol, against sources whose entropy is known and whose exact denoisers are written out here."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from taumem.diffusion import (
    AutoregressiveDiffusion,
    CosineKeeping,
    GaussianDiffusion,
    LinearBetas,
    MaskedDiffusion,
    Polynomial,
    UniformDiffusion,
    sample,
    sample_in_any_order,
)
from taumem.errors import ConfigError
from taumem.models import EmpiricalDenoiser
from taumem.probes import BitsPerSymbol

F64 = torch.float64
SCHEDULES = [Polynomial(), Polynomial(2.0), CosineKeeping()]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def measured(probe, denoiser):
    reading = probe.measure(denoiser)
    assert not reading.arrays
    return {e.quantity: e for e in reading.estimates}


def close(found, truth: float, most: float) -> None:
    """Within 3 of its standard errors, which are small."""
    assert found.se < most
    assert abs(found.value - truth) < 3 * found.se, (found, truth)


# --- two sources, and their exact denoisers ---------------------------------------------------------------------------

P = torch.tensor([0.45, 0.25, 0.15, 0.1, 0.05], dtype=F64)


def independent(n: int, d: int, seed: int) -> Tensor:
    return torch.multinomial(P, n * d, replacement=True, generator=seeded(seed)).reshape(n, d)


def knows_the_symbols(xt: Tensor, t: Tensor) -> Tensor:
    return P.log().expand(*xt.shape, len(P))


STAY = torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=F64)
START = torch.tensor([0.75, 0.25], dtype=F64)  # the stationary one


def chain(n: int, d: int, seed: int) -> Tensor:
    draws, rows = torch.rand((n, d), generator=seeded(seed), dtype=F64), []
    for k in range(d):
        first = START[0] if k == 0 else STAY[rows[-1], 0]
        rows.append((draws[:, k] >= first).long())
    return torch.stack(rows, dim=1)


def knows_the_chain(xt: Tensor, t: Tensor) -> Tensor:
    """p(x0_i | what is not masked), by passes forward and backward."""
    seen = torch.stack([(xt == 0) | (xt == 2), (xt == 1) | (xt == 2)], dim=-1).to(F64)
    forward, backward = [START.expand(len(xt), 2)], [torch.ones(len(xt), 2, dtype=F64)]
    for k in range(xt.shape[1] - 1):
        ahead = (forward[-1] * seen[:, k]) @ STAY
        forward.append(ahead / ahead.sum(dim=1, keepdim=True))
        behind = (backward[-1] * seen[:, -1 - k]) @ STAY.T
        backward.append(behind / behind.sum(dim=1, keepdim=True))
    joint = torch.stack(forward, dim=1) * torch.stack(backward[::-1], dim=1) * seen
    return (joint / joint.sum(dim=-1, keepdim=True)).log()


def bits(p: Tensor) -> Tensor:
    return -(p * p.log2()).sum(dim=-1)


def test_the_passes_give_the_posterior_by_enumeration():
    strings = torch.tensor(list(itertools.product([0, 1], repeat=5)))
    p = START[strings[:, 0]] * STAY[strings[:, :-1], strings[:, 1:]].prod(dim=1)
    xt = torch.tensor(list(itertools.product([0, 1, 2], repeat=5)))
    fits = ((xt[:, None] == strings) | (xt[:, None] == 2)).all(dim=2) * p
    ones = (fits @ strings.double()) / fits.sum(dim=1, keepdim=True)
    torch.testing.assert_close(knows_the_chain(xt, torch.ones(len(xt)))[..., 1].exp(), ones)


@each_schedule
def test_of_independent_symbols_the_bits_are_their_entropy(schedule):
    data = independent(4000, 24, 0)
    probe = BitsPerSymbol(MaskedDiffusion(5, schedule), {"heldout": data})
    close(measured(probe, knows_the_symbols)["heldout_bits"], float(bits(P)), 0.005)


@each_schedule
def test_of_a_markov_chain_the_bits_are_its_entropy(schedule):
    d = 24
    entropy = float(bits(START) + (d - 1) * (START @ bits(STAY))) / d
    probe = BitsPerSymbol(MaskedDiffusion(2, schedule), {"heldout": chain(4000, d, 1)})
    close(measured(probe, knows_the_chain)["heldout_bits"], entropy, 0.005)


@each_schedule
@pytest.mark.parametrize("weighting", ["elbo", "x0"])
def test_of_the_empirical_optimum_the_bits_of_its_training_set_are_those_of_the_choice(schedule, weighting):
    diffusion, train = MaskedDiffusion(5, schedule, weighting=weighting), independent(64, 16, 2)
    assert len(train.unique(dim=0)) == 64
    probe = BitsPerSymbol(diffusion, {"train": train}, n_times=64)
    close(measured(probe, EmpiricalDenoiser(diffusion, train))["train_bits"], math.log2(64) / 16, 0.01)


def test_of_another_denoiser_the_bits_are_the_cross_entropy():
    q, data = torch.tensor([0.2] * 5, dtype=F64), independent(500, 10, 3)
    probe = BitsPerSymbol(MaskedDiffusion(5), {"heldout": data})
    found = measured(probe, lambda xt, t: q.log().expand(*xt.shape, 5))["heldout_bits"]
    assert (found.value, found.se) == (pytest.approx(math.log2(5)), pytest.approx(0, abs=1e-7))


# --- it is the diffusion's own bound ----------------------------------------------------------------------------------


def depends_on_everything(vocabulary: int, symbols: int):
    """A denoiser that is no posterior of anything, and looks at the time."""
    table = torch.randn(symbols, vocabulary, generator=seeded(5), dtype=F64)

    def denoiser(xt: Tensor, t: Tensor) -> Tensor:
        scores = table[xt] + 0.7 * table[xt.roll(1, 1)] + table[xt].mean(dim=1, keepdim=True)
        return torch.log_softmax(scores * (0.3 + 3 * t.double())[:, None, None] ** 2, dim=-1)

    return denoiser


@pytest.mark.slow
@each_schedule
def test_it_is_the_mean_over_times_and_masks_of_the_weighted_loss(schedule):
    """By enumeration and quadrature, for a denoiser whose answer hangs on the time and on what is masked."""
    diffusion, x0 = MaskedDiffusion(3, schedule, t_min=1e-9), torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]])
    denoiser = depends_on_everything(3, 4)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    expected = 0.0
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        times = torch.full((2,), t, dtype=F64)
        lost = float(schedule(times)[1][0])
        for hidden in itertools.product([0, 1], repeat=4):
            noise = 1 - torch.tensor(hidden, dtype=F64).expand(2, 4)
            chance = lost ** sum(hidden) * (1 - lost) ** (4 - sum(hidden))
            expected += weight * chance * diffusion.loss(denoiser, x0, times, noise) / math.log(2)
    many = x0.repeat_interleave(4000, dim=0)
    for default in (diffusion, MaskedDiffusion(3, schedule, weighting="x0")):
        for k in range(2):
            probe = BitsPerSymbol(default, {"heldout": many[4000 * k : 4000 * (k + 1)]})
            close(measured(probe, denoiser)["heldout_bits"], float(expected[k]), 0.004 * float(expected[k]))


@pytest.mark.slow
def test_of_uniform_noise_it_is_the_loss_of_the_steps_with_its_constant():
    betas = LinearBetas(steps=20, beta_min=0.01, beta_max=0.2)  # alpha_1 = 0.1: there is a constant
    x0 = torch.tensor([[0, 1, 2, 1]]).repeat(8000, 1)
    denoiser = depends_on_everything(3, 3)
    kl = UniformDiffusion(3, betas, weighting="kl")
    losses = torch.stack(
        [
            kl.loss(denoiser, x0, torch.full((8000,), (k + 1) / 20, dtype=F64), kl.noise(x0, seeded(k))).mean()
            for k in range(20)
        ]
    )
    kept = float(betas(torch.ones(1, dtype=F64))[0])
    p = torch.tensor([kept + (1 - kept) / 3, (1 - kept) / 3, (1 - kept) / 3], dtype=F64)
    constant = math.log2(3) - float(bits(p))
    assert constant > 0.005
    expected = float(losses.mean()) / math.log(2) + constant
    for diffusion in (kl, replace(kl, weighting="x0"), replace(kl, weighting="x0", steps=20)):
        found = measured(BitsPerSymbol(diffusion, {"heldout": x0}), denoiser)["heldout_bits"]
        assert found.se < 0.02
        assert found.value == pytest.approx(expected, abs=3 * found.se)


@pytest.mark.slow
def test_of_uniform_noise_and_independent_symbols_the_bits_are_the_entropy():
    """Their positions are found independently in truth too: the bound has no gap, however few the steps."""
    diffusion = UniformDiffusion(5, steps=30)

    def posterior(xt: Tensor, t: Tensor) -> Tensor:
        return torch.log_softmax(diffusion.log_likelihood(xt, t.double()) + P.log(), dim=-1)

    probe = BitsPerSymbol(diffusion, {"heldout": independent(4000, 24, 0)})
    close(measured(probe, posterior)["heldout_bits"], float(bits(P)), 0.01)


# --- its noise --------------------------------------------------------------------------------------------------------


class Recorder:
    def __init__(self, mask: int) -> None:
        self.mask, self.asked = mask, []

    def __call__(self, xt: Tensor, t: Tensor) -> Tensor:
        self.asked.append((xt == self.mask, t))
        return torch.full((*xt.shape, self.mask), -math.log(self.mask))


@pytest.mark.parametrize("n_times", [1, 4, 7])
def test_every_number_of_masked_positions_is_as_frequent_and_pairs_are_opposite(n_times):
    recorder = Recorder(5)
    data = independent(320, 10, 0)
    BitsPerSymbol(MaskedDiffusion(5), {"heldout": data}, n_times=n_times, block=320).measure(recorder)
    hidden = torch.stack([mask for mask, _ in recorder.asked])
    assert len(hidden) == n_times
    counts = torch.bincount(hidden.sum(dim=2).flatten(), minlength=11)
    assert counts[0] == 0
    assert (counts[1:] - 32 * n_times).abs().max() <= 2 * n_times
    # An item's own numbers lie apart: one in each equal part of the range.
    if n_times == 4:
        assert (hidden.sum(dim=2).double().std(dim=0) > 2).all()
    for k in range(n_times // 2):
        assert (hidden[k] | hidden[-1 - k]).all()
        assert ((hidden[k] & hidden[-1 - k]).sum(dim=1) <= 1).all()


def test_the_time_is_that_at_which_so_many_are_masked():
    recorder = Recorder(5)
    BitsPerSymbol(MaskedDiffusion(5, CosineKeeping()), {"heldout": independent(5000, 10, 0)}, n_times=3).measure(
        recorder
    )
    for mask, t in [map(torch.cat, zip(*recorder.asked, strict=True))]:
        lost, k = torch.sin(t.double() * math.pi / 2), mask.sum(dim=1)
        for number in (1, 5, 10):  # of Beta(k, d + 1 - k): the k-th smallest of 10 uniform numbers
            of = lost[k == number]
            assert float(of.mean()) == pytest.approx(number / 11, abs=4 * float(of.std()) / len(of) ** 0.5)


def test_the_same_is_asked_at_every_look_and_of_every_set_item_by_item():
    data = independent(30, 10, 0)
    probe = BitsPerSymbol(MaskedDiffusion(5), {"train": data[:20], "heldout": data, "twin": data[:20]})
    first, again = Recorder(5), Recorder(5)
    found = measured(probe, first)
    measured(probe, again)
    assert found["train_bits"].value == found["twin_bits"].value
    for (mask, t), (mask_again, t_again) in zip(first.asked, again.asked, strict=True):
        assert torch.equal(mask, mask_again)
        assert torch.equal(t, t_again)
    for train, heldout, twin in zip(*(first.asked[k::3] for k in range(3)), strict=True):
        for smaller in (train, twin):
            assert torch.equal(smaller[0], heldout[0][:20])
            assert torch.equal(smaller[1], heldout[1][:20])
    # Alone, a set meets the same; under another seed it does not.
    alone = measured(BitsPerSymbol(MaskedDiffusion(5), {"train": data[:20]}), knows_the_symbols)
    assert alone["train_bits"] == measured(probe, knows_the_symbols)["train_bits"]
    other = BitsPerSymbol(MaskedDiffusion(5), {"train": data[:20]}, seed=1)
    assert alone["train_bits"] != measured(other, knows_the_symbols)["train_bits"]


def test_opposite_noise_over_spread_numbers_has_a_smaller_error_than_the_weighted_loss():
    """At as many questions to the model: what is left beside the items' own spread, over ten seeds of the noise."""
    diffusion, data = MaskedDiffusion(2), chain(64, 24, 1)
    ours = [
        measured(BitsPerSymbol(diffusion, {"heldout": data}, seed=seed), knows_the_chain)["heldout_bits"].value
        for seed in range(10)
    ]
    plain = []
    for seed in range(10):
        rng, many = seeded(seed), data.repeat(8, 1)
        t = torch.rand(len(many), generator=rng, dtype=F64)
        losses = diffusion.loss(knows_the_chain, many, t, diffusion.noise(many, rng))
        plain.append(float(losses.mean()) / math.log(2))
    assert np.std(ours) < np.std(plain) / 2


@pytest.mark.slow
def test_the_stated_error_covers_the_spread_over_data_and_noise():
    entropy = float(bits(START) + 15 * (START @ bits(STAY))) / 16
    found = [
        measured(BitsPerSymbol(MaskedDiffusion(2), {"heldout": chain(64, 16, 100 + k)}, seed=k), knows_the_chain)
        for k in range(60)
    ]
    scores = [(e.value - entropy) / e.se for e in (f["heldout_bits"] for f in found)]
    assert 0.6 < np.std(scores) < 1.25


# --- what it records --------------------------------------------------------------------------------------------------


def test_baselines_are_recorded_beside():
    data = independent(20, 10, 0)
    each = torch.linspace(2, 3, 20, dtype=F64)
    probe = BitsPerSymbol(
        MaskedDiffusion(5), {"train": data, "heldout": data}, baselines={"ngram": 2.6, "unigram": each}
    )
    found = measured(probe, knows_the_symbols)
    assert list(found) == ["train_bits", "heldout_bits", "heldout_bits_ngram", "heldout_bits_unigram"]
    assert (found["heldout_bits_ngram"].value, found["heldout_bits_ngram"].se) == (2.6, None)
    assert found["heldout_bits_unigram"].value == pytest.approx(2.5)
    assert found["heldout_bits_unigram"].se == pytest.approx(float(each.std()) / 20**0.5)
    assert {e.count for e in found.values()} == {20}


def test_grids_of_tokens_are_items_too():
    data = independent(200, 12, 0).reshape(200, 3, 4)
    found = measured(BitsPerSymbol(MaskedDiffusion(5), {"heldout": data}), knows_the_symbols)
    flat = measured(BitsPerSymbol(MaskedDiffusion(5), {"heldout": data.flatten(1)}), knows_the_symbols)
    assert found["heldout_bits"].value == pytest.approx(flat["heldout_bits"].value)


TOKENS = torch.zeros(4, 6, dtype=torch.long)


@pytest.mark.parametrize(
    ("diffusion", "sets", "options", "words"),
    [
        (GaussianDiffusion(), {"heldout": TOKENS}, {}, "those of tokens; got GaussianDiffusion"),
        (UniformDiffusion(3), {"heldout": TOKENS}, {}, "give their number"),
        (MaskedDiffusion(3), {"heldout": TOKENS}, {"n_times": 0}, "n_times = 0"),
        (MaskedDiffusion(3), {}, {}, "items of one shape"),
        (MaskedDiffusion(3), {"heldout": TOKENS, "train": TOKENS[:0]}, {}, "items of one shape"),
        (MaskedDiffusion(3), {"heldout": TOKENS, "train": TOKENS[:, :5]}, {}, "items of one shape"),
    ],
)
def test_what_cannot_be_measured_is_refused(diffusion, sets, options, words):
    with pytest.raises(ConfigError, match=words):
        BitsPerSymbol(diffusion, sets, **options)


def test_of_an_autoregressive_model_the_bits_are_its_likelihood_itself_from_one_look():
    diffusion, data, looks = AutoregressiveDiffusion(2), chain(200, 12, 1), []

    def stays(xt, t):
        looks.append(len(xt))
        before = torch.cat([xt[:, :1] * 0, xt[:, :-1]], dim=1)
        return torch.where(before[..., None] == torch.arange(2), math.log(0.7), math.log(0.3))

    n_same = (torch.cat([data[:, :1] * 0, data[:, :-1]], dim=1) == data).sum(dim=1).double()
    expected = -(n_same * math.log2(0.7) + (12 - n_same) * math.log2(0.3)) / 12
    for weighting in ("all", "hidden"):
        probe = BitsPerSymbol(replace(diffusion, weighting=weighting), {"heldout": data}, n_times=8)
        found = measured(probe, stays)["heldout_bits"]
        assert found.value == pytest.approx(float(expected.mean()), rel=1e-6)
        assert found.se == pytest.approx(float(expected.std()) / 200**0.5, rel=1e-5)
    assert looks == [200, 200]
    train = torch.arange(32)[:, None] // 2 ** torch.arange(5) % 2  # all different: the memorizer chooses one of 32
    memory = measured(BitsPerSymbol(diffusion, {"train": train}), EmpiricalDenoiser(diffusion, train))
    assert memory["train_bits"].value == pytest.approx(5 / 5)


# --- unmasking with the empirical optimum -----------------------------------------------------------------------------


def windows(n: int, d: int) -> Tensor:
    return torch.randint(27, (n, d), generator=seeded(7))


def are_training_windows(made: Tensor, train: Tensor) -> Tensor:
    return (made[:, None] == train).all(dim=2).any(dim=1)


@each_schedule
def test_unmasking_in_any_order_by_the_empirical_optimum_gives_training_windows_only(schedule):
    diffusion, train = MaskedDiffusion(27, schedule), windows(40, 24)
    made = sample_in_any_order(diffusion, EmpiricalDenoiser(diffusion, train), 300, (24,), seeded())
    assert are_training_windows(made, train).all()
    assert len(made.unique(dim=0)) == 40


@pytest.mark.slow
@each_schedule
def test_ancestral_unmasking_by_the_empirical_optimum_gives_training_windows_only(schedule):
    """Unless a step finds two positions at once while several windows fit: these are drawn apart and may contradict."""
    diffusion, train = MaskedDiffusion(27, schedule), windows(20, 16)
    exact, unsure = EmpiricalDenoiser(diffusion, train), torch.zeros(200, dtype=torch.bool)
    before: list[tuple[Tensor, Tensor]] = []

    def watched(xt: Tensor, t: Tensor) -> Tensor:
        fits = ((xt[:, None] == train) | (xt[:, None] == diffusion.mask)).all(dim=2).sum(dim=1)
        hidden = (xt == diffusion.mask).sum(dim=1)
        if before:
            fitted, were = before.pop()
            unsure.logical_or_((fitted > 1) & (were - hidden > 1))
        before.append((fits, hidden))
        return exact(xt, t)

    made = sample(diffusion, watched, 200, (16,), seeded(), steps=300)
    right = are_training_windows(made, train)
    assert right[~unsure].all()
    assert unsure.float().mean() < 0.25
    assert right.float().mean() > 0.9
