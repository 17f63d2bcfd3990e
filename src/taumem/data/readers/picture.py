"""One picture file, as bytes of red, green and blue; and what has to be known of it before it is decoded."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from taumem.data.readers.opening import reason_of, shown
from taumem.errors import DataError, option

__all__ = ["MAX_MEGAPIXELS", "Picture", "is_picture", "looks_like_a_picture", "read_picture"]

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "PCX", "QOI", "JPEG2000", "AVIF")
"""What is read, by pillow's names. What else it knows needs other programs (EPS), or is no picture to it (HDF5)."""
UNKNOWN_TO_PILLOW = (".heic", ".heif", ".jxl", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".exr")
"""Endings that somebody may expect to be read."""
MAX_MEGAPIXELS = 50
"""Of one picture. With it, reading takes less than 1 GB, whatever a file's header claims."""

WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
ROWS_AT_ONCE = 256
ORIENTATION, UPRIGHT = 0x0112, 1


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        pixels: [3, height, width].
        several_frames: whether this is the first of an animation, or of several pages.
        damaged_exif: whether its EXIF data cannot be read, so that it may not be upright.
    """

    pixels: NDArray[np.uint8]
    several_frames: bool
    damaged_exif: bool


def is_picture(name: str) -> bool:
    """Whether a file of this name is read as a picture."""
    return Image.registered_extensions().get(Path(name).suffix.lower()) in FORMATS


def looks_like_a_picture(name: str) -> bool:
    """Whether somebody may take a file of this name for a picture."""
    ending = Path(name).suffix.lower()
    return ending in Image.registered_extensions() or ending in UNKNOWN_TO_PILLOW


def read_picture(path: Path, content: bytes | None = None) -> Picture:
    """Read a picture: upright, transparent parts black, its first frame.

    Args:
        path: the file.
        content: its bytes, where they are in memory and the path is no more than a name.

    Raises:
        DataError: it cannot be read, is too large, or has more than 8 bits a channel.
    """
    try:
        if not (path.stat().st_size if content is None else content):
            raise DataError(f"{shown(path)}: not a readable image: the file is empty")
        Image.init()
        known = [name for name in FORMATS if name in Image.OPEN]
        with (
            _pixels_are_counted_here(),
            path.open("rb") if content is None else io.BytesIO(content) as file,
            Image.open(file, formats=known) as image,
        ):
            _check_size(path, image)
            _check_depth(path, image, file)
            image.load()
            pixels = _in_bytes(image)
            orientation = _orientation(image)
            return Picture(_upright(pixels, orientation), _has_several_frames(image), orientation is None)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{shown(path)}: not a readable image: its content is of no kind that is read here") from None
    # Pillow's decoders raise whatever their parsers raise: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise DataError(f"{shown(path)}: not a readable image ({reason_of(error)})") from error


@contextmanager
def _pixels_are_counted_here() -> Iterator[None]:
    """Spare pillow its own limit, whose message does not say the size."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise DataError(
            f"{shown(path)}: too large: {width} x {height} pixels; at most {MAX_MEGAPIXELS} megapixels are read, so "
            "make it smaller"
        )


def _check_depth(path: Path, image: ImageFile.ImageFile, file: BinaryIO) -> None:
    at = file.tell()  # where pillow left it, and expects it
    bits = _bits_a_channel(image, file)
    file.seek(at)
    if bits > 8 or image.mode.startswith(("I", "F")):
        # Pillow clips these at 255, or drops their low bits, without a word.
        found = f"{bits} bits" if bits > 8 else f"pillow's mode {image.mode}"
        raise DataError(
            f"{shown(path)}: has more than 8 bits a channel ({found}); convert it to 8 bits, or give .npy data with "
            f"{option('value_range')}"
        )


def _bits_a_channel(image: ImageFile.ImageFile, file: BinaryIO) -> int:
    """How many bits a channel has in the file, where pillow may make 8 of them; 8 where it cannot."""
    file.seek(0)
    match image.format:
        case "PNG":
            return file.read(25)[24]
        case "TIFF":
            return int(max(np.ravel(image.tag_v2.get(258, 1))))  # type: ignore[attr-defined]
        case "PPM":
            match image.tile[0][3]:
                case (str(), int(highest)):
                    return highest.bit_length()
        case "JPEG2000":  # the marker SIZ: its own length and that of 9 numbers, the number of channels, a byte of each
            content = file.read()  # all: descriptions of any length may stand before it
            at = content.find(b"\xff\x4f\xff\x51")
            return max((content[k] & 0x7F) + 1 for k in range(at + 42, at + 42 + 3 * content[at + 41], 3))
        case "AVIF":  # the third byte of the decoder's configuration: 10 bits or 12
            content = file.read()
            return 8 if (at := content.find(b"av1C")) < 0 or not content[at + 6] & 0x40 else 10
    return 8


def _in_bytes(image: Image.Image) -> NDArray[np.uint8]:
    """The colors of a loaded picture, [3, height, width]; strip by strip, since a conversion is a copy or more."""
    width, height = image.size
    pixels = np.empty((3, height, width), np.uint8)
    for top in range(0, height, ROWS_AT_ONCE):
        strip = image.crop((0, top, width, min(top + ROWS_AT_ONCE, height)))
        if image.mode in WITH_ALPHA or "transparency" in image.info:
            strip = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "black"), strip)
        pixels[:, top : top + ROWS_AT_ONCE] = np.asarray(strip.convert("RGB")).transpose(2, 0, 1)
    return pixels


def _orientation(image: Image.Image) -> object:
    """What the EXIF data say; None if they are damaged before they say it."""
    try:
        with warnings.catch_warnings(record=True) as of_damage:
            warnings.simplefilter("always")
            return image.getexif().get(ORIENTATION, None if of_damage else UPRIGHT)
    except Exception:  # as the decoders, so this parser
        return None


def _upright(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    pixels = pixels.swapaxes(1, 2) if orientation in (5, 6, 7, 8) else pixels
    pixels = pixels[:, ::-1] if orientation in (3, 4, 7, 8) else pixels
    return pixels[:, :, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _has_several_frames(image: Image.Image) -> bool:
    """Whether another one follows; in a phone's JPEG (MPO) that is no picture to look at, but its depth or its gain."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # what is wrong with those that are not taken does not matter
        return False
