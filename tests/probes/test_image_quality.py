"""Quality of images: good samples are like held-out images, bad ones are not, copies like the training set."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from taumem.data import load_fashion_mnist, resize
from taumem.errors import ConfigError, DataError
from taumem.models.random_features import random_features
from taumem.probes import ImageQuality


@pytest.fixture(scope="module")
def images():
    shuffled = load_fashion_mnist()[torch.randperm(7000, generator=torch.Generator().manual_seed(3))[:640]]
    return resize(shuffled, 16, pad_to=32)


@pytest.fixture(scope="module")
def probe(images):
    return ImageQuality(images[:128], images[128:384])


def said(probe, samples):
    return {e.quantity: e for e in probe.measure(samples).estimates}


@pytest.fixture(scope="module")
def fresh(images):
    return images[384:512]


def test_new_images_of_the_data_are_as_good_as_held_out_ones(probe, fresh):
    found = said(probe, fresh)
    for name in ("heldout_frechet", "train_frechet"):
        chance = found[f"{name}_chance"]
        assert abs(found[name].value - chance.value) < 3 * np.hypot(found[name].se, chance.se)
    for name in ("heldout_precision", "heldout_recall", "train_precision", "train_recall"):
        assert found[name].low < found[f"{name}_chance"].high
        assert found[name].high > found[f"{name}_chance"].low


@pytest.mark.parametrize("way", ["blurred", "noisy", "two in one"])
def test_bad_images_are_farther_than_held_out_ones_are(probe, fresh, way):
    bad = {
        "blurred": functional.avg_pool2d(fresh, 3, 1, 1),
        "noisy": fresh + 0.3 * torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0)),
        "two in one": (fresh + fresh.roll(1, 0)) / 2,
    }[way]
    found = said(probe, bad)
    assert found["heldout_frechet"].value - 3 * found["heldout_frechet"].se > found["heldout_frechet_chance"].value
    assert found["heldout_recall"].high < found["heldout_recall_chance"].low


def test_a_few_images_over_and_over_are_precise_and_cover_little(probe, fresh):
    found = said(probe, fresh[:8].repeat(16, 1, 1, 1))
    assert found["heldout_precision"].high > found["heldout_precision_chance"].low
    assert found["heldout_recall"].high < found["heldout_recall_chance"].low


def test_copies_of_the_training_set_are_at_distance_0_from_it_and_all_among_it(images, probe):
    found = said(probe, images[:128])
    assert found["train_frechet"].value == pytest.approx(0, abs=1e-9)
    assert found["train_frechet_chance"].value > 1
    assert found["train_precision"].value == found["train_recall"].value == 1
    # From held-out images they are what other real images are: what copying does to the one, it does not to the other.
    chance = found["heldout_frechet_chance"]
    assert abs(found["heldout_frechet"].value - chance.value) < 3 * np.hypot(found["heldout_frechet"].se, chance.se)


def test_it_says_the_same_at_every_look_and_touches_no_global_state(images, probe, fresh):
    again = ImageQuality(images[:128], images[128:384])
    before = torch.get_rng_state()
    assert said(probe, fresh) == said(again, fresh)
    assert torch.equal(before, torch.get_rng_state())


def test_counts_and_settings_are_what_was_compared(probe, fresh):
    found = said(probe, fresh[:50])
    assert {e.count for e in found.values()} == {50}
    assert len(found["heldout_frechet"].items) == 50
    assert found["heldout_frechet_chance"].items is None
    assert probe.settings["n_items"] == {"heldout": 128, "train": 128}
    assert probe.settings["components"] == 16  # 8 held-out images for each


def test_more_samples_than_chance_is_known_for_are_left_out(images):
    found = said(ImageQuality(images[:30], images[30:50]), images[50:100])
    assert found["heldout_frechet"].count == found["heldout_frechet_chance"].count == 10


def test_flat_images_and_the_smallest_sets_are_no_trouble(images):
    found = said(ImageQuality(images[:2], torch.zeros(4, 1, 16, 16)), torch.zeros(5, 1, 16, 16))
    assert all(e.is_finite for e in found.values())


@pytest.mark.parametrize(
    ("train", "heldout", "error", "words"),
    [
        ((1, 1, 8, 8), (8, 1, 8, 8), ConfigError, "2 distinct training images and 4 held-out ones.*got 1 and 8"),
        ((4, 1, 8, 8), (3, 1, 8, 8), ConfigError, "got 4 and 3"),
        ((4, 16), (8, 16), ConfigError, r"random convolutions look at images.*\(4, 16\)"),
        ((4, 1, 8, 8), (8, 3, 8, 8), DataError, "held-out items"),
    ],
)
def test_bad_input_is_refused_in_one_line(train, heldout, error, words):
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(error, match=words):
        ImageQuality(torch.rand(train, generator=generator), torch.rand(heldout, generator=generator))


class TestRandomFeatures:
    def test_gray_images_are_colored_ones_that_are_gray(self, images):
        gray = images[:4]
        assert torch.equal(random_features(gray), random_features(gray.expand(-1, 3, -1, -1)))

    @pytest.mark.parametrize("shape", [(2, 3, 2, 2), (2, 1, 5, 9), (2, 3, 64, 64)])
    def test_they_are_finite_and_of_one_length_at_any_size(self, shape):
        features = random_features(torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1)
        assert features.shape == (2, 384)
        assert torch.isfinite(features).all()

    def test_what_an_image_has_does_not_depend_on_the_others(self, images):
        alone = torch.cat([random_features(image[None]) for image in images[:5]])
        assert torch.allclose(random_features(images[:5]), alone, atol=1e-6)
