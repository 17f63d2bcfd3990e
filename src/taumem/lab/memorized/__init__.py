"""Samples of a model that was trained too long: what an audit can be tried on without training anything."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from taumem.data import Images, Split
from taumem.data.pixels import from_bytes
from taumem.errors import DataError
from taumem.lab.domains.images import FashionMnistConfig

__all__ = ["N_COLUMNS", "N_SAMPLES", "N_TRAIN", "SAMPLES_FILE", "SIDE", "Memorized", "load_memorized"]

SAMPLES_FILE = Path(__file__).parent / "samples.png"
"""A contact sheet, 32 samples in a row."""
SIDE, N_SAMPLES, N_COLUMNS = 16, 512, 32
N_TRAIN, N_HELDOUT, SEED = 128, 512, 0


class Memorized(NamedTuple):
    """Samples of a model, and its data."""

    samples: Images
    split: Split


def load_memorized() -> Memorized:
    """Load 512 samples of the demo's model of P = 128 (half a, seed 0), four times longer trained than it should be.

    At step 7,255 about an eighth of its samples are copies of training images: see ``build.py``.

    Returns:
        samples [512, 1, 16, 16] in [-1, 1], in shades of 255, and the split that it was trained on.

    Raises:
        DataError: the packaged file is missing or damaged.
    """
    n_rows = N_SAMPLES // N_COLUMNS
    try:
        with Image.open(SAMPLES_FILE) as sheet:
            pixels = np.asarray(sheet).reshape(n_rows, SIDE, N_COLUMNS, SIDE)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{SAMPLES_FILE}: the built-in samples are missing or damaged ({error}); install taumem again."
        ) from error
    domain = FashionMnistConfig(size=SIDE, pad_to=2 * SIDE, n_heldout=N_HELDOUT).open()
    split = domain.split(2 * N_TRAIN, SEED).halves()[0].first(N_TRAIN)
    return Memorized(from_bytes(pixels.transpose(0, 2, 1, 3).reshape(N_SAMPLES, 1, SIDE, SIDE)), split)
