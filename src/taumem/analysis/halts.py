"""Where runs have to stop, and which runs on all data they can be held against: what a price of stopping is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from taumem.analysis.looked_up import PAIRED
from taumem.analysis.onset import Onset
from taumem.analysis.regions import last_look_before, looks_of
from taumem.analysis.wording import sizes_text
from taumem.errors import ConfigError
from taumem.record import RunRecord

__all__ = ["Halt", "check_halts", "halts_of", "left_out_of", "partner_of"]


@dataclass(frozen=True)
class Halt:
    """Where a run had to stop.

    Attributes:
        record: the run.
        step: the last look before tau_mem; None where it had reached that by its first look.
        reached: whether it was seen to reach tau_mem at all.
    """

    record: RunRecord
    step: int | None
    reached: bool

    @property
    def n_train(self) -> int:
        """Number of training examples P."""
        return self.record.header.data.n_train


def halts_of(records: Sequence[RunRecord], onsets: Sequence[Onset], clock: str) -> Iterator[Halt]:
    """Where runs had to stop by a clock; those without it, or without a held-out loss, are left out.

    Args:
        records: the runs.
        onsets: of any clocks and runs; that of a pair is that of both its halves.
        clock: which clock is tau_mem.
    """
    own = {onset.run: onset for onset in onsets if onset.clock == clock}
    for record in records:
        key, steps = record.header.key, looks_of(record, PAIRED)
        onset = own.get(key, own.get(key.pair))
        if onset is not None and steps:
            yield Halt(record, last_look_before(onset, steps), onset.censored != "right")


def check_halts(
    records: Sequence[RunRecord],
    full: Sequence[RunRecord],
    clock: str,
    halts: Sequence[Halt],
    compared: Sequence[Halt],
) -> None:
    """Refuse runs of which no price can be told.

    Args:
        records: the runs.
        full: those on all data.
        clock: which clock is tau_mem.
        halts: where runs had to stop.
        compared: of them, those that are held against the runs on all data.

    Raises:
        ConfigError: they do not belong together, or there is nothing to compare.
    """
    if not halts:
        raise ConfigError(f"a price of stopping needs a held-out loss and {clock or 'a tau_mem'} of one run at least.")
    headers = [record.header for record in (*records, *full)]
    facts: dict[str, set[object]] = {
        "data set": {header.data.name for header in headers},
        "batch size": {header.batch_size for header in headers},
        "kind of weights": {header.weights for header in headers},
        "network": {str(header.experiment.get("model")) for header in headers},
    }
    for what, values in facts.items():
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            raise ConfigError(f"the price of stopping is of one {what}; these runs have {listed}. Make one of each.")
    if not all(looks_of(record, PAIRED) for record in full):
        raise ConfigError(f"the price of stopping needs a run on all data with a {PAIRED}; record one with it.")
    if not compared:
        raise ConfigError(
            "the price of stopping is of runs on less than all data; all data are "
            f"P = {full[0].header.data.n_train:,}, and these runs have {_sizes(records)}. Name larger ones as all data."
        )
    if len({header.data.n_train for header in headers}) < 2:
        raise ConfigError("the price of stopping needs runs of two sizes: add one on all the data.")
    if all(halt.step is None for halt in compared):
        raise ConfigError(f"every run had reached {clock} by its first look, where no price is known. Look earlier.")
    if not any(halt.reached for halt in compared):
        raise ConfigError(f"no run has reached {clock}, so none has to stop. Train longer, or name another tau_mem.")


def left_out_of(all_data: Sequence[RunRecord], halts: Sequence[Halt], most: int) -> Iterator[str]:
    """Say which runs have no part in the price.

    Args:
        all_data: those that were named as all data; none where the study's own stand for it.
        halts: where runs had to stop.
        most: P of all data.
    """
    if passed_over := [record for record in all_data if record.header.data.n_train < most]:
        yield (
            f"Of the runs that were named as all data, {len(passed_over)} at {_sizes(passed_over)} are passed over: "
            f"all data are P = {most:,}."
        )
    if all_data and (as_large := [halt.record for halt in halts if halt.n_train >= most]):
        yield f"Runs at {_sizes(as_large)} have no price, as they are on no less than all data (P = {most:,})."


def partner_of(record: RunRecord, full: Sequence[RunRecord]) -> RunRecord:
    """The run on all data that one is held against: of its seed and half, else of its seed, else the first.

    Args:
        record: the run.
        full: those on all data.
    """
    of_seed = [each for each in full if each.header.seed == record.header.seed] or list(full)
    return next((each for each in of_seed if each.header.half == record.header.half), of_seed[0])


def _sizes(records: Sequence[RunRecord]) -> str:
    return f"P = {sizes_text(sorted({record.header.data.n_train for record in records}))}"
