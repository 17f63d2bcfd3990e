"""Which run: the identity of a run as one value, and the words for it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Half", "RunKey", "run_name", "take_whole_sets"]

Half = Literal["a", "b", "ab"]
"""Which of two disjoint training sets; ``ab`` for what was found in the pair of models trained on them."""


@dataclass(frozen=True)
class RunKey:
    """What tells one run from the others of its study, and from those of other studies.

    It does not hold the recipe (the network, the learning rate, ...): runs of one experiment share that.

    Attributes:
        n_train: number of training examples P.
        batch_size: training examples a step.
        seed: None where none is known.
        half: ``a`` or ``b`` for one of two models trained on disjoint sets, ``ab`` for both, None for a single model.
        experiment: the experiment's name.
        data: the data set's name.
        weights: which weights were measured, ``raw`` or ``ema``: they have clocks of their own.
    """

    n_train: int
    batch_size: int
    seed: int | None = None
    half: Half | None = None
    experiment: str = ""
    data: str = ""
    weights: str = "raw"

    def __str__(self) -> str:
        """Name the run on one line.

        >>> str(RunKey(64, 16, seed=0, half="a", experiment="pilot"))
        'pilot P=64 seed=0 half=a'
        """
        halves = {None: "", "ab": " halves=a,b"}.get(self.half, f" half={self.half}")
        return f"{self.experiment} P={self.n_train} seed={self.seed}{halves}"

    @property
    def label(self) -> str:
        """The run among the others of its study, for a reader.

        >>> RunKey(4096, 16, seed=0, half="ab").label
        'P = 4,096 · halves a, b · seed 0'
        """
        halves = {None: "", "ab": " · halves a, b"}.get(self.half, f" · half {self.half}")
        return f"P = {self.n_train:,}{halves} · seed {self.seed}"

    @property
    def pair(self) -> "RunKey":
        """The pair of models that a model of one half belongs to."""
        return replace(self, half="ab")

    @property
    def order(self) -> tuple[int, int, str, str, str, str, int]:
        """Where runs stand when they are listed: by size, seed, experiment and half."""
        seed = -1 if self.seed is None else self.seed
        return self.n_train, seed, self.experiment, self.half or "", self.data, self.weights, self.batch_size


def run_name(n_train: int, seed: int, half: str | None) -> str:
    """What the folder of a run of the laboratory is called.

    >>> run_name(16, 0, "a")
    'P000016-seed0-a'
    """
    return f"P{n_train:06d}-seed{seed}" + (f"-{half}" if half else "")


def take_whole_sets(runs: Collection[RunKey]) -> bool:
    """Whether each step was to take the whole training set: at one size, a batch may be as large by chance.

    >>> take_whole_sets([RunKey(16, 16), RunKey(32, 32)]), take_whole_sets([RunKey(16, 16), RunKey(16, 16, seed=1)])
    (True, False)
    """
    return len({run.n_train for run in runs}) > 1 and all(run.batch_size == run.n_train for run in runs)
