"""Sealing a finished study into one file, and the way back."""

import hashlib
import io
import shutil
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.errors import ConfigError, RecordError, TaumemWarning
from taumem.record.estimate import Measurement
from taumem.record.files import (
    leftovers,
    make_folder,
    saying_why,
    sync_folder,
    temporary_neighbor,
    visible,
    write_atomically,
)
from taumem.record.items import CODINGS, numbers_of
from taumem.record.kept import Arrays, Series
from taumem.record.manifest import COLUMNS, DIGEST_LENGTH, SUFFIX, Entry, Manifest, why_no_name
from taumem.record.packing import differences, pack
from taumem.record.places import read_runs
from taumem.record.run import RunRecord
from taumem.record.sealed import SealedStudy, sealed_file_above, twin_of

__all__ = ["Progress", "seal", "unseal"]

Progress = Callable[[int, int], None]
"""Called with how much of the work is done, and how much there is."""

BESIDE_THE_RUNS = ("experiment.json", "sweep.json")


def seal(
    study: Path | str,
    file: Path | str | None = None,
    *,
    digits: int | None = None,
    pictures: int | None = None,
    shades: int | None = None,
    short_errors: bool = False,
    extra: Mapping[Path, Iterable[Measurement]] | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write all runs of a study into one compact file that is read as their folder was; the folder stays as it is.

    Without options nothing is lost. Sealing the same study twice gives the same bytes.

    Args:
        study: the study's folder; or a sealed file, to make a smaller one of it.
        file: the file to write, with the suffix ``.sealed``; ``STUDY.sealed`` if not given.
        digits: round the values of items to so many significant digits of the mean of their look, from 2 to 7. That
            mean stays exact, and so do all other numbers.
        pictures: keep the arrays of the first so many samples of each look.
        shades: round arrays of images to so many shades between -1 and 1, from 2 to 256.
        short_errors: keep standard errors to 7 digits only (in single precision): they are a quarter of what is left.
        extra: measurements to add to runs, by the runs' paths as :func:`find_runs` gives them; what can be told from
            all samples alone, for instance. A fact that a run holds already stays as it is.
        replace: whether to overwrite a file that exists.
        progress: called after each column, with the bytes packed so far and all that there are.

    Returns:
        The file.

    Raises:
        RecordError: no runs there, a record that cannot be read, or a file that exists.
        ConfigError: an option out of its range, a file of another suffix, or measurements for a run that is not there.
    """
    _check_options(digits, pictures, shades)
    study, extra = Path(study), dict(extra or {})
    records, texts = _contents(study)
    file = Path(file) if file else _beside(study)
    if file.suffix != SUFFIX:
        raise ConfigError(f"{file}: the name of a sealed study ends in {SUFFIX}.")
    if file.exists() and not replace:
        raise RecordError(f"{file}: exists; name another file, or ask for it to be replaced (--replace).")
    for name in (*records, *texts):
        if reason := why_no_name(name):
            raise RecordError(f"{study}: {reason}; rename it.")
    if unknown := extra.keys() - {record.path for record in records.values()}:
        raise ConfigError(f"measurements for {min(unknown)}, which is not a run of {study}.")

    _warn_of_unfinished(records)
    measured = [RunRecord.of(r.header, [*r.measurements, *extra.get(r.path, ())]) for r in records.values()]
    series, columns = _columns([record.measurements for record in measured], digits)
    if short_errors:
        columns["se"] = _single(columns["se"])
    stacks: dict[tuple[str, str, tuple[int, ...]], list[NDArray[Any]]] = {}
    runs = {
        name: Entry(
            header=record.header.model_dump(mode="json"),
            arrays={step: _stacked(record.arrays(step), pictures, stacks) for step in record.array_steps()},
        )
        for name, record in records.items()
    }
    columns |= {f"arrays/{number}": np.stack(arrays) for number, arrays in enumerate(stacks.values())}

    packings, members = {}, {}
    done, total = 0, sum(column.nbytes for column in columns.values())
    for name, column in columns.items():
        is_images = name.startswith("arrays/") and column.ndim == 5 and column.dtype.kind == "f"
        packings[name], members[f"{name}.npy"] = pack(column, shades=shades if is_images else None)
        done += column.nbytes
        if progress:
            progress(done, total)
    manifest = Manifest(digits=digits, series=tuple(series), runs=runs, files=texts, columns=packings)
    write_atomically(file, _archive({"manifest.json": manifest.model_dump_json().encode()} | members))
    return file


def unseal(file: Path | str, folder: Path | str | None = None, *, progress: Progress | None = None) -> Path:
    """Write the runs of a sealed file into folders, where they can be added to.

    The folder appears when it is complete: a kill before leaves a folder with a hidden name, which no reader takes for
    a study.

    Args:
        file: a sealed study, or the name of its folder where that is gone.
        folder: where to write to, a new or an empty folder; the file's name without its suffix if not given.
        progress: called after each run, with the runs written so far and all that there are.

    Returns:
        The folder.

    Raises:
        RecordError: no sealed study, a damaged one, or a folder that is not empty.
    """
    file = Path(file)
    study = SealedStudy(twin if (twin := twin_of(file)) is not None else file)
    folder = Path(folder) if folder else study.path.with_suffix("")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecordError(f"{folder}: is not an empty folder; name another one, or remove it first.")
    make_folder(folder.parent)
    for leftover in leftovers(folder):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = temporary_neighbor(folder)
    try:
        for done, (name, header) in enumerate(study.headers.items(), start=1):
            run = study.run(name)
            with RunRecord.open(temporary / name, header) as record:
                record.append(run.measurements)
                for step in run.array_steps():
                    record.keep_arrays(step, run.arrays(step))
            (temporary / name / ".lock").unlink(missing_ok=True)
            if progress:
                progress(done, len(study.headers))
        for name, text in study.manifest.files.items():
            write_atomically(temporary / name, text)
        with saying_why(folder):
            if folder.exists():
                folder.rmdir()
            temporary.rename(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _warn_of_unfinished(records: Mapping[str, RunRecord]) -> None:
    unfinished = {name: r for name, r in records.items() if r.last_step < r.header.steps}
    if unfinished:
        name, record = next(iter(unfinished.items()))
        warnings.warn(
            f"{len(unfinished)} of {len(records)} runs are unfinished, or were stopped at copies ({name} is at step "
            f"{record.last_step} of {record.header.steps}); they are sealed as they stand.",
            TaumemWarning,
            stacklevel=3,
        )


def _check_options(digits: int | None, pictures: int | None, shades: int | None) -> None:
    ranges = {"digits": (digits, 2, 7), "pictures": (pictures, 0, None), "shades": (shades, 2, 256)}
    for name, (value, low, high) in ranges.items():
        if value is not None and not (low <= value and (high is None or value <= high)):
            wanted = f"from {low} to {high}" if high else f"at least {low}"
            raise ConfigError(f"{name} = {value}; expected {wanted}, or nothing to keep all.")


def _beside(study: Path) -> Path:
    named = study if study.name.strip(".") else study.resolve()
    return named.with_name(named.name.removesuffix(SUFFIX) + SUFFIX)


def _contents(study: Path) -> tuple[dict[str, RunRecord], dict[str, str]]:
    """The runs of a study by name, and the texts beside them."""
    if (file := study if study.is_file() else twin_of(study)) is not None:
        return {_name(record.path, file): record for record in read_runs(file)}, SealedStudy(file).manifest.files
    records = read_runs(study)
    if sealed := [file for record in records if (file := sealed_file_above(record.path))]:
        raise RecordError(
            f"{study}: holds a study that is sealed already, {sealed[0]}; unseal it first, or move it away."
        )
    beside = [file for name in BESIDE_THE_RUNS for file in visible(study, name)]
    texts = {_name(file, study): file.read_text(encoding="utf-8") for file in beside}
    return {_name(record.path, study): record for record in records}, texts


def _name(path: Path, study: Path) -> str:
    return path.relative_to(study).as_posix()


def _columns(runs: Sequence[Sequence[Measurement]], digits: int | None) -> tuple[list[Series], dict[str, NDArray[Any]]]:
    """The measurements of all runs as columns: series by series, within a series run by run."""
    placed: dict[tuple[Series, int], list[tuple[int, Measurement]]] = defaultdict(list)
    for run, measurements in enumerate(runs):
        for place, m in enumerate(measurements):
            if not m.is_finite:
                raise RecordError(f"{m.quantity} is not finite at step {m.step}; only finite numbers are sealed.")
            placed[(m.quantity, m.t), run].append((place, m))
    series = list(dict.fromkeys(one for one, _ in placed))
    blocks = [placed.get((one, run), []) for one in series for run in range(len(runs))]
    rows = [row for block in blocks for row in block]
    coded = [_coded([m for _, m in block], digits) for block in blocks]
    shape = len(series), len(runs)
    columns: dict[str, NDArray[Any]] = {
        "rows": np.array([len(block) for block in blocks], dtype=np.int64).reshape(shape),
        "place": np.array([place for place, _ in rows], dtype=np.int64),
        **{name: _numbers([getattr(m, name) for _, m in rows], name) for name in COLUMNS},
        "n_items": np.array([-1 if m.items is None else len(m.items) for _, m in rows], dtype=np.int64),
        "coding": np.array([coding for coding, _ in coded], dtype=np.uint8).reshape(shape),
        "items": np.concatenate([np.empty(0, np.uint64), *(numbers for _, numbers in coded)]),
    }
    return series, columns


def _numbers(values: list[Any], name: str) -> NDArray[Any]:
    if name in ("step", "examples", "count"):
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _single(errors: NDArray[np.float64]) -> NDArray[Any]:
    """The same in single precision, unless some would be lost there."""
    with np.errstate(all="ignore"):
        single = errors.astype(np.float32)
    return single if np.allclose(single, errors, rtol=1e-7, atol=0, equal_nan=True) else errors


def _coded(block: Sequence[Measurement], digits: int | None) -> tuple[int, NDArray[np.uint64]]:
    """The items of one series of a run as differences of whole numbers, and how these stand for the values."""
    lengths = {-1 if m.items is None else len(m.items) for m in block}
    values = np.array([value for m in block for value in m.items or ()], dtype=np.float64)
    if not values.size:
        return 0, np.empty(0, np.uint64)
    width, rounded_to = (max(lengths), digits) if len(lengths) == 1 else (1, None)
    means = np.array([m.value for m in block])
    coding, numbers = numbers_of(values.reshape(-1, width), means, rounded_to)
    return CODINGS.index(coding), differences(numbers.view(np.uint64)).ravel()


def _stacked(
    arrays: Arrays, pictures: int | None, stacks: dict[tuple[str, str, tuple[int, ...]], list[NDArray[Any]]]
) -> dict[str, int]:
    """Lay the arrays of a look on the stacks of their like, and give the number of each one's stack."""
    n_samples = len(arrays["samples"]) if "samples" in arrays and arrays["samples"].ndim else None
    numbers = {}
    for name, array in arrays.items():
        kept = array[:pictures] if array.ndim and len(array) == n_samples else array
        kind = (name, repr(kept.dtype), kept.shape)
        stacks.setdefault(kind, []).append(kept)
        numbers[name] = list(stacks).index(kind)
    return numbers


def _archive(members: Mapping[str, bytes]) -> bytes:
    """A zip archive that is the same whenever it is made, and ends in the SHA-256 of all before that."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)  # of 1980, as if no time had passed
            member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_LZMA, 3, 0o644 << 16
            archive.writestr(member, content)
        archive.comment = b" " * DIGEST_LENGTH
    content = file.getvalue()[:-DIGEST_LENGTH]
    return content + hashlib.sha256(content).hexdigest().encode()
