"""The log of a run: its held-out loss as a curve, or why there is none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from taumem.logs.names import Meaning, meaning_of
from taumem.logs.series import Series
from taumem.record import Curve, DataFacts, Measurement, RunHeader, RunRecord

__all__ = ["Log"]


@dataclass(frozen=True)
class Log:
    """What the log of one run holds.

    Attributes:
        path: the file or folder.
        run: which of several runs in it; empty where there is one.
        format: what it was read as.
        tags: its scalars, and at how many rows each stands.
        heldout_tag: the name of the held-out loss; empty where there is none.
        heldout: its curve; None where there is none.
        train_tag: the name of a loss on training items; empty where there is none.
        train: its curve; None where there is none.
        axis: what the curve is over: steps, or epochs.
        columns: those that say when, or could.
        why: why there is no curve, a sentence; empty where there is one.
        unread: whether that is because it is damaged, or what reads it is not installed.
        notes: what was done to its points, and what else a reader should know, in sentences.
    """

    path: Path
    run: str
    format: str
    tags: Mapping[str, int] = field(repr=False)
    heldout_tag: str = ""
    heldout: Series | None = None
    train_tag: str = ""
    train: Series | None = None
    axis: str = "steps"
    columns: tuple[str, ...] = ()
    why: str = ""
    unread: bool = False
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The log for a reader."""
        return f"{self.path} ({self.run})" if self.run else str(self.path)

    @property
    def unit(self) -> str:
        """What its axis counts, in the singular."""
        return self.axis.removesuffix("s")

    @property
    def lacks_heldout(self) -> bool:
        """Whether no scalar in it is known to be a held-out loss."""
        known = (meaning_of(tag) for tag in self.tags)
        return self.heldout is None and all(name is None or name.meaning is not Meaning.HELDOUT for name in known)

    def header(self, n_train: int, seed: int = 0) -> RunHeader:
        """Say what the run is, as far as a log does.

        Args:
            n_train: number of training examples P.
            seed: to tell runs of one size apart.
        """
        data = DataFacts(name="log", fingerprint="", n_train=n_train, n_heldout=0, item_shape=())
        said = {"file": str(self.path), "run": self.run, "format": self.format, "axis": self.axis}
        tags = {"heldout_loss": self.heldout_tag} | ({"train_loss": self.train_tag} if self.train is not None else {})
        return RunHeader(name="log", data=data, seed=seed, batch_size=0, steps=0, probes={"log": said | tags})

    def measurements(self) -> Iterator[Measurement]:
        """The points as a record has them: means, of items that are not known."""
        for quantity, series in (("heldout_loss", self.heldout), ("train_loss", self.train)):
            for step, value in zip(series.steps, series.values, strict=True) if series is not None else ():
                yield Measurement(
                    quantity=quantity, value=float(value), count=0, step=int(step), examples=0, seconds=0.0
                )

    @property
    def curve(self) -> Curve | None:
        """The held-out loss over training; None where there is none."""
        rows = [row for row in self.measurements() if row.quantity == "heldout_loss"]
        return Curve.from_measurements("heldout_loss", rows) if rows else None

    def record(self, n_train: int, seed: int = 0) -> RunRecord:
        """The log as a record in memory; see :meth:`header`."""
        return RunRecord.of(self.header(n_train, seed), self.measurements())
