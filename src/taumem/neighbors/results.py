"""What a search has found so far, in memory, and in a file that an interrupted one goes on from."""

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

__all__ = ["Results", "digest_of"]


class Results:
    """The neighbors of the first queries, some more at a time.

    Args:
        k: how many of each.
        device: where they belong.
    """

    def __init__(self, k: int, device: torch.device) -> None:
        self.distances = torch.empty((0, k), dtype=torch.float64, device=device)
        self.positions = torch.empty((0, k), dtype=torch.long, device=device)
        self.path: Path | None = None
        self.digest = ""

    @property
    def n_done(self) -> int:
        """How many queries are finished."""
        return len(self.distances)

    def keep_in(self, path: Path, digest: str) -> None:
        """Go on from a file, if it is there, and keep what follows in it.

        Args:
            path: the file.
            digest: of what is searched for, where and how.

        Raises:
            RecordError: the file holds the results of another search, or none.
        """
        self.path, self.digest = path, digest
        if not path.exists():
            return
        try:
            with np.load(path, allow_pickle=False) as file:
                found, distances, positions = (file[name] for name in ("digest", "distances", "positions"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise RecordError(f"{path}: holds no results of a search ({error}); remove it, or name another.") from None
        if str(found) != digest:
            raise RecordError(
                f"{path}: holds results of another search (other items, or other settings); name another file to "
                "search anew, or repeat the search that began it."
            )
        self.distances = torch.from_numpy(distances).to(self.distances.device)
        self.positions = torch.from_numpy(positions).to(self.positions.device)

    def add(self, distances: Float[Tensor, "some k"], positions: Int[Tensor, "some k"]) -> None:
        """Take in the neighbors of the next queries.

        Raises:
            RecordError: the disk refuses.
        """
        self.distances, self.positions = torch.cat([self.distances, distances]), torch.cat([self.positions, positions])
        if self.path is not None:
            write_atomically(self.path, self._put)

    def all(self) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        """Give the distances and the positions."""
        return self.distances, self.positions

    def _put(self, path: Path) -> None:
        with path.open("wb") as file:
            distances, positions = self.distances.cpu().numpy(), self.positions.cpu().numpy()
            np.savez(file, digest=np.array(self.digest), distances=distances, positions=positions)


def digest_of(sides: Sequence[Rows], at_once: int, settings: dict[str, Any], groups: Tensor | None) -> str:
    """A SHA-256 of all numbers that a search looks at, read in blocks, and of its settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for rows in sides:
        digest.update(f"{len(rows)} {tuple(rows.first.shape)} {rows.first.dtype}".encode())
        for start in range(0, len(rows), at_once):
            digest.update(_bytes(rows.block(start, start + at_once)))
    digest.update(b"each for itself" if groups is None else _bytes(groups))
    return digest.hexdigest()


def _bytes(numbers: Tensor) -> Any:
    whole = numbers.cpu().contiguous()
    return whole.view(torch.uint8).numpy() if whole.numel() else b""
