"""The built-in images: what PROVENANCE.md says about them is true."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import taumem.data.fashion_mnist as fashion_mnist
from taumem.data import load_fashion_mnist
from taumem.data.fashion_mnist import build
from taumem.data.readers.idx import read_idx
from taumem.errors import DataError

FOLDER = Path(fashion_mnist.__file__).parent
needs_debian_package = pytest.mark.skipif(
    not build.DEBIAN_FOLDER.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)


def stated(what: str) -> str:
    """The value that the table in PROVENANCE.md gives."""
    found = re.search(rf"^\| {what} \| `?([0-9a-f,]+)", (FOLDER / "PROVENANCE.md").read_text(), re.MULTILINE)
    assert found
    return found[1]


def as_bytes(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).round().to(torch.uint8).numpy()


def test_the_file_and_its_pixels_are_those_that_provenance_states():
    content = fashion_mnist.IMAGES_FILE.read_bytes()
    assert hashlib.sha256(content).hexdigest() == stated("SHA-256 of `images.png`")
    assert len(content) == int(stated("size").replace(",", ""))
    pixels = as_bytes(load_fashion_mnist()).tobytes()
    assert hashlib.sha256(pixels).hexdigest() == stated("SHA-256 of the pixels")


def test_the_packaged_data_are_at_most_3_megabytes_and_carry_their_license():
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) <= 3_000_000
    license_text = (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert license_text.startswith("The MIT License")
    assert "Zalando SE" in license_text


def test_there_are_7000_different_gray_images_from_black_to_white():
    images = load_fashion_mnist()
    assert images.shape == (7000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert len({row.tobytes() for row in images.numpy()}) == 7000


@needs_debian_package
def test_building_again_gives_the_same_pixels_and_every_time_the_same_bytes(tmp_path, monkeypatch):
    content = build.contact_sheet()
    assert build.contact_sheet() == content
    expected = load_fashion_mnist()
    rebuilt = tmp_path / "images.png"
    rebuilt.write_bytes(content)
    monkeypatch.setattr(fashion_mnist, "IMAGES_FILE", rebuilt)
    assert torch.equal(load_fashion_mnist(), expected)


@needs_debian_package
def test_every_image_is_in_the_official_training_set_with_the_class_that_its_place_says():
    images = read_idx(build.DEBIAN_FOLDER / "train-images-idx3-ubyte.gz")
    labels = read_idx(build.DEBIAN_FOLDER / "train-labels-idx1-ubyte.gz")
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    found = [label_of[image.tobytes()] for image in as_bytes(load_fashion_mnist())]
    assert found == [k % 10 for k in range(7000)]


@pytest.mark.parametrize("content", [None, b"", b"not a png"])
def test_a_damaged_installation_is_a_clear_error(content, tmp_path, monkeypatch):
    damaged = tmp_path / "images.png"
    if content is not None:
        damaged.write_bytes(content)
    monkeypatch.setattr(fashion_mnist, "IMAGES_FILE", damaged)
    with pytest.raises(DataError, match="install taumem again"):
        load_fashion_mnist()
