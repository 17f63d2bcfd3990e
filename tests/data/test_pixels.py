"""Changing values, colors and sizes of images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from taumem.data import center_crop, load_fashion_mnist, resize, to_grayscale
from taumem.data.pixels import from_bytes
from taumem.errors import ConfigError, DataError


def random_images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_bytes_map_to_minus_one_to_one_and_back():
    every_byte = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    images = from_bytes(every_byte)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert np.array_equal(((images + 1) * 127.5).round().numpy().astype(np.uint8), every_byte)


def test_shrinking_by_a_whole_factor_is_the_mean_of_boxes():
    images = random_images(3, 2, 12, 8)
    expected = images.double().reshape(3, 2, 4, 3, 4, 2).mean(dim=(3, 5)).float()
    assert torch.equal(resize(images, (4, 4)), expected)


def test_fashion_mnist_pads_to_32_with_black_and_averages_to_16():
    images = load_fashion_mnist()[:50]
    padded = torch.full((50, 1, 32, 32), -1.0)
    padded[:, :, 2:30, 2:30] = images
    expected = padded.double().unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5)).float()
    small = resize(images, 16, pad_to=32)
    assert small.shape == (50, 1, 16, 16)
    torch.testing.assert_close(small, expected, rtol=0, atol=1e-7)
    assert torch.equal(resize(images, 32, pad_to=32), padded)


def test_uneven_padding_adds_the_odd_pixel_at_the_bottom_and_the_right():
    padded = resize(torch.ones(1, 1, 2, 3), (5, 6), pad_to=(5, 6))
    expected = torch.full((1, 1, 5, 6), -1.0)
    expected[:, :, 1:3, 1:4] = 1
    assert torch.equal(padded, expected)


def test_shrinking_by_a_fraction_agrees_with_pillows_antialiased_bilinear_filter():
    images = random_images(1, 1, 50, 37)
    pillow = Image.fromarray(images[0, 0].numpy()).resize((16, 21), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize(images, (21, 16))[0, 0], np.asarray(pillow), atol=1e-5)


@given(height=st.integers(1, 20), width=st.integers(1, 20), new=st.tuples(st.integers(1, 24), st.integers(1, 24)))
def test_values_stay_between_the_smallest_and_largest_and_constants_stay_constant(height, width, new):
    images = random_images(2, 1, height, width).sign()
    resized = resize(images, new)
    assert resized.shape == (2, 1, *new)
    assert resized.min() >= -1
    assert resized.max() <= 1
    assert torch.equal(resize(torch.full((1, 1, height, width), 0.3), new), torch.full((1, 1, *new), 0.3))


def test_a_large_set_resized_in_chunks_equals_its_images_resized_one_by_one():
    images = random_images(1030, 1, 4, 4)
    resized = resize(images, 2)
    assert all(torch.equal(resized[i : i + 1], resize(images[i : i + 1], 2)) for i in (0, 1023, 1024, 1029))


def test_the_same_size_changes_nothing():
    images = random_images(2, 3, 7, 7)
    assert torch.equal(resize(images, 7), images)


def test_one_number_never_distorts_images_that_are_not_square():
    with pytest.raises(DataError, match=r"218x178 pixels would be distorted to 64x64; crop them"):
        resize(torch.zeros(1, 1, 218, 178), 64)
    assert resize(torch.zeros(1, 1, 218, 178), (64, 64)).shape == (1, 1, 64, 64)
    assert resize(torch.zeros(1, 1, 30, 20), 8, pad_to=32).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("size", [0, -3, (4, 0)])
def test_a_size_below_one_pixel_is_refused(size):
    with pytest.raises(ConfigError, match="at least 1 pixel"):
        resize(torch.zeros(1, 1, 4, 4), size)


def test_padding_to_less_than_there_is_is_refused():
    with pytest.raises(ConfigError, match="smaller than the images, 28x28"):
        resize(torch.zeros(1, 1, 28, 28), 16, pad_to=27)


def test_the_central_square_is_cut_out():
    columns = torch.arange(7.0).expand(1, 1, 4, 7)
    assert torch.equal(center_crop(columns)[0, 0, 0], torch.tensor([1.0, 2, 3, 4]))
    assert torch.equal(center_crop(columns.transpose(2, 3))[0, 0, :, 0], torch.tensor([1.0, 2, 3, 4]))


def test_gray_is_pillows_luma_up_to_its_rounding():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    gray = to_grayscale(from_bytes(pixels.transpose(2, 0, 1)[None]))
    pillow = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)
    np.testing.assert_allclose((gray[0, 0] + 1) * 127.5, pillow, atol=0.51)


def test_gray_images_stay_as_they_are_to_the_last_bit():
    images = random_images(3, 1, 5, 5)
    assert torch.equal(to_grayscale(images), images)
    assert torch.equal(to_grayscale(images.expand(3, 3, 5, 5)), images)


def test_other_channels_than_1_or_3_cannot_become_gray():
    with pytest.raises(DataError, match="these have 4"):
        to_grayscale(torch.zeros(1, 4, 2, 2))
