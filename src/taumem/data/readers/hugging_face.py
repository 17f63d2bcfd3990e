"""A column of a Hugging Face dataset, from the hub or from a folder of ``save_to_disk``; by the extra ``hf``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from taumem.data.readers.opening import reason_of, shown
from taumem.data.readers.picture import Picture, read_picture
from taumem.errors import ConfigError, DataError

__all__ = ["PREFIX", "Column", "is_dataset", "is_saved_dataset", "open_column"]

PREFIX = "hf:"
FORM = "hf:NAME, hf:NAME:SPLIT or hf:NAME:SPLIT:COLUMN"
STRINGS = ("string", "large_string")
SAVED = ("dataset_dict.json", "state.json")
"""What ``save_to_disk`` leaves in a folder: of several splits, or of one dataset."""


@dataclass(frozen=True)
class Column:
    """Images or texts of a dataset, one for each row.

    Attributes:
        place: the dataset, its split and the column, as in ``hf:mnist:train:image``.
        kind: what they are.
        rows: the dataset, whose images are not decoded.
        name: of the column.
    """

    place: str
    kind: Literal["images", "texts"]
    rows: Any
    name: str

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self, places: Sequence[int]) -> list[str]:
        """Some of the texts; one that is missing is blank."""
        return [text or "" for text in self.rows.select(places)[self.name]]

    def picture(self, place: int) -> Picture:
        """One of the images.

        Raises:
            DataError: it cannot be read.
        """
        held = self.rows[place][self.name]
        name = Path(f"{self.place}[{place}]")
        if held is None:
            raise DataError(f"{shown(name)}: no picture in this row")
        content, path = held["bytes"], held["path"]
        return read_picture(Path(path)) if content is None and path else read_picture(name, content or b"")


def is_dataset(given: object) -> bool:
    """Whether something is a ``Dataset`` or a ``DatasetDict`` of the package ``datasets``."""
    return any(kind.__module__.split(".")[0] == "datasets" for kind in type(given).__mro__)


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``."""
    return any((folder / name).is_file() for name in SAVED)


def open_column(given: object) -> Column:
    """Open a column of images or texts.

    Args:
        given: ``hf:NAME``, ``hf:NAME:SPLIT`` or ``hf:NAME:SPLIT:COLUMN``, where NAME is one of the hub or a folder of
            ``save_to_disk``; or a ``Dataset``. What is left out must leave no choice: a dataset of one split, one
            column of images, or else one of texts.

    Raises:
        ConfigError: the package ``datasets`` is not there.
        DataError: there is no such dataset, split or column, or several that could be meant.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            "a Hugging Face dataset needs the package datasets: pip install 'taumem[hf]', or save its items as files."
        ) from error
    name, split, column = "a dataset in memory", "", ""
    if isinstance(given, str):
        name, split, column, more = (*given.removeprefix(PREFIX).split(":", 3), "", "", "", "")[:4]
        if more or not name:
            raise DataError(f"{given}: no name of a dataset; expected {FORM}.")
        given, name = _opened(datasets, name, split), PREFIX + name
    if isinstance(given, dict):  # of splits
        split = split or _only(name, "splits", list(given))
        if split not in given:
            raise DataError(f"{name}: has no split {split!r}. Known: {', '.join(given)}.")
        given = given[split]
    rows: Any = given
    if not hasattr(rows, "features") or not hasattr(rows, "select"):
        raise DataError(f"{name}: a {type(rows).__name__} cannot be counted and picked from; give a Dataset.")
    kinds = {key: kind for key, feature in rows.features.items() if (kind := _kind_of(feature))}
    if not column:
        images = [key for key, kind in kinds.items() if kind == "images"]
        column = _only(name, "columns of images or texts", images or list(kinds))
    if column not in kinds:
        known = ", ".join(f"{key} ({kind})" for key, kind in kinds.items()) or "none"
        raise DataError(f"{name}: has no column {column!r} of images or texts. Known: {known}.")
    rows = rows.select_columns([column])
    if kinds[column] == "images":
        rows = rows.cast_column(column, datasets.Image(decode=False))
    return Column(":".join(filter(None, (name, split, column))), kinds[column], rows, column)


def _opened(datasets: Any, name: str, split: str) -> object:
    folder = Path(name).expanduser()
    try:
        if is_saved_dataset(folder):
            return datasets.load_from_disk(str(folder))
        return datasets.load_dataset(name, split=split or None)
    # What the hub, its cache and scripts of datasets raise is theirs: OSError, ConnectionError, ValueError, ...
    except Exception as error:
        raise DataError(f"{PREFIX}{name}: cannot be opened ({reason_of(error)}).") from error


def _only(name: str, what: str, known: list[str]) -> str:
    if len(known) == 1:
        return known[0]
    if not known:
        raise DataError(f"{name}: has no {what}.")
    raise DataError(f"{name}: has several {what}: {', '.join(known)}. Say which one by {FORM}, or pick it yourself.")


def _kind_of(feature: Any) -> Literal["images", "texts"] | None:
    if type(feature).__name__ == "Image":
        return "images"
    return "texts" if getattr(feature, "dtype", None) in STRINGS else None
