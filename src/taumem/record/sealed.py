"""A sealed study, read; its columns are unpacked when they are first asked for.

What is in the file, and where, is said in :mod:`taumem.record.manifest`.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from taumem.errors import RecordError
from taumem.record.curve import Curve
from taumem.record.estimate import Measurement
from taumem.record.files import visible
from taumem.record.header import ADVICE, RunHeader, first_problem, parse_header
from taumem.record.items import CODINGS, values_of
from taumem.record.kept import Arrays, Series
from taumem.record.manifest import COLUMNS, DIGEST_LENGTH, SUFFIX, Manifest
from taumem.record.packing import running_sums, unpack

__all__ = ["SealedRun", "SealedStudy", "find_sealed", "sealed_file_above", "twin_of"]

P = ParamSpec("P")
Result = TypeVar("Result")


class SealedStudy:
    """The runs of a sealed file.

    Args:
        path: the file.

    Raises:
        RecordError: no sealed study there, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordError(f"{path}: cannot be read ({error.strerror}); expected a sealed study.") from None
        if hashlib.sha256(content[:-DIGEST_LENGTH]).hexdigest().encode() != content[-DIGEST_LENGTH:]:
            raise RecordError(f"{path}: no sealed study, or damaged (its SHA-256 does not fit); get the file again.")
        with self.understood():
            self._archive = zipfile.ZipFile(io.BytesIO(content))
            self.manifest = Manifest.model_validate_json(self._archive.read("manifest.json"))
        self._columns: dict[str, NDArray[Any]] = {}

    @cached_property
    def headers(self) -> dict[str, RunHeader]:
        """The headers of the runs, by their names."""
        return {name: parse_header(run.header, f"{self.path}/{name}") for name, run in self.manifest.runs.items()}

    def run(self, name: str) -> "SealedRun":
        """What is kept of a run."""
        return SealedRun(self, name)

    def column(self, name: str) -> NDArray[Any]:
        """A column of all runs."""
        if name not in self._columns:
            with self.understood():
                self._columns[name] = unpack(self.manifest.columns[name], self._archive.read(f"{name}.npy"))
        return self._columns[name]

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Where the measurements of each series and run begin, and all end: [series x runs + 1]."""
        return np.concatenate([[0], np.cumsum(self.column("rows"))])

    @cached_property
    def item_bounds(self) -> NDArray[np.int64]:
        """Where the items of each measurement begin, and all end: [measurements + 1]."""
        return np.concatenate([[0], np.cumsum(np.maximum(self.column("n_items"), 0))])

    @cached_property
    def array_places(self) -> dict[tuple[str, int], dict[str, tuple[int, int]]]:
        """Of each run and step: the column and the place in it of each array."""
        seen: dict[int, int] = {}
        places: dict[tuple[str, int], dict[str, tuple[int, int]]] = {}
        for run, entry in self.manifest.runs.items():
            for step, kept in entry.arrays.items():
                places[run, step] = {array: (number, seen.get(number, 0)) for array, number in kept.items()}
                seen |= {number: place + 1 for number, place in places[run, step].values()}
        return places

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Say in words what is wrong with the file, when something is.

        Raises:
            RecordError: something is.
        """
        try:
            yield
        except RecordError:
            raise
        # Its sum fits, so somebody wrote it so: archives, arrays and numbers that contradict each other in any way.
        except Exception as error:
            reason = first_problem(error) if isinstance(error, ValidationError) else f"{error!r:.200}"
            raise RecordError(f"{self.path}: a sealed study that cannot be understood ({reason}). {ADVICE}") from None


def _in_words(method: Callable[Concatenate["SealedRun", P], Result]) -> Callable[Concatenate["SealedRun", P], Result]:
    @wraps(method)
    def understood(run: "SealedRun", /, *args: P.args, **options: P.kwargs) -> Result:
        with run.study.understood():
            return method(run, *args, **options)

    return understood


