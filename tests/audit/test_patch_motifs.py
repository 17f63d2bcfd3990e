"""Over-used motifs of images: planted ones are found once, and none where there is none."""

import pytest
import torch

from taumem.audit.patch_motifs import overused_patches
from taumem.data import load_fashion_mnist
from taumem.errors import ConfigError, DataError


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pictures():
    return load_fashion_mnist()[:600]


def test_a_logo_is_found_once_with_its_place_and_its_counts(pictures):
    samples, heldout = pictures[:200].clone(), pictures[200:450]
    logo = normal(1, 10, 10).clamp(-1, 1)
    samples[::8, :, 2:12, 14:24] = logo
    found = overused_patches(samples, heldout)
    assert len(found) == 1
    motif = found[0]
    assert abs(motif.row - 2) <= 5
    assert abs(motif.column - 14) <= 5
    assert 20 <= motif.n_samples <= 25
    assert (motif.n_heldout, motif.of_samples, motif.of_heldout) == (0, 200, 250)
    assert motif.sample % 8 == 0
    assert motif.p <= motif.q < 0.05


def test_one_image_drawn_again_and_again_is_one_motif_as_large_as_can_be(pictures):
    samples = torch.cat([pictures[:100], pictures[:1].expand(30, -1, -1, -1) + 0.05 * normal(30, 1, 28, 28)])
    found = overused_patches(samples, pictures[200:400])
    assert [(motif.side, motif.n_heldout) for motif in found] == [(20, 0)]
    assert 30 <= found[0].n_samples <= 31


def test_images_of_one_source_have_no_motifs_among_them(pictures):
    n_found = 0
    for seed in range(10):
        order = torch.randperm(600, generator=torch.Generator().manual_seed(seed))
        n_found += bool(overused_patches(pictures[order[:100]], pictures[order[100:250]]))
    assert n_found <= 1


@pytest.mark.slow
def test_a_background_that_all_images_have_is_no_motif():
    samples, heldout = normal(60, 1, 16, 16), normal(60, 1, 16, 16, seed=1)
    for images in (samples, heldout):
        images[:, :, :6, :6] = -1
    assert overused_patches(samples, heldout) == ()
    heldout[:, :, :6, :6] = normal(60, 1, 6, 6, seed=2)
    assert [motif.n_samples for motif in overused_patches(samples, heldout)] == [60]


def test_what_motifs_cannot_be_counted_in_is_refused(pictures):
    with pytest.raises(ConfigError, match="between 0 and 1; got 2"):
        overused_patches(pictures[:5], pictures[5:9], q=2)
    with pytest.raises(DataError, match="held-out images of the same shape; got 5"):
        overused_patches(pictures[:5], torch.zeros(4, 3, 28, 28))
