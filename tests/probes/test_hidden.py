"""Samples that are sent around, and U-turns: total memorization is flagged, and the exact denoisers are cleared."""

import numpy as np
import pytest
import torch
from markov_text import DIFFUSION as BITS
from markov_text import WINDOW, MarkovDenoiser, drawn, memorizer, texts
from reference_problem import DIFFUSION, EXACT, by_name, draw, generator, items, memorized

from taumem.data import RandomHierarchyModel
from taumem.diffusion import (
    MaskedDiffusion,
    UniformDiffusion,
    complete_in_any_order,
    denoise,
    sample,
    sample_in_any_order,
)
from taumem.errors import ConfigError, DataError
from taumem.models import BeliefDenoiser, EmpiricalDenoiser
from taumem.probes import Copies, Cycling, GrammarLevels, Infilling, TextCopies, UTurns, cycle
from taumem.probes.uturns import basin_of
from taumem.record import CopyRule

P = 64
TRAIN, HELDOUT = items(P, 1), items(400, 2)
BY_GAP, IDENTICAL = CopyRule(measure="gap_ratio", threshold=1 / 3), CopyRule(measure="identical", threshold=0)
GRAMMAR = RandomHierarchyModel(v=8, m=3, s=2, L=3, seed=0)
STRINGS = GRAMMAR.split(P, 256, 0)


def restore(denoiser, xt, t, generator):
    return denoise(DIFFUSION, denoiser, xt, t, generator, steps=6)


def of_tokens(diffusion, n=256, length=8):
    """How strings are drawn, and brought back."""
    if isinstance(diffusion, MaskedDiffusion):
        return (
            lambda denoiser, generator: sample_in_any_order(diffusion, denoiser, n, (length,), generator),
            lambda denoiser, xt, t, generator: complete_in_any_order(diffusion, denoiser, xt, generator),
        )
    return (
        lambda denoiser, generator: sample(diffusion, denoiser, n, (length,), generator, steps=48),
        lambda denoiser, xt, t, generator: denoise(diffusion, denoiser, xt, t, generator, steps=12),
    )


def numbers(probe, denoiser):
    return by_name(probe.measure(denoiser))


def assert_cleared(found, share):
    copies, chance = found[share, None], found[f"{share}_chance", None]
    assert copies.low <= chance.high
    assert chance.low <= copies.high


@pytest.mark.parametrize("t", [0.1, 0.4])
def test_samples_of_the_memorizer_stay_copies_when_sent_around_and_the_exact_denoisers_become_none(t):
    probe = Cycling(DIFFUSION, draw, restore, Copies(TRAIN, HELDOUT), Copies(HELDOUT[:P], HELDOUT[:0]), t=t, cycles=4)
    flagged, cleared = numbers(probe, memorized(TRAIN)), numbers(probe, EXACT)
    assert flagged["cycled_copies", None].low > 0.95
    assert flagged["cycled_copies_chance", None].value == 0
    assert_cleared(cleared, "cycled_copies")
    assert cleared["cycled_copies", None].high < 0.05


def test_samples_of_a_model_that_draws_no_copies_turn_into_copies_when_sent_around():
    def shy(xt, t):
        """Total memorization near the data, and none of it far from them: no draw from pure noise knows an item."""
        return torch.where((t < 0.35)[:, None], memorized(TRAIN)(xt, t), EXACT(xt, t))

    def blurred(denoiser, generator):
        return draw(EXACT, generator)

    copies = Copies(TRAIN, HELDOUT)
    probe = Cycling(DIFFUSION, blurred, restore, copies, Copies(HELDOUT[:P], HELDOUT[:0]), t=0.3)
    (one_shot, _) = copies.measure(draw(EXACT, generator())).estimates
    assert one_shot.high < 0.05
    assert numbers(probe, shy)["cycled_copies", None].low > 0.9


@pytest.mark.parametrize("diffusion", [MaskedDiffusion(8), UniformDiffusion(8)], ids=["masked", "uniform"])
def test_strings_of_the_memorizer_stay_copies_and_those_of_the_exact_denoiser_are_as_many_as_by_chance(diffusion):
    sampler, restored = of_tokens(diffusion)
    counters = GrammarLevels(GRAMMAR, STRINGS.train), GrammarLevels(GRAMMAR, STRINGS.heldout[:P])
    probe = Cycling(diffusion, sampler, restored, *counters, cycles=2)
    assert numbers(probe, EmpiricalDenoiser(diffusion, STRINGS.train))["cycled_copies", None].low > 0.95
    assert_cleared(numbers(probe, BeliefDenoiser(GRAMMAR, diffusion)), "cycled_copies")


