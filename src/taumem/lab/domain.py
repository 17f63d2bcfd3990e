"""What a domain is: data of one kind, read and ready, with all that is particular to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from taumem.data import Split
from taumem.diffusion import Denoiser, Diffusion, GaussianDiffusion
from taumem.models import EmpiricalDenoiser
from taumem.probes import EmpiricalGap, LossGap, MembershipAttacks, Probe, SampleProbe, usual_attacks
from taumem.record import DataFacts
from taumem.shapes import Items

__all__ = ["Asked", "Domain", "TellsParts", "attacks", "losses", "n_heldout_unless_said", "nearness"]


@dataclass(frozen=True, eq=False)
class Asked:
    """What the probes of a run are made from; all tensors are on the model's device."""

    diffusion: Diffusion
    split: Split
    """The run's training set, and the held-out data."""
    sets: Mapping[str, Items]
    """The items whose losses are measured, by the name of their set: some of the training items (``train``), of the
    held-out ones (``heldout``), and of the twin's training items (``twin``) where there is one."""
    times: tuple[float, ...]
    """Diffusion times of the losses."""
    n_items: int
    """At most this many items of a set enter what costs more than a loss."""
    block: int
    """At most this many items go through the model at once."""
    seed: int
    """Of the probes' noise."""
    membership: bool = False
    """Whether to ask more of membership than the losses tell."""


class Domain(Protocol):
    """Data of one kind, read and ready: their split, their facts, and what is asked of models and of samples."""

    def split(self, n_train: int, seed: int) -> Split:
        """Shuffle or draw the data, in an order that depends on the seed, with some held out.

        Args:
            n_train: how many training items are needed, at least.
            seed: of the order. The held-out items depend on it alone, and the training sets of growing size are nested.

        Raises:
            TaumemError: fewer training items are there.
        """
        ...

    def facts(self, split: Split) -> DataFacts:
        """Say what a run's record says about its data."""
        ...

    def probes(self, asked: Asked) -> list[Probe]:
        """Make the questions to a model."""
        ...

    def sample_probes(self, split: Split) -> list[SampleProbe]:
        """Make the questions to samples of a model of this split, which is on the model's device."""
        ...


@runtime_checkable
class TellsParts(Protocol):
    """A domain that knows what a part of an item is, and a motif (``monitor.partial``)."""

    def part_probes(self, split: Split) -> list[SampleProbe]:
        """Make the questions of which samples have copied parts, and which motifs they use."""
        ...


def losses(asked: Asked, exact: Denoiser | None = None) -> LossGap:
    """Make the question that all domains ask: the losses, and those above the optima where an exact one is known.

    Args:
        asked: what probes are made from.
        exact: the optimum on the distribution of the data; None where it is unknown.
    """
    empirical = EmpiricalDenoiser(asked.diffusion, asked.split.train) if exact else None
    return LossGap(
        asked.diffusion,
        asked.sets,
        times=asked.times,
        seed=asked.seed,
        exact=exact,
        empirical=empirical,
        block=asked.block,
    )


def attacks(asked: Asked) -> MembershipAttacks:
    """Make the question that all domains can ask of membership, by the attacks that the diffusion takes."""
    train, heldout = asked.sets["train"], asked.sets["heldout"]
    usual = usual_attacks(asked.diffusion, asked.times, seed=asked.seed)
    return MembershipAttacks(asked.diffusion, train, heldout, attacks=usual, block=asked.block)


def nearness(asked: Asked) -> EmpiricalGap:
    """Make the question of domains without tokens: how near the model is to total memorization."""
    train, heldout = asked.split.train, asked.sets["heldout"]
    is_of_one_time = isinstance(asked.diffusion, GaussianDiffusion) and asked.diffusion.is_of_one_time
    only = {"times": asked.times} if is_of_one_time else {}
    return EmpiricalGap(asked.diffusion, train, heldout, seed=asked.seed, block=asked.block, **only)


def n_heldout_unless_said(n_items: int) -> int:
    """How many items are held out where the experiment does not say it: a fifth, 2 to 512."""
    return max(2, min(512, n_items // 5))
