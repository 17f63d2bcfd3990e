"""Copied parts: planted ones are counted, and by brute force; the memorizer is flagged, the exact denoiser cleared."""

import markov_text
import numpy as np
import pytest
import torch
from markov_text import estimates
from reference_problem import generator

from taumem.data import RandomHierarchyModel, load_fashion_mnist, resize
from taumem.diffusion import GaussianDiffusion, MaskedDiffusion, sample, sample_in_any_order
from taumem.errors import ConfigError, DataError
from taumem.models import BeliefDenoiser, EmpiricalDenoiser
from taumem.probes import PartCopies
from taumem.probes.part_copies import Blocks, Patches, Stretches

GRAMMAR = RandomHierarchyModel(v=6, m=3, s=2, L=3)
STRINGS = GRAMMAR.split(16, 256, seed=1)


@pytest.fixture(scope="module")
def pictures():
    return resize(load_fashion_mnist()[:400], 16, pad_to=32)


def symbols(*shape, vocabulary=3, seed=0):
    return torch.randint(vocabulary, shape, generator=generator(seed))


# --- what a part is ---------------------------------------------------------------------------------------------------


def test_the_longest_stretch_is_that_of_all_pairs():
    train, texts = symbols(5, 12), symbols(8, 12, seed=1)

    def has(text, size):
        mine = {tuple(text[k : k + size].tolist()) for k in range(13 - size)}
        return any(tuple(other[k : k + size].tolist()) in mine for other in train for k in range(13 - size))

    expected = [max(size for size in range(13) if size == 0 or has(text, size)) / 12 for text in texts]
    assert Stretches(train).largest(texts).tolist() == pytest.approx(expected)


def test_a_stretch_of_a_line_is_a_share_of_the_line_without_its_end():
    train = torch.tensor([[1, 2, 3, 4, 9, 9], [5, 5, 5, 9, 9, 9]])
    lines = torch.tensor([[2, 3, 0, 0, 9, 9], [5, 5, 5, 9, 9, 9], [9, 9, 9, 9, 9, 9]])
    assert Stretches(train, line_end=9).largest(lines).tolist() == [0.5, 1, 0]


def test_a_block_is_copied_from_its_own_place_alone_and_only_whole():
    train = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1], [5, 4, 3, 2, 1, 0, 5, 4]])
    part = Blocks(train, 2)
    strings = torch.tensor(
        [
            [0, 1, 2, 3, 1, 0, 5, 4],  # half of each
            [0, 1, 2, 3, 4, 5, 0, 0],  # a half and a quarter
            [1, 1, 0, 1, 2, 3, 4, 4],  # six of one, at places that no tree has
            [4, 5, 0, 1, 0, 1, 2, 3],  # two halves at each other's place
            [5, 4, 3, 2, 1, 0, 5, 4],
        ]
    )
    assert part.largest(strings).tolist() == [0.5, 0.5, 0, 0, 1]
    assert part.settings["tokens"] == [2, 4, 8]


@pytest.mark.slow
def test_a_patch_is_found_by_its_size_and_half_of_two_images_is_half_of_one(pictures):
    train, others = pictures[:40], pictures[100:110]
    part = Patches(train)
    assert part.largest(train[:10]).tolist() == [1] * 10
    halves = torch.cat([train[:10, :, :, :8], train[20:30, :, :, 8:]], dim=3)
    found = part.largest(halves)
    assert found.median() == found.min() == 0.5
    assert found.max() < 1  # of two that are alike, a little more than half
    put_in = others.clone()
    put_in[:, :, 4:, 4:] = train[:10, :, 4:, 4:]
    assert (part.largest(put_in) >= 0.75).double().mean() > 0.8
    assert part.largest(others).tolist() == [0] * 10


@pytest.mark.slow
def test_near_duplicates_hide_no_patch_and_the_smallest_images_have_parts(pictures):
    train = torch.cat([pictures[:40], pictures[:40] + 0.003])
    assert Patches(train).largest(pictures[:5]).tolist() == [1] * 5
    tiny = torch.rand(6, 1, 3, 3, generator=generator())
    assert Patches(tiny).largest(tiny).tolist() == [1] * 6