@pytest.mark.slow
def test_where_few_held_out_items_stand_in_chance_is_multiplied_up_to_one():
    train, others = texts(60, 1), texts(20, 2)
    counters = TextCopies(train, others[:0], threshold=0.1), TextCopies(others, others[:0], threshold=0.1)
    sampler, restored = of_tokens(BITS, 100, WINDOW)

    def asked(times_more):
        return numbers(Cycling(BITS, sampler, restored, *counters, times_more=times_more, cycles=1), MarkovDenoiser())

    once, thrice, many = (asked(k)["cycled_copies_chance", None] for k in (1, 3, 1000))
    assert once.value > 0
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx((3 * once.value, 3 * once.low, 3 * once.high))
    assert many.value == many.high == 1
    assert_cleared(asked(3), "cycled_copies")  # the exact denoiser
    flagged = numbers(Cycling(BITS, sampler, restored, *counters, cycles=1), memorizer(train))
    assert flagged["cycled_copies", None].value == 1


def test_training_items_come_back_to_the_memorizer_and_held_out_ones_do_not():
    flagged = numbers(UTurns(DIFFUSION, TRAIN, HELDOUT, restore, rule=BY_GAP), memorized(TRAIN))
    assert flagged["uturn_returns", 0.2].low > 0.9
    assert flagged["uturn_returns_chance", 0.2].value == 0
    assert flagged["uturn_returns", None].low > flagged["uturn_returns_chance", None].high
    assert flagged["basin", None].low > flagged["basin_heldout", None].high


def test_the_exact_denoiser_brings_training_items_back_as_often_as_held_out_ones():
    cleared = numbers(UTurns(DIFFUSION, TRAIN, HELDOUT, restore, rule=BY_GAP, times=(0.05, 0.1, 0.3)), EXACT)
    assert 0.1 < cleared["uturn_returns", None].value < 0.9  # there is something to be cleared of
    assert_cleared(cleared, "uturn_returns")
    assert cleared["basin", None].low <= cleared["basin_heldout", None].high
    assert cleared["basin_heldout", None].low <= cleared["basin", None].high


@pytest.mark.parametrize("diffusion", [MaskedDiffusion(8), UniformDiffusion(8)], ids=["masked", "uniform"])
def test_u_turns_of_strings_flag_the_memorizer_and_clear_the_exact_denoiser(diffusion):
    probe = UTurns(diffusion, STRINGS.train, STRINGS.heldout, of_tokens(diffusion)[1], rule=IDENTICAL)
    flagged = numbers(probe, EmpiricalDenoiser(diffusion, STRINGS.train))
    cleared = numbers(probe, BeliefDenoiser(GRAMMAR, diffusion))
    assert flagged["uturn_returns", 0.2].low > flagged["uturn_returns_chance", 0.2].high
    assert flagged["basin", None].low > flagged["basin_heldout", None].high
    assert_cleared(cleared, "uturn_returns")


def test_an_item_comes_back_if_at_most_the_thresholds_share_of_its_symbols_is_wrong():
    train = torch.randint(8, (10, 20), generator=generator(1))
    wrong = train.clone()
    wrong[:5, 0] = (wrong[:5, 0] + 1) % 8  # one of twenty
    wrong[5:, :2] = (wrong[5:, :2] + 1) % 8
    rule = CopyRule(measure="hamming", threshold=0.05)
    probe = UTurns(MaskedDiffusion(8), train, train, lambda *_: wrong, rule=rule, times=(0.5,))
    assert numbers(probe, lambda xt, t: xt)["uturn_returns", 0.5].value == 0.5


def test_both_sets_meet_the_same_noise_at_every_look():
    seen = []
    probe = UTurns(DIFFUSION, TRAIN, TRAIN, lambda _, xt, t, g: seen.append(xt) or xt, rule=BY_GAP, times=(0.3,))
    assert probe.measure(EXACT) == probe.measure(EXACT)
    assert all(torch.equal(xt, seen[0]) for xt in seen[1:])


@pytest.mark.parametrize(
    ("returns", "edge"),
    [
        ([1, 0.8, 0.2], 0.5),
        ([1, 1, 1], 0.6),  # at least
        ([0, 0, 0], 0.1),
        ([0.75, 0.25, 0.5], 0.2 + 0.2 * 0.25 / 0.375),  # what is found farther out is smoothed away
    ],
)
def test_the_basin_ends_where_half_of_the_items_come_back(returns, edge):
    assert basin_of(np.array(returns, dtype=float), [0.2, 0.4, 0.6]) == pytest.approx(edge)


