"""Samples of a grammar, parsed and looked up."""

import numpy as np
import pytest
import torch
from reference_problem import by_name, generator

from taumem.data import RandomHierarchyModel
from taumem.diffusion import MaskedDiffusion, UniformDiffusion, sample, sample_in_any_order
from taumem.models import BeliefDenoiser, EmpiricalDenoiser
from taumem.probes import GrammarLevels, LossGap
from taumem.randomness import generator_for

GRAMMAR = RandomHierarchyModel(v=6, m=3, s=2, L=3)
SPLIT = GRAMMAR.split(64, 512, seed=1)
MASKED = MaskedDiffusion(6, weighting="x0")
TIMES = (0.3, 0.6)


def shares(samples, train=SPLIT.train, grammar=GRAMMAR):
    return {e.quantity: e for e in GrammarLevels(grammar, train).measure(samples).estimates}


def test_each_sample_counts_by_the_level_that_it_reaches():
    strings = SPLIT.heldout[:4].clone()
    strings[1] = spoiled(strings[1], 3)
    strings[2] = spoiled(strings[2], 2)
    strings[3] = spoiled(strings[3], 1)
    found = shares(strings)
    assert [found[f"valid[{level}]"].value for level in (1, 2, 3)] == [0.75, 0.5, 0.25]
    assert found["copy_fraction"].value == 0
    assert found["novel_valid"].value == 0.25
    assert found["novel_valid"].low < 0.25 < found["novel_valid"].high


def spoiled(string, level):
    """A string that is valid below a level, and not at it: two valid halves, quarters or tokens of other strings."""
    size = GRAMMAR.s**level
    for other in SPLIT.train:
        changed = string.clone()
        changed[size - size // 2 : size] = other[: size // 2]
        if int(GRAMMAR.levels(changed[None]).reached) == level - 1:
            return changed
    raise AssertionError("no string spoils this level")


def test_copies_are_training_strings_and_chance_is_their_share_of_the_language_among_valid_samples():
    found = shares(torch.cat([SPLIT.train[:3], SPLIT.heldout[:1], spoiled(SPLIT.heldout[0], 1)[None]]))
    assert found["copy_fraction"].value == 0.6
    assert found["novel_valid"].value == 0.2
    assert found["copy_fraction_chance"].value == pytest.approx(0.8 * 64 / GRAMMAR.n_strings, rel=1e-12)


def test_under_zipf_probabilities_chance_is_the_probability_of_the_training_strings():
    zipf = RandomHierarchyModel(v=4, m=2, s=2, L=2, zipf=1.0)
    train = zipf.split(20, 0).train
    drawn = zipf.sample(40_000, generator_for(0, "zipf"))
    found = shares(drawn, train, zipf)
    assert found["copy_fraction_chance"].value == pytest.approx(float(zipf.log_prob(train).exp().sum()), rel=1e-12)
    assert found["copy_fraction"].low < found["copy_fraction_chance"].value < found["copy_fraction"].high


@pytest.mark.slow
@pytest.mark.parametrize("diffusion", [MASKED, UniformDiffusion(6)], ids=["masked", "uniform"])
def test_samples_of_the_memorizer_are_copies_and_those_of_the_exact_denoiser_as_many_as_by_chance(diffusion):
    def drawn(denoiser):
        if diffusion is MASKED:
            return sample_in_any_order(diffusion, denoiser, 1000, (8,), generator())
        return sample(diffusion, denoiser, 1000, (8,), generator(), steps=200)

    memorized, learned = (
        shares(drawn(d)) for d in (EmpiricalDenoiser(diffusion, SPLIT.train), BeliefDenoiser(GRAMMAR, diffusion))
    )
    assert memorized["copy_fraction"].value > 0.97
    assert memorized["novel_valid"].value < 0.03
    assert learned["valid[3]"].value > 0.97
    assert learned["copy_fraction"].low <= learned["copy_fraction_chance"].value <= learned["copy_fraction"].high
    assert learned["novel_valid"].value > 0.95


def test_what_is_kept_of_the_samples_says_their_level_and_whether_they_are_copies():
    samples = torch.cat([SPLIT.train[:1], spoiled(SPLIT.heldout[0], 2)[None]])
    arrays = GrammarLevels(GRAMMAR, SPLIT.train, keep=2).measure(samples).arrays
    assert np.array_equal(arrays["samples"], samples.numpy())
    assert arrays["level"].tolist() == [3, 1]
    assert arrays["copied"].tolist() == [True, False]


# --- losses above the optima --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loss_gap():
    sets = {"train": SPLIT.train, "heldout": SPLIT.heldout}
    exact, empirical = BeliefDenoiser(GRAMMAR, MASKED), EmpiricalDenoiser(MASKED, SPLIT.train)
    return LossGap(MASKED, sets, times=TIMES, exact=exact, empirical=empirical)


def test_the_exact_denoiser_lies_on_the_floor_and_the_memorizer_on_its_own(loss_gap):
    exact = by_name(loss_gap.measure(BeliefDenoiser(GRAMMAR, MASKED)))
    for quantity in ("train_loss_above_exact", "heldout_loss_above_exact", "gap_exact"):
        assert (exact[quantity, None].value, exact[quantity, None].se) == (0, 0)
    above = exact["train_loss_above_empirical", None]
    assert above.value > 10 * above.se > 0


def test_the_memorizer_is_on_its_own_floor_and_below_the_exact_one_on_its_training_set():
    # As its own held-out set, since on any other the memorizer's loss is infinite.
    sets = {"train": SPLIT.train, "heldout": SPLIT.train}
    memorizer = EmpiricalDenoiser(MASKED, SPLIT.train)
    probe = LossGap(MASKED, sets, times=TIMES, exact=BeliefDenoiser(GRAMMAR, MASKED), empirical=memorizer)
    found = by_name(probe.measure(memorizer))
    assert found["train_loss_above_empirical", None].value == 0
    assert found["train_loss_above_exact", None].value < -10 * found["train_loss_above_exact", None].se < 0


def test_a_loss_above_the_exact_one_is_a_kullback_leibler_divergence():
    # Averaged over all strings, the excess of any denoiser is the divergence of its prediction from the exact one.
    tiny = RandomHierarchyModel(v=3, m=1, s=2, L=1)
    strings = tiny.decode(range(tiny.n_strings)).repeat(4000, 1)
    diffusion, exact = MaskedDiffusion(3, weighting="x0"), BeliefDenoiser(tiny, MaskedDiffusion(3))

    def uniform(xt, t):
        return torch.full((*xt.shape, 3), -np.log(3.0))

    probe = LossGap(diffusion, {"train": strings, "heldout": strings}, times=(0.5,), exact=exact)
    above = by_name(probe.measure(uniform))["heldout_loss_above_exact", None]
    strings = {tuple(x) for x in strings.tolist()}
    assert above.value == pytest.approx(divergence_from_uniform(strings), abs=4 * above.se)


def divergence_from_uniform(strings):
    """E KL(exact || uniform) per position at t = 1/2, over the four masks of two positions."""
    total = 0.0
    for x in strings:
        for mask in ((0,), (1,), (0, 1)):
            fitting = [y for y in strings if all(y[i] == x[i] for i in (0, 1) if i not in mask)]
            for i in mask:
                p = np.bincount([y[i] for y in fitting], minlength=3) / len(fitting)
                entropy = -np.sum(p[p > 0] * np.log(p[p > 0]))
                total += 0.25 * (np.log(3) - entropy) / 2
    return total / len(strings)
