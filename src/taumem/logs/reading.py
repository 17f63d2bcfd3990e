"""Reading some files of one format: which scalars there are, which is the held-out loss, and its points.

A file is read twice, row by row: once to see what is in it, and once for the points of the scalars that are wanted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from taumem.errors import DataError, nearest_name, option, shortened
from taumem.logs.formats import TIME, Format, NoLogError
from taumem.logs.log import Log
from taumem.logs.names import AXES, Meaning, axis_of, chosen, meaning_of
from taumem.logs.series import Points, Series, runs_of

__all__ = ["Asked", "read_files"]

IN_STEP = 0.9
"""Share of a scalar's rows that must hold a column for it to be the scalar's axis."""
SHOWN = 8
"""How many scalars a message names."""
OF_RUNS = " - "
"""What W&B puts between a run and its scalar where it exports several runs at once."""
EXTREMES = ("__MIN", "__MAX")
"""Ends of columns that W&B adds: of rows that it put together, the lowest and the highest."""


@dataclass(frozen=True)
class Asked:
    """What the user says of the scalars; None for what is to be looked up.

    Attributes:
        heldout: the name of the held-out loss.
        train: the name of a loss on training items that stay the same.
        step: the column that says when.
    """

    heldout: str | None = None
    train: str | None = None
    step: str | None = None

    def check(self, logs: Sequence[Log]) -> None:
        """Refuse a name that none of the logs has.

        Args:
            logs: all that were read.

        Raises:
            DataError: the nearest names are told.
        """
        scalars = {tag for log in logs for tag in log.tags}
        columns = scalars.union(*(log.columns for log in logs))
        for flag, name, known in (
            ("heldout", self.heldout, scalars),
            ("train", self.train, scalars),
            ("step", self.step, columns),
        ):
            if name is not None and known and name not in known:
                raise DataError(f"{option(flag)}: no log has '{name}'; {nearest_name(name, known)}")


def read_files(path: Path, files: Sequence[Path], format: Format, asked: Asked) -> list[Log]:
    """Read the runs that some files hold.

    Args:
        path: by which a reader knows them.
        files: of one folder and one format, in the order in which they were begun.
        format: of all of them.
        asked: what the user says of the scalars.

    Raises:
        NoLogError: there are no numbers.
        DataError: a file is damaged, or not of that format.
    """
    seen, notes = _survey(files, format)
    if not seen:
        raise NoLogError(f"{path}: an empty log: no row holds a number.")
    return [log for run in seen for log in _logs(path, files, format, asked, run, seen[run], notes)]


@dataclass
class _Tag:
    """A scalar: at how many rows it stands, and how many of them hold each column that says when."""

    rows: int = 0
    axes: Counter[str] = field(default_factory=Counter)


def _survey(files: Sequence[Path], format: Format) -> tuple[dict[str, dict[str, _Tag]], list[str]]:
    """By run and name, the scalars of some files."""
    seen: dict[str, dict[str, _Tag]] = {}
    notes: list[str] = []
    for file in files:
        for row in format.rows(file, notes):
            axes = [name for name in row if _axis(name)]
            for name in row:
                if name != TIME and not name.endswith(EXTREMES):
                    run, tag = _split(name)
                    tags = seen.setdefault("" if name in axes else run, {})
                    one = tags.setdefault(tag, _Tag())
                    one.rows += 1
                    one.axes.update(axes)
    if len(seen) > 1:
        for_all = seen.pop("", {})
        seen = {run: for_all | tags for run, tags in seen.items()}
    return seen, notes


_axis = cache(axis_of)


@cache
def _split(name: str) -> tuple[str, str]:
    """The run and the scalar of a column."""
    run, between, tag = name.rpartition(OF_RUNS)
    return (run, tag) if between and meaning_of(tag) is not None else ("", name)


def _logs(
    path: Path,
    files: Sequence[Path],
    format: Format,
    asked: Asked,
    run: str,
    tags: Mapping[str, _Tag],
    notes: Sequence[str],
) -> Iterator[Log]:
    scalars = {tag: one.rows for tag, one in tags.items() if not _axis(tag)}
    when = tuple(tag for tag in tags if _axis(tag))
    nothing = Log(path, run, format.name, scalars, columns=when, notes=tuple(notes))
    try:
        heldout = chosen(Meaning.HELDOUT, scalars, asked.heldout, "heldout")
        train = chosen(Meaning.TRAIN, scalars, asked.train, "train")
        if heldout is None:
            raise DataError(_without(scalars))
        columns = {tag: _column(tag, tags, asked.step) for tag in (heldout, train) if tag is not None}
        gathered = _gathered(files, format, run, columns)
        curves = runs_of(gathered[heldout])
    except DataError as error:
        yield replace(nothing, why=str(error))
        return
    if not curves:
        yield replace(nothing, why=f"'{shortened(heldout)}' has no finite value.")
    beside = _beside(gathered, train, len(curves))
    for k, curve in enumerate(curves):
        name = ", ".join(filter(None, (run, f"run {k + 1} of {len(curves)}" if len(curves) > 1 else "")))
        told = (*notes, *curve.notes, *_of_names(heldout, scalars))
        yield Log(
            path, name, format.name, scalars, heldout, curve, (train or "") if beside else "",
            beside[k] if beside else None, _axis_of(heldout, columns[heldout], format), when, notes=told,
        )  # fmt: skip


def _column(tag: str, tags: Mapping[str, _Tag], asked: str | None) -> str:
    """The column that says when a scalar was logged."""
    one = tags[tag]
    if asked is not None:
        if asked not in tags:
            raise DataError(f"{option('step')}: no column is called '{asked}'; {nearest_name(asked, tags)}")
        return asked
    ranked = sorted(one.axes, key=lambda column: (_axis(column) != "steps", _rank(column)))
    for column in ranked:
        if one.axes[column] >= IN_STEP * one.rows:
            return column
    columns = ", ".join([shortened(other) for other in tags if other != tag][:SHOWN])
    what = f"name one by {option('step')}: {columns}" if columns else "there is no other; add one that does"
    raise DataError(f"no column says at which step '{shortened(tag)}' was logged; {what}.")


def _rank(column: str) -> int:
    every = [name for columns in AXES.values() for name in columns]
    return every.index(column.lower())


def _gathered(files: Sequence[Path], format: Format, run: str, columns: Mapping[str, str]) -> dict[str, list[Points]]:
    """The points of some scalars, file by file."""
    gathered: dict[str, list[Points]] = {tag: [] for tag in columns}
    names = {tag: (f"{run}{OF_RUNS}{tag}" if run else tag) for tag in columns}
    for file in files:
        points = {tag: Points() for tag in columns}
        for row in format.rows(file, []):
            for tag, column in columns.items():
                if (name := names[tag]) in row:
                    points[tag].add(row.get(column, float("nan")), row[name], row.get(TIME))
        for tag, those in points.items():
            gathered[tag].append(those)
    return gathered


def _beside(gathered: Mapping[str, list[Points]], train: str | None, n_runs: int) -> list[Series]:
    """The curves of the loss on training items, where there is one for each run."""
    if train is None:
        return []
    try:
        curves = runs_of(gathered[train])
    except DataError:
        return []
    return curves if len(curves) == n_runs else []


def _axis_of(tag: str, column: str, format: Format) -> str:
    known = meaning_of(tag)
    over_epochs = format.name == "TensorBoard" and known is not None and known.in_epochs
    return "epochs" if over_epochs or "epoch" in column.lower() else "steps"


def _of_names(heldout: str, tags: Mapping[str, int]) -> Iterator[str]:
    """What a reader might take for something else."""
    known = meaning_of(heldout)
    if known is not None and known.meaning in (Meaning.NOISY, Meaning.TRAIN):
        yield f"By its name '{heldout}' is {known.meaning}."
    others = [tag for tag in tags if (name := meaning_of(tag)) and name.meaning is Meaning.DIFFERENCE]
    if others:
        yield f"Not read: {', '.join(others)}, {Meaning.DIFFERENCE}."


def _without(tags: Mapping[str, int]) -> str:
    """What is in a log without a held-out loss, and what it cannot say."""
    if not tags:
        return "it holds steps and no scalars."
    named = ", ".join(f"{shortened(tag)} ({n:,})" for tag, n in list(tags.items())[:SHOWN])
    more = f" and {len(tags) - SHOWN} more" if len(tags) > SHOWN else ""
    noisy = [tag for tag in tags if (name := meaning_of(tag)) and name.meaning is Meaning.NOISY]
    which = f" '{noisy[0]}' is {Meaning.NOISY}." if noisy else ""
    return (
        f"no held-out loss among its scalars: {named}{more}.{which} Whether the model memorizes cannot be said "
        f"from it. If one of them is the loss on items kept from training, name it by {option('heldout')}; else score "
        "the saved checkpoints on such items."
    )
