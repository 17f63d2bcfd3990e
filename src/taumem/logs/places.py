"""Where logs are: files, and folders that hold them at any depth."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from taumem.errors import DataError
from taumem.logs.formats import FORMATS, Format, NoLogError
from taumem.logs.log import Log
from taumem.logs.reading import Asked, read_files
from taumem.record.files import visible

__all__ = ["files_of", "read_logs"]

IN_FOLDERS = re.compile(r".*tfevents.*|trainer_state\.json|.*\.(csv|tsv|jsonl|ndjson)|(metrics|history|logs?)\.json")
"""Names of files that are taken for logs where a folder is given; a file that is named itself may have any."""
LARGEST_PASSED_OVER = 2**20
"""Bytes of a file with another name that is looked at, to tell whether it is whole."""
EXPECTED = (
    "event files of TensorBoard, a Trainer's trainer_state.json, CSV, JSON lines, or what W&B exports as CSV or JSON"
)


def read_logs(*paths: Path | str, asked: Asked | None = None) -> list[Log]:
    """Read the logs at some places; a run that stands there in several forms is read once.

    A damaged file in a folder is a log that is ``unread``; a file that is no log is passed over, with a note if it is
    damaged JSON.

    Args:
        paths: files, or folders that hold some at any depth.
        asked: what the user says of the scalars.

    Raises:
        DataError: there is nothing, or what is there is no log.
    """
    return [log for path in map(Path, paths) for log in _at(path, asked or Asked())]


def files_of(path: Path) -> list[Path]:
    """The files at a place that may be logs."""
    if path.is_file():
        return [path]
    return [file for file in visible(path, "*") if file.is_file() and IN_FOLDERS.fullmatch(file.name)]


def _at(path: Path, asked: Asked) -> Sequence[Log]:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; expected {EXPECTED}.")
    if path.is_file():
        return read_files(path, [path], _format_of(path), asked)
    logs, damaged, problems = list[Log](), list[Log](), list[str]()
    for place, files, format in _sources(path):
        try:
            logs += read_files(place, files, format, asked)
        except NoLogError as error:
            problems.append(str(error))
        except DataError as error:
            problems.insert(len(damaged), str(error))
            why = str(error).removeprefix(f"{place}: ")
            damaged.append(Log(place, "", format.name, {}, why=why, unread=True))
    if not logs:
        exported = "" if not any(visible(path, "*.wandb")) else " Files .wandb are W&B's own: export the run."
        raise DataError(problems[0] if problems else f"{path}: no logs here; expected {EXPECTED}.{exported}")
    logs = _each_once(logs)
    notes = tuple(f"{file} cannot be read as JSON, and was passed over; name it if it is a log." for file in _cut(path))
    return [replace(logs[0], notes=(*logs[0].notes, *notes)), *logs[1:], *damaged]


def _cut(folder: Path) -> Iterator[Path]:
    """JSON whose name is not that of a log, and of which nobody can tell what it is: half of it is there, perhaps."""
    for file in visible(folder, "*.json"):
        if file.is_file() and not IN_FOLDERS.fullmatch(file.name) and file.stat().st_size <= LARGEST_PASSED_OVER:
            try:
                json.loads(file.read_bytes())
            except (ValueError, RecursionError):
                yield file


def _format_of(file: Path) -> Format:
    for format in FORMATS:
        if format.takes(file):
            return format
    if file.stat().st_size == 0:
        raise DataError(f"{file}: empty.")
    if file.suffix == ".wandb":
        raise DataError(f"{file}: W&B's own format; export the run as CSV or JSON (run.history()).")
    raise DataError(f"{file}: no log; expected {EXPECTED}.")


def _sources(folder: Path) -> Iterator[tuple[Path, list[Path], Format]]:
    """What may be read by itself: each file, and the event files of a folder together, as one run may have several."""
    events, *_ = FORMATS
    of_folder: dict[Path, list[Path]] = {}
    for file in files_of(folder):
        if events.takes(file):
            of_folder.setdefault(file.parent, []).append(file)
        else:
            yield file, [file], next(format for format in FORMATS if format.takes(file))
    for place, files in of_folder.items():
        yield place, sorted(files, key=_begun), events


def _begun(file: Path) -> list[tuple[int, str]]:
    """What event files are sorted by: the numbers in their names say when each was begun, and in which order."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _each_once(logs: Sequence[Log]) -> list[Log]:
    """Of logs that hold the same curve, or a part of it (as checkpoints do of the whole run), the longest.

    Those without a held-out loss count only where none has one.
    """
    having = [log for log in logs if not log.lacks_heldout]
    if not having:
        return list(logs)
    kept: dict[int, Log] = {}  # by their places
    for place in sorted(range(len(having)), key=lambda place: -len(having[place].heldout or ())):
        log = having[place]
        whole = next((k for k, other in kept.items() if _is_part_of(log, other)), None)
        if whole is None:
            kept[place] = log
        else:
            note = f"The same run stands in {log.name} too."
            kept[whole] = replace(kept[whole], notes=(*kept[whole].notes, note))
    return [kept[place] for place in sorted(kept)]


def _is_part_of(log: Log, other: Log) -> bool:
    if log.heldout is None or other.heldout is None or log.axis != other.axis:
        return False
    return log.heldout.is_part_of(other.heldout)