# --- oracles ----------------------------------------------------------------------------------------------------------


def test_texts_of_the_memorizer_are_copied_at_every_size_and_those_of_the_exact_denoiser_by_chance():
    train, heldout = markov_text.texts(8, 1), markov_text.texts(400, 2)
    probe = PartCopies(Stretches(train), heldout, sizes=(0.75, 1))
    check(probe, markov_text.drawn(markov_text.memorizer(train)), markov_text.drawn(markov_text.MarkovDenoiser()))


def test_strings_of_the_memorizer_are_copied_at_every_level_and_those_of_the_exact_denoiser_by_chance():
    diffusion = MaskedDiffusion(6)
    drawn = [
        sample_in_any_order(diffusion, denoiser, 256, (8,), generator(3))
        for denoiser in (EmpiricalDenoiser(diffusion, STRINGS.train), BeliefDenoiser(GRAMMAR, diffusion))
    ]
    check(PartCopies(Blocks(STRINGS.train, 2), STRINGS.heldout, sizes=(0.5, 1)), *drawn)


@pytest.mark.slow
def test_images_of_the_memorizer_are_copied_at_every_size_and_new_images_by_chance(pictures):
    train, diffusion = pictures[:30], GaussianDiffusion()
    drawn = sample(diffusion, EmpiricalDenoiser(diffusion, train), 20, (1, 16, 16), generator(), steps=20)
    check(PartCopies(Patches(train), pictures[100:140]), drawn, pictures[200:230])


def check(probe, memorized, exact):
    flagged, cleared = estimates(probe.measure(memorized)), estimates(probe.measure(exact))
    for size in probe.sizes:
        chance = flagged[f"part_copies_chance[{size:g}]"]
        assert flagged[f"part_copies[{size:g}]"].value == 1
        assert cleared[f"part_copies_chance[{size:g}]"] == chance
        assert chance.high < 0.9
        found = cleared[f"part_copies[{size:g}]"]
        assert found.low <= chance.high
        assert chance.low <= found.high


# --- the probe --------------------------------------------------------------------------------------------------------


def test_a_copied_part_counts_for_all_smaller_sizes():
    train = symbols(4, 16, vocabulary=50)
    texts = symbols(4, 16, vocabulary=50, seed=1) + 50
    for row, size in enumerate((16, 12, 8, 3)):
        texts[row, :size] = train[row, :size]
    probe = PartCopies(Stretches(train), symbols(9, 16, vocabulary=50, seed=2) + 100)
    found = estimates(probe.measure(texts))
    assert [found[f"part_copies[{x}]"].value for x in ("0.25", "0.5", "0.75", "1")] == [0.75, 0.75, 0.5, 0.25]
    assert all(found[f"part_copies_chance[{x}]"].value == 0 for x in ("0.25", "1"))
    assert probe.settings["n_items"] == {"train": 4, "heldout": 9}


def test_bad_input_is_refused_in_one_line(pictures):
    part = Stretches(symbols(4, 16))
    with pytest.raises(ConfigError, match="held-out items; got none"):
        PartCopies(part, symbols(0, 16))
    with pytest.raises(ConfigError, match=r"at most 1; got sizes \[0, 2\]"):
        PartCopies(part, symbols(3, 16), sizes=(0, 2))
    with pytest.raises(DataError, match="texts"):
        PartCopies(part, symbols(3, 15))
    with pytest.raises(ConfigError, match="got none"):
        Stretches(symbols(0, 16))
    with pytest.raises(DataError, match=r"have 2\^L tokens; got 12"):
        Blocks(symbols(4, 12), 2)
    with pytest.raises(ConfigError, match="threshold of 2"):
        Patches(pictures[:4], threshold=2)
    assert np.isfinite(PartCopies(part, symbols(3, 16)).chance[0].value)
