"""An audit to look at: samples of a model that was trained too long, against what it was trained on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from taumem.audit import audit
from taumem.lab.memorized import load_memorized
from taumem.record.audit import AuditRecord
from taumem.record.files import write_atomically

__all__ = ["audit_demo"]


def audit_demo(
    folder: Path | str, *, redact: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> AuditRecord:
    """Write the built-in samples and their model's data into a folder, and audit them there.

    Args:
        folder: for ``generated.npy``, ``train.npy``, ``heldout.npy``, and what the audit writes.
        redact: as in :func:`taumem.audit.audit`, and so is ``progress``.
        progress: called with (stage, work done, work in all).
    """
    place = Path(folder)
    memorized = load_memorized()
    sets = {"generated": memorized.samples, "train": memorized.split.train, "heldout": memorized.split.heldout}
    for name, images in sets.items():
        write_atomically(place / f"{name}.npy", partial(_save, images))
    paths = (place / f"{name}.npy" for name in sets)
    return audit(*paths, output=place, redact=redact, progress=progress)


def _save(images: Tensor, file: Path) -> None:
    with file.open("wb") as stream:  # by its name numpy would add a suffix
        np.save(stream, ((images[:, 0] + 1) * 127.5).round().byte().numpy())
