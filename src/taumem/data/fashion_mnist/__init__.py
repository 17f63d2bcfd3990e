"""The built-in images: 7,000 of Fashion-MNIST, 700 of each class. See PROVENANCE.md and LICENSE here."""

from pathlib import Path

import numpy as np
from PIL import Image

from taumem.data.pixels import Images, from_bytes
from taumem.errors import DataError

__all__ = ["IMAGES_FILE", "N_CLASSES", "N_COLUMNS", "N_PER_CLASS", "SIDE", "load_fashion_mnist"]

IMAGES_FILE = Path(__file__).parent / "images.png"
"""A contact sheet, 100 images in a row, class after class: it can be looked at, and compresses best."""

SIDE = 28
N_COLUMNS = 100
N_CLASSES = 10
N_PER_CLASS = 700


def load_fashion_mnist() -> Images:
    """Load the built-in images: articles of clothing, gray, 28x28, all different.

    Classes take turns, so that image k is of class k mod 10 (0 T-shirt, 1 trouser, 2 pullover, 3 dress, 4
    coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot) and the first images are as mixed as all of them.

    Returns:
        [7000, 1, 28, 28] in [-1, 1]; -1 is the background.

    Raises:
        DataError: the packaged file is missing or damaged.

    Reference: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", 2017, arXiv 1708.07747.
    """
    n_rows = N_CLASSES * N_PER_CLASS // N_COLUMNS
    try:
        with Image.open(IMAGES_FILE) as sheet:
            pixels = np.asarray(sheet).reshape(n_rows, SIDE, N_COLUMNS, SIDE)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{IMAGES_FILE}: the built-in images are missing or damaged ({error}); install taumem again."
        ) from error
    by_class = pixels.transpose(0, 2, 1, 3).reshape(N_CLASSES, N_PER_CLASS, SIDE, SIDE)
    return from_bytes(by_class.swapaxes(0, 1).reshape(-1, 1, SIDE, SIDE))
