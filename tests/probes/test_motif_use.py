"""Motifs: divergences and surprises against closed forms; bland samples surprise less than the data do."""

import markov_text
import numpy as np
import pytest
import torch
from markov_text import estimates
from reference_problem import generator
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from taumem.data import RandomHierarchyModel, load_fashion_mnist, resize
from taumem.errors import ConfigError, DataError
from taumem.probes import MotifUse, TextQuality
from taumem.probes.frequencies import counted, divergence, surprise
from taumem.probes.motif_use import blocks, ngrams, patch_kinds

ZIPF = RandomHierarchyModel(v=6, m=3, s=2, L=3, zipf=1.5)


def said(heldout, motifs, samples):
    return estimates(MotifUse(heldout, motifs).measure(samples))


def test_the_divergence_is_that_of_scipy_and_the_surprise_the_cross_entropy():
    rng = np.random.default_rng(0)
    counts, reference = rng.integers(0, 5, (6, 7)).astype(float), rng.integers(1, 9, 7).astype(float)
    assert divergence(counts, reference, 20, 0)[0] == pytest.approx(
        jensenshannon(counts.sum(0), reference, base=2) ** 2
    )
    p, q = counts.sum(0), reference / reference.sum()
    expected = entropy(p, base=2) + entropy(p, q, base=2)
    assert surprise(counts, reference).mean() == pytest.approx(expected)


def test_motifs_that_were_never_seen_do_not_count_in_the_surprise():
    reference = np.array([6.0, 2.0, 0.0])
    assert surprise(np.array([[3.0, 1, 9], [0, 0, 4]]), reference).mean() == pytest.approx(
        -np.log2([0.75] * 3 + [0.25]).mean()
    )
    assert surprise(np.array([[0.0, 0, 9]]), reference).tolist() == []


def test_the_error_of_the_surprise_is_that_of_drawing_the_items_again():
    rng = np.random.default_rng(0)
    reference = np.array([60.0, 30, 10, 0])
    drawn = rng.multinomial(6, [0.5, 0.2, 0.1, 0.2], (2000, 40)).astype(float)
    means = [surprise(counts, reference) for counts in drawn]
    scatter = np.std([each.mean() for each in means])
    said = np.mean([each.std(ddof=1) / 40**0.5 for each in means])
    assert said == pytest.approx(scatter, rel=0.06)


def test_motifs_are_equal_where_all_their_numbers_are():
    motifs = torch.tensor([[[0, 1], [1, 0], [0, 1]], [[1, 1], [1, 0], [300, 2]]])
    counts = counted(motifs).toarray()
    assert sorted(counts.sum(axis=0).tolist()) == [1, 1, 2, 2]
    assert counts.sum(axis=1).tolist() == [3, 3]


def test_what_motifs_there_are():
    text = torch.arange(4)[None]
    assert ngrams(2)(text).tolist() == [[[0, 1], [1, 2], [2, 3]]]
    assert blocks(2)(text).tolist() == [[[0, 1], [2, 3]]]


def test_a_patch_is_of_the_kind_of_the_image_that_it_is_cut_from():
    images = torch.rand(5, 1, 8, 8, generator=generator())
    kinds = patch_kinds(images, 0.5)(images + 0.001)
    assert kinds.shape == (5, 9, 2)
    assert (kinds[..., 1] == torch.arange(5)[:, None]).all()
    assert (kinds[..., 0] == torch.arange(9)).all()


def test_the_divergence_of_ngrams_is_that_of_the_quality_of_texts():
    heldout, samples = markov_text.texts(60, 1), markov_text.texts(20, 2)
    quality = estimates(TextQuality(heldout, lambda tokens: [""], (), orders=(3,)).measure(samples))
    found = said(heldout, {"3": ngrams(3)}, samples)
    for ending in ("", "_chance"):
        mine, other = found[f"motif_divergence{ending}[3]"], quality[f"ngram_divergence{ending}[3]"]
        assert (mine.value, mine.se) == (other.value, other.se)


def test_the_exact_denoiser_is_cleared_and_the_memorizer_of_few_texts_flagged():
    heldout = markov_text.texts(400, 2)
    exact = said(heldout, {"6": ngrams(6)}, markov_text.drawn(markov_text.MarkovDenoiser(), 200))
    flagged = said(heldout, {"6": ngrams(6)}, markov_text.drawn(markov_text.memorizer(markov_text.texts(4, 1)), 200))
    for name in ("motif_divergence", "motif_surprise"):
        one, chance = exact[f"{name}[6]"], exact[f"{name}_chance[6]"]
        assert abs(one.value - chance.value) < 3.5 * np.hypot(one.se, chance.se)
    one, chance = flagged["motif_divergence[6]"], flagged["motif_divergence_chance[6]"]
    assert one.value > 3 * chance.value


@pytest.mark.parametrize(("used", "sign"), [("common", -1), ("all alike", 1)])
def test_bland_strings_surprise_less_and_rare_ones_more(used, sign):
    heldout, drawn = ZIPF.sample(400, generator(1)), ZIPF.sample(2000, generator(2))
    commonest = drawn[ZIPF.log_prob(drawn).argsort(descending=True)[:200]]
    uniform = RandomHierarchyModel(v=6, m=3, s=2, L=3).sample(200, generator(3))
    motifs = {str(level): blocks(2**level) for level in (1, 2)}
    for strings, flagged in ((commonest if used == "common" else uniform, True), (drawn[:200], False)):
        found = said(heldout, motifs, strings)
        for level in (1, 2):
            one, chance = found[f"motif_surprise[{level}]"], found[f"motif_surprise_chance[{level}]"]
            z = (one.value - chance.value) / np.hypot(one.se, chance.se)
            assert sign * z > 5 if flagged else abs(z) < 3.5
            if flagged:
                assert (
                    found[f"motif_divergence[{level}]"].value > 1.5 * found[f"motif_divergence_chance[{level}]"].value
                )


def test_images_of_few_sources_diverge_and_new_ones_do_not():
    pictures = resize(load_fashion_mnist()[:500], 16, pad_to=32)
    motifs = {"0.5": patch_kinds(pictures[:16], 0.5)}
    new, few = (
        said(pictures[16:316], motifs, some) for some in (pictures[400:], pictures[400:404].repeat(25, 1, 1, 1))
    )
    one, chance = new["motif_divergence[0.5]"], new["motif_divergence_chance[0.5]"]
    assert abs(one.value - chance.value) < 3 * np.hypot(one.se, chance.se)
    assert few["motif_divergence[0.5]"].value > 3 * chance.value


def test_counts_are_equal_and_bad_input_is_refused_in_one_line():
    found = said(markov_text.texts(30, 1), {"2": ngrams(2)}, markov_text.texts(50, 2))
    assert {e.count for e in found.values()} == {15}
    with pytest.raises(ConfigError, match="2 or more held-out items; got 1"):
        MotifUse(markov_text.texts(1, 1), {"2": ngrams(2)})
    with pytest.raises(DataError, match="samples"):
        MotifUse(markov_text.texts(4, 1), {"2": ngrams(2)}).measure(torch.zeros(3, 5, dtype=torch.long))
