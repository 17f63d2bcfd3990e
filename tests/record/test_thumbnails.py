"""Small images are kept exactly, large ones lightly; and where two differ can be seen."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from taumem.record.thumbnails import LARGEST, difference, thumbnail


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@given(st.integers(1, 32), st.integers(1, 40), st.sampled_from([None, 1, 3]), st.integers(0, 2**32 - 1))
def test_small_images_are_exact(height, width, channels, seed):
    shape = (height, width) if channels is None else (channels, height, width)
    shades = np.random.default_rng(seed).integers(0, 256, shape)
    read = pixels(thumbnail(shades / 127.5 - 1))
    assert np.array_equal(read, np.moveaxis(shades, 0, 2) if channels == 3 else shades.reshape(height, width))


@pytest.mark.parametrize("shape", [(3, 500, 300), (1, 64, 900)])
def test_large_images_are_reduced_and_light(shape):
    uri = thumbnail(np.random.default_rng(0).uniform(-1, 1, shape))
    assert max(pixels(uri).shape[:2]) == LARGEST
    assert uri.startswith("data:image/webp;")
    assert len(uri) < 30_000


def test_what_is_beyond_the_range_or_no_number_is_no_matter():
    read = pixels(thumbnail(np.array([[-9.0, 9.0, np.nan, np.inf]])))
    assert read.tolist() == [[0, 255, 128, 255]]


def test_a_difference_is_black_where_images_agree_and_grows_with_it():
    sample = np.array([[0.0, 0.0, 0.0, 1.0]])
    near = np.array([[0.0, -8 / 127.5, 8 / 127.5, -1.0]])
    zero, little, same_little, most = pixels(difference(sample, near))[0].tolist()
    assert (zero, most) == (0, 255)
    assert little == same_little == round(255 * np.sqrt(4 / 127.5))
