"""n-grams and words against references, and the entropy of predictions against exact denoisers."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from markov_text import DIFFUSION, STAY, MarkovDenoiser, drawn, estimates, generator, memorizer, texts
from scipy.spatial.distance import jensenshannon

from taumem.data import Alphabet, load_text
from taumem.diffusion import UniformDiffusion
from taumem.errors import ConfigError
from taumem.probes import LossGap, PredictiveEntropy, TextQuality, whole_words
from taumem.probes.probe import share

ALPHABET = Alphabet.of("text8")
ENGLISH = load_text().windows(200, 600, 48).split
WORDS = frozenset(word for text in ALPHABET.decode(ENGLISH.train) for word in text.split())


def tokens(*rows):
    return torch.tensor([[" abcdefghijklmnopqrstuvwxyz".index(letter) for letter in row] for row in rows])


def quality(heldout=ENGLISH.heldout, words=WORDS, **options):
    return TextQuality(heldout, ALPHABET.decode, words, **options)


def reference_divergence(a, b, n):
    """In bits, by scipy, over n-grams as Python counts them."""
    counts = [
        Counter(tuple(row[i : i + n]) for row in rows.tolist() for i in range(len(row) - n + 1)) for rows in (a, b)
    ]
    grams = sorted(counts[0] | counts[1])
    p, q = ([count[gram] for gram in grams] for count in counts)
    return jensenshannon(p, q, base=2) ** 2


def test_the_divergence_of_n_grams_is_that_of_scipy():
    probe = quality()
    samples = ENGLISH.train[:100]
    found = estimates(probe.measure(samples))
    aside, rest = probe.heldout[:100], probe.heldout[100:]
    for n in (1, 2, 3):
        assert found[f"ngram_divergence[{n}]"].value == pytest.approx(reference_divergence(samples, rest, n))
        assert found[f"ngram_divergence_chance[{n}]"].value == pytest.approx(reference_divergence(aside, rest, n))
        assert found[f"ngram_divergence[{n}]"].count == 100


def test_held_out_text_is_shuffled_and_not_lost():
    kept = quality().heldout
    assert not torch.equal(kept, ENGLISH.heldout)
    assert sorted(kept.tolist()) == sorted(ENGLISH.heldout.tolist())


def test_text_without_a_common_n_gram_is_one_bit_away_and_the_same_text_none():
    letters = torch.zeros(20, 48, dtype=torch.long) + 25  # "yyyy"
    plain = quality(torch.zeros(40, 48, dtype=torch.long) + 1)
    found = estimates(plain.measure(letters))
    assert [found[f"ngram_divergence[{n}]"].value for n in (1, 2, 3)] == [1, 1, 1]
    assert [found[f"ngram_divergence_chance[{n}]"].value for n in (1, 2, 3)] == [0, 0, 0]


def test_shuffled_letters_have_the_right_frequencies_and_the_wrong_trigrams():
    order = torch.rand(300, 48, generator=generator(1)).argsort(dim=1)
    found = estimates(quality().measure(ENGLISH.heldout[300:].gather(1, order)))
    single, chance = found["ngram_divergence[1]"], found["ngram_divergence_chance[1]"]
    assert abs(single.value - chance.value) < 4 * (single.se + chance.se)
    triple, chance = found["ngram_divergence[3]"], found["ngram_divergence_chance[3]"]
    assert triple.value > chance.value + 20 * triple.se


def test_the_exact_denoisers_samples_are_as_far_from_held_out_text_as_other_held_out_text_is():
    probe = TextQuality(texts(2000, 2), lambda rows: ["" for _ in rows], ())
    found = estimates(probe.measure(drawn(MarkovDenoiser())))
    for n in (1, 2, 3):
        value, chance = found[f"ngram_divergence[{n}]"], found[f"ngram_divergence_chance[{n}]"]
        assert abs(value.value - chance.value) < 4 * math.hypot(value.se, chance.se)
    assert "dictionary_words" not in found


def test_the_standard_error_is_the_spread_over_samples():
    probe = TextQuality(texts(400, 2), lambda rows: ["" for _ in rows], (), orders=(2,))
    flat = torch.randint(2, (40, 50, 32), generator=generator(3))  # far from the language: no bias at 0
    found = [estimates(probe.measure(samples))["ngram_divergence[2]"] for samples in flat]
    assert np.mean([e.se for e in found]) == pytest.approx(np.std([e.value for e in found]), rel=0.3)


def test_more_samples_than_half_of_the_held_out_texts_are_cut_to_that():
    found = estimates(quality(ENGLISH.heldout[:50]).measure(ENGLISH.train))
    assert found["ngram_divergence[3]"].count == found["ngram_divergence_chance[3]"].count == 25


def test_only_words_between_two_signs_of_white_space_count():
    assert whole_words(["he whole word a", " one ", "cut", "", "  x  y "]) == ["whole", "word", "one", "x", "y"]
    assert whole_words(["cut whole\nwords\there cut"]) == ["whole", "words", "here"]


def test_the_share_of_dictionary_words_is_that_of_whole_words_found():
    probe = quality(tokens("ab the cat sat xx", " cat and the do g"), {"the", "cat"}, orders=(1,))
    found = estimates(probe.measure(tokens(" the the zzz cat ", "cat the qq the ca")))
    assert found["dictionary_words"] == share("dictionary_words", 5, 7)
    assert found["dictionary_words_chance"] == share("dictionary_words_chance", 4, 7)


def test_samples_without_a_whole_word_have_no_share_of_them():
    found = estimates(quality().measure(torch.ones(10, 48, dtype=torch.long)))
    assert "dictionary_words" not in found
    assert found["dictionary_words_chance"].value > 0.3


def test_the_same_samples_give_the_same_numbers_and_no_random_state_is_touched():
    probe, state = quality(), torch.get_rng_state()
    assert probe.measure(ENGLISH.train) == probe.measure(ENGLISH.train)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"heldout": ENGLISH.heldout[:1]}, "needs 2 held-out texts"),
        ({"n_resamples": 1}, "and 2 resamples"),
        ({"orders": ()}, "n-grams in texts of 48"),
        ({"orders": (0,)}, "n-grams in texts of 48"),
        ({"orders": (49,)}, "n-grams in texts of 48"),
    ],
)
def test_what_quality_cannot_be_measured_with_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        quality(**options)


# --- entropy of predictions -----------------------------------------------------------------------------------------

TIMES = (0.3, 0.6, 0.999)


def test_the_entropy_of_the_exact_denoiser_is_its_surprise():
    sets = {"train": texts(2000, 1), "heldout": texts(2000, 2)}
    found = estimates(PredictiveEntropy(DIFFUSION, sets, times=TIMES).measure(MarkovDenoiser()))
    for name in sets:
        assert found[f"{name}_entropy"].value == pytest.approx(
            np.mean([found[f"{name}_entropy", t].value for t in TIMES])
        )
        for t in (0.3, 0.6):
            entropy = found[f"{name}_entropy", t]
            surprise = LossGap(DIFFUSION, sets, times=(t,), seed=3).measure(MarkovDenoiser())
            loss = estimates(surprise)[f"{name}_loss"]  # weight 1/t, over a share t of the positions
            assert abs(entropy.value - loss.value) < 4 * math.hypot(entropy.se, loss.se)
    # At t = 1 nothing is known of a symbol.
    assert found["heldout_entropy", 0.999].value == pytest.approx(math.log(2), abs=0.01)
    assert 0 < found["heldout_entropy", 0.3].value < -STAY * math.log(STAY) - (1 - STAY) * math.log(1 - STAY) + 0.1


def test_the_memorizer_is_sure_of_its_training_texts():
    train = torch.randint(2, (20, 32), generator=generator(1))
    probe = PredictiveEntropy(DIFFUSION, {"train": train, "heldout": texts(50, 2)}, times=(0.3,))
    found = estimates(probe.measure(memorizer(train)))
    assert found["train_entropy"].value < 0.02
    assert found["heldout_entropy"].value > 0.5  # none of them fits: uniform


@pytest.mark.slow
def test_the_errors_of_the_entropy_are_the_spread_over_texts():
    def entropies(seed):
        probe = PredictiveEntropy(DIFFUSION, {"train": texts(100, seed)}, times=(0.3, 0.6), seed=seed)
        return estimates(probe.measure(MarkovDenoiser()))

    found = [entropies(seed) for seed in range(100)]
    for key in (("train_entropy", 0.3), "train_entropy"):
        assert np.mean([f[key].se for f in found]) == pytest.approx(np.std([f[key].value for f in found]), rel=0.25)


def test_under_uniform_noise_corrupted_positions_are_those_that_changed():
    diffusion = UniformDiffusion(2)
    train = texts(50, 1)
    probe = PredictiveEntropy(diffusion, {"train": train}, times=(0.5,))
    ((xt, places),) = probe.corrupted["train"]
    assert torch.equal(places, xt != train)

    def denoiser(asked, t):
        """Knows nothing where a symbol was changed, and all elsewhere."""
        assert torch.equal(asked, xt)
        sure = torch.nn.functional.one_hot(train, 2).float().log()
        return torch.where(places[..., None], torch.tensor(0.5).log(), sure)

    assert estimates(probe.measure(denoiser))["train_entropy"].value == pytest.approx(math.log(2))


def test_the_entropy_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="texts in each set"):
        PredictiveEntropy(DIFFUSION, {"train": texts(0, 1)})
    with pytest.raises(ConfigError, match="no symbol of the set 'train' is corrupted"):
        PredictiveEntropy(DIFFUSION, {"train": texts(1, 1)}, times=(1e-6,))
    with pytest.raises(ConfigError, match="asks at diffusion times"):
        PredictiveEntropy(DIFFUSION, {"train": texts(5, 1)}, times=(1.0,))
