"""Views: each finds the change that it is named after, and the pixels that it compares are those that both have."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from taumem.neighbors.views import View, coarse, orbit, standardized

BILINEAR = Image.Resampling.BILINEAR
CROPPED = ((32, 32), BILINEAR, (3.2, 3.2, 28.8, 28.8))


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Smooth random pictures without symmetry, [6, 3, 32, 32]."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(6, 3, 8, 8, generator=generator) * 2 - 1
    return functional.interpolate(rough, (32, 32), mode="bicubic").clamp(-1, 1)


def by_pillow(pictures, change):
    bytes_of = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    changed = np.stack([np.asarray(change(Image.fromarray(picture))) for picture in bytes_of])
    return torch.from_numpy(changed).permute(0, 3, 1, 2).float() / 127.5 - 1


def distance(view, sample, picture):
    rows, inside = view.of(sample)
    train = coarse(picture) if view.is_coarse else picture
    known = train[:, :, inside].flatten(1)
    return (rows - (standardized(known) if view.relit else known)).square().mean(dim=1)


def closest(sample, picture):
    """The names of the views that bring each sample closest to its picture."""
    views = orbit("full")
    each = torch.stack([distance(view, sample, picture) for view in views])
    return [views[k].name for k in each.argmin(dim=0)]


def test_an_orbit_begins_with_the_plain_view_and_contains_the_smaller_ones():
    none, light, full = (orbit(kind) for kind in ("none", "light", "full"))
    assert [len(none), len(light), len(full)] == [1, 4, 116]
    assert none[0].is_plain
    assert full[: len(light)] == light
    assert light[: len(none)] == none
    assert len({view.name for view in full}) == len(full)


def test_mirroring_and_relighting_are_undone_exactly(pictures):
    mirrored = pictures.flip(3)
    assert distance(View("m", mirrored=True), mirrored, pictures).max() == 0
    relit = 0.7 * (mirrored + 1) - 1
    assert distance(View("m", mirrored=True, relit=True), relit, pictures).max() < 1e-9


def test_a_shift_by_whole_pixels_is_undone_exactly_on_the_pixels_that_both_have(pictures):
    shifted = torch.roll(pictures, (2, -1), dims=(2, 3))  # down by 2, left by 1
    rows, inside = View("s", offset=(1 / 16, -2 / 16)).of(shifted)
    assert inside.sum() == 30 * 31
    torch.testing.assert_close(rows, pictures[:, :, inside].flatten(1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored"),
        (lambda image: image.rotate(6, Image.Resampling.BILINEAR), "turned left by 6 degrees"),
        (lambda image: image.rotate(-3, Image.Resampling.BILINEAR), "turned right by 3 degrees"),
        (lambda image: image.transform((32, 32), Image.Transform.AFFINE, (1, 0, 2, 0, 1, 0)), "shifted left 6 %"),
        (lambda image: image.transform((32, 32), Image.Transform.AFFINE, (1, 0, 0, 0, 1, -1)), "shifted down 3 %"),
        (
            lambda image: image.transform((32, 32), Image.Transform.AFFINE, (0.8, 0, 3.2, 0, 0.8, 3.2), 2),
            "cropped to 80 %, middle",
        ),
        (
            lambda image: image.transform((32, 32), Image.Transform.AFFINE, (0.7, 0, 0, 0, 0.7, 9.6), 2),
            "cropped to 70 %, left, bottom",
        ),
    ],
)
def test_what_pillow_does_is_called_by_its_name(pictures, change, name):
    assert closest(by_pillow(pictures, change), pictures) == [name] * len(pictures)


def test_turning_an_oblong_picture_turns_it_by_pixels():
    generator = torch.Generator().manual_seed(1)
    oblong = functional.interpolate(torch.rand(2, 1, 5, 9, generator=generator) * 2 - 1, (24, 48), mode="bicubic")
    turned, inside = View("t", rotation=90.0).of(oblong)
    rows = torch.rot90(oblong, k=1, dims=(2, 3))[:, 0]  # [2, 48, 24]: what of it lies within 24 rows are its middle 24
    middle = rows[:, 12:36]
    found = torch.zeros(2, 24, 48)
    found[:, inside] = turned
    assert min(float((found[:, :, 12:36] - m).abs().max()) for m in (middle, middle.flip((1, 2)))) < 1e-4


def test_averaging_halves_pictures_and_leaves_small_ones():
    assert coarse(torch.zeros(1, 1, 28, 32)).shape == (1, 1, 14, 16)
    assert coarse(torch.zeros(1, 3, 100, 64)).shape == (1, 3, 14, 16)
    small = torch.linspace(-1, 1, 256).reshape(1, 1, 16, 16)
    assert torch.equal(coarse(small), small)


def test_flat_pictures_are_not_scaled_up():
    flat = torch.full((1, 4), 0.3) + torch.tensor([1e-4, -1e-4, 1e-4, -1e-4])
    assert math.isclose(float(standardized(flat).abs().max()), 1e-4 / 0.05, rel_tol=1e-3)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mirrored", lambda pictures: pictures.flip(3)),
        ("mirrored, relit", lambda pictures: 0.5 * pictures.flip(3) + 0.2),
        ("shifted left 6 %, up 3 %", lambda pictures: pictures.roll((-2, -1), (3, 2))),
        ("turned left by 6 degrees", lambda pictures: by_pillow(pictures, lambda image: image.rotate(6, BILINEAR))),
        ("cropped to 80 %, middle", lambda pictures: by_pillow(pictures, lambda image: image.resize(*CROPPED))),
    ],
)
def test_a_sample_is_laid_on_its_picture_by_the_view_that_finds_it(pictures, name, change):
    (view,) = (view for view in orbit("full") if view.name == name)
    sample = change(pictures)
    seen = view.onto(sample, pictures)
    known = ~seen.isnan()
    assert known.float().mean() > 0.5
    apart, before = ((part - pictures)[known].square().mean() for part in (seen, sample))
    assert apart < before / 10
    assert apart < 0.01
