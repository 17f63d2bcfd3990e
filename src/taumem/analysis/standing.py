"""Where runs stand, from files alone: those that are finished, under way, interrupted, failed, and not begun."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from taumem.analysis.find import find_onsets
from taumem.analysis.onset import Onset
from taumem.analysis.stopping import has_ended
from taumem.errors import RecordError, TaumemError, TaumemWarning
from taumem.record import RunRecord, find_runs
from taumem.record.planned import PlannedRun, find_planned
from taumem.record.state import State, StateName, read_state

__all__ = ["Standing", "standings"]

Word = StateName | Literal["not begun", "recorded"]


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        path: its folder, or the sealed file and its name in it.
        experiment: the study's name.
        n_train: number of training examples P.
        seed: of the run.
        half: of a pair of twins.
        state: in a word; ``recorded`` for a run of a loop of one's own, which did not say how long it is to be.
        step: the last one that is known.
        steps: that it takes at most; 0 where nobody said.
        reason: why it failed.
        quantities: what was measured.
        onsets: of the clocks of single runs.
    """

    path: Path
    experiment: str
    n_train: int
    seed: int | None
    half: str | None
    state: Word
    step: int
    steps: int
    reason: str = ""
    quantities: tuple[str, ...] = ()
    onsets: tuple[Onset, ...] = ()

    @property
    def words(self) -> str:
        """The state as a reader has it.

        >>> Standing(Path("P000008-seed0"), "tiny", 8, 0, None, "interrupted", 1200, 3000).words
        'interrupted at 1,200 of 3,000'
        """
        if self.state in ("finished", "not begun"):
            return self.state
        of = f" of {self.steps:,}" if self.steps else ""
        return f"{self.state} at {self.step:,}{of}"

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        names = ("experiment", "n_train", "seed", "half", "state", "step", "steps", "reason")
        parts = ("step", "low", "high", "censored")
        clocks = {onset.clock: {k: v for k, v in onset.to_json().items() if k in parts} for onset in self.onsets}
        facts = {"run": str(self.path)} | {name: getattr(self, name) for name in names}
        return facts | {"quantities": list(self.quantities), "clocks": clocks}


def standings(*places: Path) -> tuple[list[Standing], dict[str, str]]:
    """Where all runs stand that are in some folders, or are to be there.

    Args:
        places: folders of runs or of studies, sealed files, or folders above them.

    Returns:
        The runs, by their paths; and by path, why some cannot be read.

    Raises:
        RecordError: a place without a run, and without one to come.
    """
    planned = {run.path: run for place in places for run in find_planned(place)}
    found: dict[Path, Path] = {}
    for place in places:
        try:
            found |= {run: run for run in find_runs(place)}
        except RecordError:
            if not any(run.is_relative_to(place) for run in planned):
                raise
    known, unreadable = [], {}
    for path in sorted({*found, *planned}):
        if path not in found:
            known.append(_to_come(planned[path]))
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TaumemWarning)  # the last line of a run under way may be half written
                known.append(_of_record(RunRecord.read(path)))
        except TaumemError as error:  # one bad record must not hide the others
            unreadable[str(path)] = str(error)
    return known, unreadable


def _to_come(run: PlannedRun) -> Standing:
    """Of a run without a record; what it is started from may be on its way, or it may have failed before it began."""
    state = read_state(run.path)
    word: Word = state.now if state else "not begun"
    facts = (run.path, run.experiment, run.n_train, run.seed, run.half)
    return Standing(*facts, word, state.step if state else 0, run.steps, state.reason if state else "")


def _of_record(record: RunRecord) -> Standing:
    header, noted = record.header, read_state(record.path)
    word = _word(record, noted)
    is_over = word in ("finished", "recorded")
    return Standing(
        path=record.path,
        experiment=header.name,
        n_train=header.data.n_train,
        seed=header.seed,
        half=header.half,
        state=word,
        step=record.last_step if is_over or noted is None else max(noted.step, record.last_step),
        steps=header.steps,
        reason=noted.reason if noted and word == "failed" else "",
        quantities=tuple(record.quantities),
        onsets=tuple(find_onsets([record])),
    )


def _word(record: RunRecord, noted: State | None) -> Word:
    header = record.header
    training = header.experiment.get("training")
    if not header.steps:
        return "recorded"
    if has_ended(record, record.last_step, training if isinstance(training, dict) else {}, header.steps):
        return "finished"
    return noted.now if noted and noted.name != "finished" else "interrupted"
