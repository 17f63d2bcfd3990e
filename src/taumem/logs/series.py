"""From the points that a trainer wrote to curves: one for each run, never two runs in one.

What is done to points is told in sentences: values that are not finite, a step that came twice, a run that was resumed.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from taumem.errors import DataError, option

__all__ = ["Points", "Series", "runs_of"]

Floats = NDArray[np.float64]

MOST_STEPS = 2.0**53
"""Beyond it floats do not tell one step from the next."""
MOST_RETURNS = 4
"""How often a step may go back in a file because a run was resumed: more, and the rows are in no order, or of several
runs. Long files may have one return for each so many points."""
EVEN = 0.7
"""Share of the distances between looks that must be the same for a run to have a cadence."""
DOUBLED = 0.5
"""Share of steps that stand there twice, with other values, from which on it is two runs that write one file."""


@dataclass
class Points:
    """The points of one scalar in one file, in the order in which they were written.

    Attributes:
        steps: as they were written.
        values: likewise.
        times: when the first and the last were written, in seconds; empty where the file does not say.
    """

    steps: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))
    times: list[float] = field(default_factory=list)

    def add(self, step: float, value: float, time: float | None) -> None:
        """Take in a point."""
        self.steps.append(step)
        self.values.append(value)
        if time is not None:
            self.times = [*self.times[:1], time]


@dataclass(frozen=True, eq=False)
class Series:
    """A curve of one run.

    Attributes:
        steps: whole, ascending, each once.
        values: finite.
        notes: what was done to get there, in sentences.
        ended: when its last point was written, in seconds; minus infinity where that is not known.
    """

    steps: NDArray[np.int64]
    values: Floats
    notes: tuple[str, ...] = ()
    ended: float = -np.inf

    def __len__(self) -> int:
        return len(self.steps)

    def is_part_of(self, other: "Series") -> bool:
        """Whether another curve has all of these points, as far as single precision goes."""
        at = np.searchsorted(other.steps, self.steps)
        if len(self) == 0 or len(self) > len(other) or at[-1] >= len(other) or (other.steps[at] != self.steps).any():
            return False
        return bool(np.allclose(other.values[at], self.values, rtol=1e-5, atol=1e-12))


def runs_of(files: Iterable[Points]) -> list[Series]:
    """Tell runs apart, and bring each into order.

    A stretch of points that begins later than its run did, in its range and at its cadence, goes on with it: the run
    was resumed, and what it had written from there on no longer counts. Any other is another run, and so is one that
    was written while the run was.

    Args:
        files: the points of one scalar, file by file, in the order in which the files were begun.

    Raises:
        DataError: the points are of several runs or processes at once, or steps are not whole.
    """
    runs: list[Series] = []
    for points in files:
        begun, *_ = points.times or [np.inf]
        for piece in _pieces(points):
            if runs and begun >= runs[-1].ended and _goes_on(runs[-1], piece):
                runs[-1] = _resumed(runs[-1], piece)
            else:
                runs.append(piece)
        if runs and points.times:
            runs[-1] = replace(runs[-1], ended=points.times[-1])
    return runs


def _pieces(points: Points) -> list[Series]:
    """The stretches of a file over which the step does not go back, each step once."""
    steps, values = np.asarray(points.steps), np.asarray(points.values)
    kept = np.isfinite(values) & (steps >= 0) & (steps <= MOST_STEPS)
    notes = []
    if lost := int((~kept).sum()):
        notes.append(f"Left out, since not finite or without a step: {lost} of {len(kept)} values.")
    steps, values = steps[kept], values[kept]
    if len(steps) == 0:
        return []
    if (steps != np.round(steps)).any():
        raise DataError(
            f"steps such as {steps[steps != np.round(steps)][0]:g} are not whole; name the column of steps by "
            f"{option('step')}."
        )
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    if len(back) > max(MOST_RETURNS, len(steps) // 4):
        order = np.argsort(steps, kind="stable")
        if (np.diff(steps[order]) == 0).any():
            raise DataError(
                f"the step goes back {len(back)} times in {len(steps)} points, and steps stand there twice: several "
                f"runs or processes wrote into one log, or this is not the step. {_APART}"
            )
        steps, values, back = steps[order], values[order], back[:0]
        notes.append("The points were in no order, and were sorted by their steps.")
    pieces = []
    for part in np.split(np.arange(len(steps)), back):
        piece = _each_once(steps[part], values[part])
        pieces.append(replace(piece, notes=(*notes, *piece.notes)))
        notes = []
    return pieces


def _goes_on(run: Series, piece: Series) -> bool:
    """Whether a stretch of points may be what a run wrote once it was resumed."""
    first, last = piece.steps[0], run.steps[-1]
    gaps = np.diff(run.steps)
    if first <= run.steps[0] or (len(gaps) and first > last + 2 * gaps.max()):
        return False
    cadences = [_cadence(each) for each in (run, piece)]
    if None in cadences:  # too short to have one
        return True
    return cadences[0] == cadences[1] and (cadences[0] == 0 or (first - run.steps[0]) % cadences[0] == 0)


def _cadence(series: Series) -> int | None:
    """The distance from look to look; 0 where it changes, None where there are too few to tell."""
    gaps = np.diff(series.steps)
    if len(gaps) < 3:
        return None
    usual = int(np.median(gaps))
    return usual if np.mean(gaps == usual) > EVEN else 0


_APART = f"Give each run a file of its own, or name the column of steps by {option('step')}."


def _each_once(steps: Floats, values: Floats) -> Series:
    """Ascending steps, the last value of each."""
    last = np.append(np.diff(steps) > 0, True)
    n_steps, again = int(last.sum()), np.flatnonzero(~last)
    differing = sum(not np.isclose(values[k], values[k + 1], rtol=1e-5, atol=1e-12) for k in again)
    if differing > max(2, DOUBLED * n_steps):
        raise DataError(
            f"{len(steps)} points at {n_steps} different steps: several runs or processes wrote into one log, it holds "
            f"each batch of an evaluation, or this is not the step. {_APART}"
        )
    told = f"Left out, since the last value at a step counts: {differing} of {len(steps)} values."
    return Series(steps[last].astype(np.int64), values[last], (told,) if differing else ())


def _resumed(run: Series, piece: Series) -> Series:
    """A run, and what it wrote once it was resumed."""
    kept = run.steps < piece.steps[0]
    told = (
        f"The run went back to step {piece.steps[0]:,} and was resumed; what it had logged from there on no longer "
        f"counts ({int((~kept).sum())} of {len(run)} values).",
    )
    return Series(
        np.concatenate([run.steps[kept], piece.steps]),
        np.concatenate([run.values[kept], piece.values]),
        (*run.notes, *(() if kept.all() else told), *piece.notes),
    )
