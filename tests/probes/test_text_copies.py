"""Copies among texts: planted ones, those of the memorizer, and chance."""

import numpy as np
import pytest
import torch
from markov_text import DIFFUSION, MarkovDenoiser, drawn, estimates, generator, memorizer, texts
from reference_problem import by_name

from taumem.analysis import agreement
from taumem.errors import ConfigError
from taumem.probes import Agreement, TextCopies
from taumem.probes.probe import share

# Texts of 32 symbols out of 1,000, so that nothing is alike by chance.
TRAIN = torch.randint(1000, (40, 32), generator=generator(0))
HELDOUT = torch.randint(1000, (30, 32), generator=generator(1))


def spoiled(text, n):
    """The text with another symbol at every third of its first places, n of them."""
    changed = text.clone()
    changed[: 3 * n : 3] = 1000
    return changed


def test_a_copy_differs_at_no_more_than_the_thresholds_share_of_its_positions():
    samples = torch.stack([TRAIN[0], spoiled(TRAIN[1], 1), spoiled(TRAIN[2], 2), HELDOUT[0]])
    reading = TextCopies(TRAIN, HELDOUT, threshold=1 / 32).measure(samples)
    found = estimates(reading)
    assert found["copy_fraction"] == share("copy_fraction", 2, 4)
    assert found["exact_copies"] == share("exact_copies", 1, 4)
    assert found["copy_fraction_chance"] == share("copy_fraction_chance", 0, 30)
    assert reading.arrays["copied"].tolist() == [True, True, False, False]
    np.testing.assert_array_equal(reading.arrays["hamming"][:3], np.float32([0, 1 / 32, 2 / 32]))
    np.testing.assert_array_equal(reading.arrays["nearest"][:3], TRAIN[:3])
    wider = TextCopies(TRAIN, HELDOUT, threshold=2 / 32).measure(samples)
    assert estimates(wider)["copy_fraction"].value == 0.75


def test_lines_are_compared_by_edits_and_end_where_they_end():
    end, n = 1000, 32
    lines = [TRAIN[k, : 20 + k] for k in range(10)]

    def rows(*texts):
        return torch.stack([torch.cat([text, torch.full((n - len(text),), end)]) for text in texts])

    another, put_in = torch.full((20,), 1001), torch.cat([torch.tensor([1001]), lines[1]])
    behind_the_end = rows(lines[2])[0]
    behind_the_end[-5:] = 7
    samples = torch.stack([*rows(lines[0], put_in, lines[3][3:], another, lines[4][:0]), behind_the_end])
    probe = TextCopies(rows(*lines), rows(*HELDOUT[:9, :25]), line_end=end)
    reading = probe.measure(samples)
    found = estimates(reading)
    assert reading.arrays["copied"].tolist() == [True, True, False, False, False, True]
    np.testing.assert_allclose(reading.arrays["edit_distance"], [0, 1 / 22, 3 / 23, 1, 1, 0], rtol=1e-6)
    np.testing.assert_array_equal(reading.arrays["nearest"][:3], rows(*lines)[[0, 1, 3]])
    assert found["copy_fraction"] == share("copy_fraction", 3, 6)
    assert found["exact_copies"] == share("exact_copies", 2, 6)
    assert found["longest_match"].value == (20 + 21 + 20 + 0 + 0 + 22) / 6
    assert probe.copy_rule.measure == "edit_distance"


def test_the_longest_passage_is_found_wherever_it_stands_in_a_training_text():
    samples = HELDOUT[:2].clone()
    samples[0, 3:23] = TRAIN[5, 11:31]
    samples[1, :8] = TRAIN[7, 24:]
    found = estimates(TextCopies(TRAIN, HELDOUT).measure(samples))
    assert found["longest_match"].value == (20 + 8) / 2
    assert found["longest_match"].count == found["longest_match_chance"].count == 2
    assert found["longest_match_chance"].value <= 2
    assert found["copy_fraction"].value == 0


def test_all_samples_of_the_memorizer_are_exact_copies():
    train, heldout = texts(64, 1), texts(200, 2)
    found = estimates(TextCopies(train, heldout).measure(drawn(memorizer(train))))
    assert found["copy_fraction"].value == found["exact_copies"].value == 1
    assert found["longest_match"].value == 32
    assert found["longest_match"].value > found["longest_match_chance"].value + 5


def test_the_exact_denoiser_copies_as_held_out_texts_do():
    train, heldout = texts(256, 1), texts(400, 2)
    found = estimates(TextCopies(train, heldout, threshold=0.1).measure(drawn(MarkovDenoiser())))
    copies, chance = found["copy_fraction"], found["copy_fraction_chance"]
    assert chance.value > 0.1  # so that there is something to compare
    assert copies.low < chance.high
    assert chance.low < copies.high
    longest, same = found["longest_match"], found["longest_match_chance"]
    assert abs(longest.value - same.value) < 4 * np.hypot(longest.se, same.se)


def test_what_is_kept_are_tokens_in_four_bytes():
    arrays = TextCopies(TRAIN, HELDOUT, keep=3).measure(HELDOUT[:5]).arrays
    kinds = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    assert kinds == {
        "samples": (np.int32, (3, 32)),
        "nearest": (np.int32, (3, 32)),
        "hamming": (np.float32, (3,)),
        "copied": (np.bool_, (3,)),
    }
    np.testing.assert_array_equal(arrays["samples"], HELDOUT[:3])


def test_without_held_out_texts_there_is_no_level_of_chance():
    found = estimates(TextCopies(TRAIN, TRAIN[:0]).measure(HELDOUT))
    assert sorted(found) == ["copy_fraction", "exact_copies", "longest_match"]


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_that_is_no_share_and_no_training_texts_are_refused(threshold):
    with pytest.raises(ConfigError, match="share of a copy's symbols"):
        TextCopies(TRAIN, HELDOUT, threshold=threshold)
    with pytest.raises(ConfigError, match="against training texts; got none"):
        TextCopies(TRAIN[:0], HELDOUT)


# --- agreement of two models of tokens ------------------------------------------------------------------------------


def test_the_agreement_of_tokens_is_the_share_of_equal_symbols():
    ours = drawn(MarkovDenoiser(), n=100)

    def twin(xt, t):
        return MarkovDenoiser()(xt, t)

    def sampler(denoiser, generator):
        samples = drawn(denoiser, n=100)
        samples[:, :8] = 1 - samples[:, :8]
        return samples

    found = by_name(Agreement(twin, sampler).measure(ours))
    assert found["agreement", None].value == 24 / 32
    assert found["agreement", None].se == 0
    assert abs(found["agreement_chance", None].value - 0.5) < 0.1


def test_two_memorizers_of_one_language_agree_less_than_two_exact_denoisers():
    pair = [drawn(memorizer(texts(16, seed))) for seed in (3, 4)]
    parted = agreement(*(samples.short().numpy() for samples in pair))
    exact = drawn(MarkovDenoiser()).short().numpy()
    assert agreement(exact, exact).value == 1
    assert parted.value + 10 * parted.se < 1
    assert DIFFUSION.vocabulary == 2  # of two symbols, half agree by chance
    assert parted.value > 0.4