class SealedRun:
    """What a sealed file keeps of a run."""

    def __init__(self, study: SealedStudy, name: str) -> None:
        self.study = study
        self._name = name
        with study.understood():
            self._blocks = self._find_blocks()

    def _find_blocks(self) -> dict[Series, int]:
        study = self.study
        run, n_runs = list(study.manifest.runs).index(self._name), len(study.manifest.runs)
        blocks = {series: place * n_runs + run for place, series in enumerate(study.manifest.series)}
        return {series: block for series, block in blocks.items() if study.bounds[block + 1] > study.bounds[block]}

    @cached_property
    @_in_words
    def measurements(self) -> list[Measurement]:
        """All that was measured, in the order in which it was written."""
        placed: list[tuple[int, Measurement]] = []
        for (quantity, t), block in self._blocks.items():
            rows = self._rows(block)
            columns = {name: self.study.column(name)[rows].tolist() for name in ("place", *COLUMNS)}
            ends = self.study.item_bounds[rows.start : rows.stop + 1] - self.study.item_bounds[rows.start]
            items = self._items(block)
            kept = self.study.column("n_items")[rows] >= 0
            for k, (place, *fields) in enumerate(zip(*columns.values(), strict=True)):
                facts: dict[str, Any] = {n: None if f != f else f for n, f in zip(COLUMNS, fields, strict=True)}
                facts["items"] = tuple(items[ends[k] : ends[k + 1]].tolist()) if kept[k] else None
                placed.append((place, Measurement(quantity=quantity, t=t, **facts)))
        return [m for _, m in sorted(placed, key=lambda pair: pair[0])]

    @property
    @_in_words
    def steps(self) -> list[int]:
        """The steps at which something was measured, ascending."""
        steps = [self.study.column("step")[self._rows(block)] for block in self._blocks.values()]
        return np.unique(np.concatenate(steps)).tolist() if steps else []

    @property
    def series(self) -> Collection[Series]:
        """The quantities that were measured, each with its diffusion times."""
        return self._blocks.keys()

    @_in_words
    def curve(self, quantity: str, t: float | None) -> Curve:
        """One of the series over training."""
        block = self._blocks[quantity, t]
        rows = self._rows(block)
        order = np.argsort(self.study.column("step")[rows], kind="stable")

        def column(name: str) -> NDArray[Any]:
            return self.study.column(name)[rows][order]

        n_items = self.study.column("n_items")[rows]
        paired = n_items[0] >= 0 and (n_items == n_items[0]).all()
        return Curve(
            quantity=quantity,
            steps=column("step"),
            examples=column("examples"),
            values=column("value"),
            se=column("se").astype(np.float64),
            low=column("low"),
            high=column("high"),
            counts=column("count"),
            confidence=confidence if np.isfinite(confidence := column("confidence")).any() else None,
            items=self._items(block).reshape(len(n_items), -1)[order] if paired else None,
        )

    def array_steps(self) -> list[int]:
        """The steps at which arrays were kept, ascending."""
        return sorted(self.study.manifest.runs[self._name].arrays)

    @_in_words
    def arrays(self, step: int) -> Arrays:
        """The arrays kept at a step."""
        places = self.study.array_places[self._name, step]
        return {
            name: self.study.column(f"arrays/{number}")[place, ...].copy() for name, (number, place) in places.items()
        }

    def _rows(self, block: int) -> slice:
        return slice(*self.study.bounds[block : block + 2])

    def _items(self, block: int) -> NDArray[np.float64]:
        """The items of all rows of a series, one after the other."""
        study, rows = self.study, self._rows(block)
        n_items = study.column("n_items")[rows]
        start, stop = study.item_bounds[[rows.start, rows.stop]]
        if start == stop:
            return np.empty(0)
        width = n_items[0] if (n_items == n_items[0]).all() else 1
        numbers = running_sums(study.column("items")[start:stop].reshape(-1, width)).view(np.int64)
        coding = CODINGS[study.column("coding").ravel()[block]]
        return values_of(coding, numbers, study.column("value")[rows], study.manifest.digits).ravel()


def find_sealed(place: Path) -> list[tuple[SealedStudy, str]]:
    """Find the sealed runs at a place: those of a sealed file, or one in it, or those that match a pattern.

    A folder that has no runs stands for the sealed file beside it, so that commands go on working when a study was
    sealed: ``study`` and ``study/P000016-seed0`` are looked for in ``study.sealed``.

    Raises:
        RecordError: the sealed file cannot be read.
    """
    for root in (place, *place.parents):
        file = root if root.suffix == SUFFIX and root.is_file() else twin_of(root)
        if file is not None:
            study, wanted = open_sealed(file), place.relative_to(root).as_posix()
            return [
                (study, name)
                for name in study.manifest.runs
                if wanted in (".", name) or fnmatchcase(name, wanted) or fnmatchcase(name, f"{wanted}/*")
            ]
    return []


def sealed_file_above(path: Path) -> Path | None:
    """The sealed file that a path leads into, if it does."""
    return next((p for p in (path, *path.parents) if p.suffix == SUFFIX and p.is_file()), None)


def twin_of(folder: Path) -> Path | None:
    """The sealed file that stands for a folder; None where there is none, or where the folder has runs of its own."""
    file = folder.with_name(f"{folder.name}{SUFFIX}") if folder.name else None
    if file is None or not file.is_file() or visible(folder, "run.json"):
        return None
    return file


def open_sealed(file: Path) -> SealedStudy:
    """Open a sealed file; one that was opened just now is not read again."""
    state = file.stat()
    return _opened(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2)
def _opened(file: Path, changed_ns: int, size: int) -> SealedStudy:
    return SealedStudy(file)
