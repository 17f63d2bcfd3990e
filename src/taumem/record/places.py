"""Where runs are: in folders at any depth, and in sealed files."""

from collections.abc import Iterator
from pathlib import Path

from taumem.errors import RecordError
from taumem.record.files import visible
from taumem.record.manifest import SUFFIX
from taumem.record.run import RunRecord
from taumem.record.sealed import find_sealed, twin_of

__all__ = ["find_runs", "read_runs"]


def read_runs(*places: Path | str) -> list[RunRecord]:
    """Read runs from their folders or sealed files, or from folders that hold these at any depth; each run once.

    Args:
        places: see :func:`find_runs`.

    Raises:
        RecordError: a place without a run, or a record that cannot be read.
    """
    return [RunRecord.read(run) for run in find_runs(*places)]


def find_runs(*places: Path | str) -> list[Path]:
    """Find the runs at these places or below them at any depth; each once.

    Where a folder with runs and the sealed file of the same name stand side by side, the folder wins: it may have been
    written to since. Where the folder is gone (or has no runs), its name stands for the sealed file, and a run's name
    in it may be a pattern: ``study``, ``study/P000016-seed0`` and ``study/P0000*`` are looked for in ``study.sealed``.
    Folders whose names begin with a dot are passed over: a study that is being unsealed stands in one.

    Args:
        places: folders of runs, sealed files, runs in them (``study.sealed/P000016-seed0``), or folders above them.

    Returns:
        For each run the path that :meth:`RunRecord.read` takes.

    Raises:
        RecordError: a place without a run, or one that is a sealed file which cannot be read.
    """
    runs: dict[Path, Path] = {}
    for place in map(Path, places):
        found = list(_below(place)) or [study.path / name for study, name in find_sealed(place)]
        if not found:
            raise RecordError(
                f"{place}: no runs here; expected a folder with a run.json in it or below it, or a sealed study."
            )
        for run in found:
            runs.setdefault(run.resolve(), run)
    return list(runs.values())


def _below(folder: Path) -> Iterator[Path]:
    yield from (file.parent for file in visible(folder, "run.json"))
    for file in visible(folder, f"*{SUFFIX}"):
        if file == twin_of(file.with_suffix("")):
            try:
                yield from (study.path / name for study, name in find_sealed(file))
            except RecordError:
                yield file  # reading it says why it cannot be read; the runs beside it can
