"""The training items of a recorded run: made again from what its record says, for questions that came later."""

from taumem.errors import RecordError
from taumem.lab.plan import recorded_plan
from taumem.probes.coverage import Coverage
from taumem.record import Measurement, RunRecord
from taumem.shapes import Items

__all__ = ["isolation_of", "training_items"]


def training_items(record: RunRecord) -> Items:
    """The training set of a run of the laboratory, in its order.

    Raises:
        RecordError: the record is not the laboratory's, or the data are others than those that it was made of.
        TaumemError: the data cannot be read.
    """
    header, plan = record.header, recorded_plan(record)
    split = plan.prepare().data
    if split.facts.fingerprint != header.data.fingerprint:
        raise RecordError(
            f"{record.path}: was made of other data than {header.data.name} is now; its items cannot be made again."
        )
    return split.train


def isolation_of(record: RunRecord) -> RunRecord:
    """The run with the isolation of its items: as it is where it has been measured, else from its data.

    Raises:
        RecordError: as for :func:`training_items`, it has no losses of single items, or they are losses of latents,
            which no record holds.
    """
    if record.curve_or_none("isolation") is not None:
        return record
    losses = record.curve("train_loss")
    if losses.items is None:
        raise RecordError(f"{record.path}: holds no losses of single training items.")
    if recorded_plan(record).experiment.latents is not None:
        raise RecordError(
            f"{record.path}: its items are latents, which cannot be made again from a record; a run with "
            "monitor.items = true measures their isolation while it trains."
        )
    items = training_items(record)
    (estimate,) = Coverage(items[: losses.items.shape[1]], items).measure().estimates
    told = Measurement.of(estimate, step=record.last_step, examples=0, seconds=0.0)
    return RunRecord.of(record.header, [*record.measurements, told])
