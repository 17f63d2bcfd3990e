"""Searches that can be interrupted: what was found is kept beside the audit until it is finished."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.neighbors.matches import ARRAYS, Comparison, Matches, joined
from taumem.record.files import write_atomically

__all__ = ["KeptSearches", "key_of"]

PAIRS_AT_ONCE = 2e9
"""Pairs that are compared, views counted, between two times that results are written: about a minute's work."""
FEWEST, MOST = 64, 4096
"""Queries that are looked up together."""
STEPS = 1000
"""Of the progress of a stage."""
SUFFIX = ".unfinished.npz"


@dataclass(frozen=True)
class KeptSearches:
    """Where results of searches are kept while an audit goes on.

    Attributes:
        folder: of the audit; None keeps nothing.
        key: of the inputs and the settings: results of another audit are of no use.
        progress: called with (stage, work done, work in all).
    """

    folder: Path | None
    key: str
    progress: Callable[[str, int, int], None]

    def compare(
        self, stage: str, comparison: Comparison, queries: Any, own: NDArray[np.int64] | None = None
    ) -> Matches:
        """Compare queries part by part, going on from what is there.

        Args:
            stage: what this search is called, one name for each search of an audit.
            comparison: with the training set.
            queries: at least one.
            own: as in :meth:`taumem.neighbors.matches.Comparison.compare`.
        """
        n, size = len(queries), self._part_of(comparison)
        parts = self._read(stage)
        start = sum(map(len, parts))
        while start < n:
            stop = min(n, start + size)

            def advance(done: int, total: int, start: int = start, stop: int = stop) -> None:
                self.progress(stage, round(STEPS * (start + (stop - start) * done / total) / n), STEPS)

            part = slice(start, stop)
            parts.append(comparison.compare(queries[part], None if own is None else own[part], progress=advance))
            self._write(stage, joined(parts))
            start = stop
        self.progress(stage, STEPS, STEPS)
        return joined(parts)

    def forget(self) -> None:
        """Remove what was kept, once the audit is written."""
        for file in self.folder.glob(f"*{SUFFIX}") if self.folder else ():
            file.unlink(missing_ok=True)

    def _part_of(self, comparison: Comparison) -> int:
        return int(min(MOST, max(FEWEST, PAIRS_AT_ONCE // (comparison.cost or 1))))

    def _read(self, stage: str) -> list[Matches]:
        """What an interrupted audit had found; nothing where the file is none of this audit, or is damaged."""
        if self.folder is None or not (file := self.folder / f"{stage}{SUFFIX}").exists():
            return []
        try:
            with np.load(file, allow_pickle=False) as found:
                if str(found["key"]) != self.key:
                    return []
                arrays = {name: found[name] for name in ARRAYS}
                return [Matches(**arrays, ways=tuple(map(str, found["ways"])))]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return []

    def _write(self, stage: str, found: Matches) -> None:
        if self.folder is None:
            return

        def put(path: Path) -> None:
            arrays = {name: getattr(found, name) for name in ARRAYS}
            with path.open("wb") as file:
                np.savez(file, key=np.array(self.key), ways=np.array(found.ways), **arrays)

        write_atomically(self.folder / f"{stage}{SUFFIX}", put)


def key_of(facts: dict[str, Any]) -> str:
    """A SHA-256 of inputs and settings."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
