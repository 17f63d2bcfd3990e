"""Build images.png from Debian's package dataset-fashion-mnist. A user of taumem never needs this.

::

    apt install dataset-fashion-mnist
    python -m taumem.data.fashion_mnist.build

It takes the first 700 images of each class from the official training set, in the official order.
Running it again gives the same bytes (with the same version of pillow's PNG compression) and the same pixels
(always).
"""

import hashlib
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from taumem.data.fashion_mnist import IMAGES_FILE, N_CLASSES, N_COLUMNS, N_PER_CLASS, SIDE
from taumem.data.readers.idx import read_idx

__all__ = ["DEBIAN_FOLDER", "contact_sheet"]

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def contact_sheet(source: Path = DEBIAN_FOLDER) -> bytes:
    """The PNG file, from the folder that holds the official training set."""
    images = read_idx(source / "train-images-idx3-ubyte.gz")
    labels = read_idx(source / "train-labels-idx1-ubyte.gz")
    chosen = np.concatenate([np.flatnonzero(labels == label)[:N_PER_CLASS] for label in range(N_CLASSES)])
    rows = images[chosen].reshape(-1, N_COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3)
    sheet = Image.fromarray(np.ascontiguousarray(rows.reshape(-1, N_COLUMNS * SIDE)))
    file = io.BytesIO()
    sheet.save(file, format="PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Write images.png beside this file, and say its SHA-256."""
    content = contact_sheet(Path(sys.argv[1]) if len(sys.argv) > 1 else DEBIAN_FOLDER)
    IMAGES_FILE.write_bytes(content)
    print(f"{IMAGES_FILE}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
