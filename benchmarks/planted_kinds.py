"""Ways in which a copy differs from its source: what a planted image or text is made by.

An image is planted as it is, with noise, mirrored, shifted, darkened, cropped, turned, resized or compressed; a text as
it is, with symbols changed, from another place of its document, cut short, or with its words in another order. All
images are rounded to 256 shades afterwards, as if they had been saved. Nothing here is shared with the audit: images
are turned, resized and compressed by pillow, so that an audit that undoes such changes undoes another's.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from taumem.data.pixels import from_bytes

__all__ = ["FIRST_KINDS", "IMAGE_KINDS", "NEAR_KINDS", "TEXT_KINDS", "Place", "changed_images", "misspelled", "shifted"]

SHADE = 2 / 255
"""Of images in [-1, 1]."""
SHIFT = 2
"""Pixels, along either axis or both; what comes in at the edge repeats it."""
BRIGHTNESS = 0.7
CROP, SMALLER = 0.75, 0.75
"""Share of height and width that a crop shows, and to which a resized image was brought in between."""
DEGREES = 5.0
"""Turned by these to the left or the right; the corners repeat the edge."""
QUALITY = 50
"""Of JPEG."""
SHIFTED, CUT = 1 / 4, 3 / 4
"""Texts: by how much of its length a window moves on, and how much of it a cropped one keeps."""
LETTERS = "abcdefghijklmnopqrstuvwxyz "

Images = Tensor
"""[n, channels, height, width] in [-1, 1]."""
Change = Callable[[Images, torch.Generator], Images]


# --- images ---------------------------------------------------------------------------------------------------------


def _noisy(images: Images, generator: torch.Generator, shades: float) -> Images:
    return images + shades * SHADE * torch.randn(images.shape, generator=generator)


def shifted(images: Images, generator: torch.Generator, pixels: int) -> Images:
    ways = [(x, y) for x in (-pixels, 0, pixels) for y in (-pixels, 0, pixels) if (x, y) != (0, 0)]
    chosen = torch.randint(len(ways), (len(images),), generator=generator).tolist()
    return torch.stack([_rolled(image, *ways[k]) for image, k in zip(images, chosen, strict=True)])


def _rolled(image: Tensor, right: int, down: int) -> Tensor:
    height, width = image.shape[1:]
    rows = (torch.arange(height) - down).clamp(0, height - 1)
    columns = (torch.arange(width) - right).clamp(0, width - 1)
    return image[:, rows][:, :, columns]


def _scaled(images: Images, _: torch.Generator, brightness: float) -> Images:
    return brightness * (images + 1) - 1


def _through_pillow(images: Images, generator: torch.Generator, change: Callable[..., Image.Image]) -> Images:
    return torch.stack([_from_pillow(change(_to_pillow(image), generator)) for image in images])


def _cropped(picture: Image.Image, _: torch.Generator) -> Image.Image:
    width, height = picture.size
    left, top = round(width * (1 - CROP) / 2), round(height * (1 - CROP) / 2)
    inner = picture.crop((left, top, left + round(CROP * width), top + round(CROP * height)))
    return inner.resize((width, height), Image.Resampling.BILINEAR)


def _turned(picture: Image.Image, generator: torch.Generator) -> Image.Image:
    side = max(picture.size)
    degrees = DEGREES if int(torch.randint(2, (), generator=generator)) else -DEGREES
    pixels = np.asarray(picture)
    around = [(side, side), (side, side), (0, 0)][: pixels.ndim]
    turned = Image.fromarray(np.pad(pixels, around, mode="edge")).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((side, side, side + picture.width, side + picture.height))


def _resized(picture: Image.Image, _: torch.Generator) -> Image.Image:
    smaller = picture.resize((round(SMALLER * picture.width), round(SMALLER * picture.height)))
    return smaller.resize(picture.size)


def _compressed(picture: Image.Image, _: torch.Generator, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


IMAGE_KINDS: dict[str, Change] = {
    "exact": lambda images, _: images.clone(),
    "noise 8/255": partial(_noisy, shades=8),
    "noise 20/255": partial(_noisy, shades=20),
    "mirrored": lambda images, _: images.flip(3),
    "shifted": partial(shifted, pixels=SHIFT),
    "darkened": partial(_scaled, brightness=BRIGHTNESS),
    "cropped": partial(_through_pillow, change=_cropped),
    "rotated": partial(_through_pillow, change=_turned),
    "resized": partial(_through_pillow, change=_resized),
    "compressed": partial(_through_pillow, change=partial(_compressed, quality=QUALITY)),
}
FIRST_KINDS = tuple(IMAGE_KINDS)[:7]
"""Five of each were the first 35 planted copies, of which the gap ratio of pixels found 12."""

NEAR_KINDS: dict[str, Change] = {
    "noise 5/255": partial(_noisy, shades=5),
    "compressed lightly": partial(_through_pillow, change=partial(_compressed, quality=90)),
    "brightened": partial(_scaled, brightness=1.03),
}
"""What makes a near-duplicate in a training set: hardly to be told from its original by eye."""


def changed_images(images: Images, change: Change, generator: torch.Generator) -> Images:
    """Change images in a way, and round them to 256 shades."""
    return from_bytes(_shades(change(images, generator).clamp(-1, 1)))


def _shades(images: Tensor) -> NDArray[np.uint8]:
    return ((images + 1) / SHADE).round().to(torch.uint8).numpy()


def _to_pillow(image: Tensor) -> Image.Image:
    shades = _shades(image)
    return Image.fromarray(shades[0] if len(shades) == 1 else shades.transpose(1, 2, 0))


def _from_pillow(picture: Image.Image) -> Tensor:
    shades = np.asarray(picture)
    planes = shades[None] if shades.ndim == 2 else shades.transpose(2, 0, 1)
    return from_bytes(planes)


# --- texts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A window of a text."""

    text: str
    start: int
    window: int

    def read(self, moved: int = 0) -> str:
        start = self.start + moved
        return self.text[start : start + self.window]


def misspelled(place: Place, generator: torch.Generator, share: float) -> str:
    symbols = list(place.read())
    for k in torch.randperm(len(symbols), generator=generator)[: round(share * len(symbols))].tolist():
        others = [letter for letter in LETTERS if letter != symbols[k]]
        symbols[k] = others[int(torch.randint(len(others), (), generator=generator))]
    return "".join(symbols)


def _moved(place: Place, generator: torch.Generator) -> str:
    by = round(SHIFTED * place.window)
    return place.read(by if int(torch.randint(2, (), generator=generator)) else -by)


def _cut(place: Place, generator: torch.Generator) -> str:
    kept = round(CUT * place.window)
    first = int(torch.randint(place.window - kept + 1, (), generator=generator))
    return place.read()[first : first + kept]


def _swapped(place: Place, generator: torch.Generator) -> str:
    """Every two neighboring words change places."""
    words = place.read().split(" ")
    for k in range(0, len(words) - 1, 2):
        words[k], words[k + 1] = words[k + 1], words[k]
    return " ".join(words)


TextChange = Callable[[Place, torch.Generator], str]

TEXT_KINDS: dict[str, TextChange] = {
    "exact": lambda place, _: place.read(),
    "5 % changed": partial(misspelled, share=0.05),
    "15 % changed": partial(misspelled, share=0.15),
    "shifted": _moved,
    "cropped": _cut,
    "words swapped": _swapped,
}