def test_sending_around_is_corrupting_and_denoising_so_many_times():
    asked = []
    found = cycle(torch.zeros(3, 2), lambda x0, t: x0 + t, lambda xt, t: asked.append(t) or 2 * xt, t=0.25, cycles=3)
    assert asked == [0.25] * 3
    assert torch.equal(found, torch.full((3, 2), 0.5 * (1 + 2 + 4)))


@pytest.mark.parametrize(
    ("change", "said"), [(lambda x: x[:1], r"shape \(1, 2\)"), (lambda x: x / 0, "not all finite")]
)
def test_what_is_no_sample_any_more_is_one_clear_line(change, said):
    with pytest.raises(DataError, match=f"cycle 1 gives .*{said}.*expected finite items of shape"):
        cycle(torch.ones(3, 2), lambda x0, t: x0, lambda xt, t: change(xt))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"t": 0.0}, r"^t \(--time\) is .*between 0 and 1; got 0\.0\.$"),
        ({"t": 1.0}, r"^t \(--time\) is .*between 0 and 1; got 1\.0\.$"),
        ({"cycles": 0}, r"^cycles \(--cycles\) is .*at least once; got 0\.$"),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_its_name(options, said):
    counters = Copies(TRAIN, HELDOUT), Copies(HELDOUT, TRAIN)
    with pytest.raises(ConfigError, match=said):
        cycle(torch.ones(3, 2), lambda x0, t: x0, lambda xt, t: xt, **options)
    with pytest.raises(ConfigError, match=said):
        Cycling(DIFFUSION, draw, restore, *counters, **options)
    with pytest.raises(ConfigError, match=r"^times_more multiplies chance by 1 or more; got 0\.5\.$"):
        Cycling(DIFFUSION, draw, restore, *counters, times_more=0.5)


def test_sets_that_cannot_be_held_against_each_other_are_refused():
    for train, heldout in ((TRAIN[:0], HELDOUT), (TRAIN, HELDOUT[:0]), (TRAIN, HELDOUT[:, :4])):
        with pytest.raises(ConfigError, match="U-turns need training and held-out items of one shape"):
            UTurns(DIFFUSION, train, heldout, restore, rule=BY_GAP)


def test_a_probe_that_counts_no_copies_is_named():
    probe = Infilling(BITS, texts(4, 1), texts(4, 2))
    with pytest.raises(ConfigError, match="Counter counts no copies; give one that measures copy_fraction"):
        numbers(Cycling(DIFFUSION, draw, restore, Counter(probe), Counter(probe)), EXACT)


class Counter:
    """A sample probe of something else."""

    def __init__(self, probe):
        self.probe, self.settings = probe, {}

    def measure(self, samples):
        return self.probe.measure(MarkovDenoiser())


@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_a_stretch_is_hidden_where_it_is_asked_for(where):
    train = texts(5, 1)
    hidden = Infilling(BITS, train, train, share_masked=0.25, where=where).hidden
    first = {"start": 0, "middle": 12, "end": 24}[where]
    assert hidden[0].nonzero()[:, 0].tolist() == list(range(first, first + 8))
    assert bool((hidden == hidden[0]).all())


def test_the_memorizer_completes_training_texts_from_every_part_and_each_is_named():
    train = texts(40, 1)
    for where in ("start", "middle", "end", "random"):
        probe = Infilling(BITS, train, texts(40, 2), share_masked=0.25, where=where, is_named=True, tolerance=0)
        found = numbers(probe, memorizer(train))
        assert found[f"infill_copies[{where} 0.25]", None].low > 0.7
        assert found[f"infill_copies_chance[{where} 0.25]", None].high < 0.7


def test_completing_masked_symbols_leaves_the_others_and_is_exact():
    train = texts(40, 3)
    xt = torch.where(torch.rand(train.shape, generator=generator(4)) < 0.5, 2, train)
    found = complete_in_any_order(BITS, MarkovDenoiser(), xt, generator(5))
    assert torch.equal(found[xt < 2], xt[xt < 2])
    assert bool((found < 2).all())
    whole = complete_in_any_order(BITS, MarkovDenoiser(), torch.full((400, WINDOW), 2), generator(9))
    assert torch.equal(whole, drawn(MarkovDenoiser()))


def test_a_reversal_that_starts_at_the_end_is_a_sample():
    noise = DIFFUSION.prior(5, (8,), generator(1))
    whole = sample(DIFFUSION, EXACT, 5, (8,), generator(1), steps=7)
    assert torch.equal(denoise(DIFFUSION, EXACT, noise, 1.0, generator(2), steps=7), whole)
    with pytest.raises(ConfigError, match=r"a time in \(0, 1\] in at least 1 step"):
        denoise(DIFFUSION, EXACT, noise, 0.0, generator(2))
