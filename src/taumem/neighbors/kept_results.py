"""What an interrupted search had found, in a file that it goes on from."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from taumem.errors import RecordError
from taumem.neighbors.rows import Rows
from taumem.record.files import write_atomically

__all__ = ["KeptResults", "digest_of"]


class KeptResults:
    """The neighbors of the first queries, on disk: always those of some whole blocks.

    Args:
        path: the file; it need not be there yet.
        digest: of what is searched for, where and how.
        device: where the results belong.

    Raises:
        RecordError: the file holds the results of another search, or none.
    """

    def __init__(self, path: Path, digest: str, device: torch.device) -> None:
        self.path, self.digest = path, digest
        self.parts: list[tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]] = []
        if not path.exists():
            return
        try:
            with np.load(path, allow_pickle=False) as file:
                found = str(file["digest"])
                distances, positions = torch.from_numpy(file["distances"]), torch.from_numpy(file["positions"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise RecordError(f"{path}: holds no results of a search ({error}); remove it, or name another.") from None
        if found != digest:
            raise RecordError(
                f"{path}: holds results of another search (other items, or other settings); name another file to "
                "search anew, or repeat the command that began it."
            )
        self.parts.append((distances.to(device), positions.to(device)))

    def write(self, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Keep the results so far.

        Raises:
            RecordError: the disk refuses.
        """
        distances, positions = (torch.cat(list(column)).cpu().numpy() for column in zip(*parts, strict=True))

        def put(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, digest=np.array(self.digest), distances=distances, positions=positions)

        write_atomically(self.path, put)


def digest_of(sides: Sequence[Rows], at_once: int, settings: dict[str, Any], *others: Tensor | None) -> str:
    """A SHA-256 of all numbers that a search looks at, read in blocks, and of its settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for rows in sides:
        digest.update(f"{len(rows)} {tuple(rows.first.shape)} {rows.first.dtype}".encode())
        for start in range(0, len(rows), at_once):
            digest.update(_bytes(rows.block(start, start + at_once)))
    for numbers in others:
        digest.update(b"none" if numbers is None else _bytes(numbers))
    return digest.hexdigest()


def _bytes(numbers: Tensor) -> Any:
    whole = numbers.cpu().contiguous()
    return whole.view(torch.uint8).numpy() if whole.numel() else b""
