"""Which of the lines are held out and which are trained on: none that equals or resembles one chosen before it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taumem.data.near_duplicates import sift
from taumem.randomness import generator_for

__all__ = ["LineChoice", "choose"]

FEW = 4096
"""So many lines are looked at anyway, so that it is known how many are distinct; more, if it takes them."""


@dataclass(frozen=True, eq=False)
class LineChoice:
    """The chosen lines, and what became of the others.

    Attributes:
        train: the lines to train on, at most as many as were asked for [n, max_length].
        heldout: the lines held out, at most as many as were asked for.
        n_distinct: how many of those looked at neither equal nor resemble another one that counts.
        n_lines: how many there are.
        n_seen: how many of them were looked at.
        n_equal: how many of these equal another one.
    """

    train: NDArray[Any]
    heldout: NDArray[Any]
    n_distinct: int
    n_lines: int
    n_seen: int
    n_equal: int

    @property
    def told(self) -> str:
        """What was passed over, as the beginning of a sentence; empty if nothing was."""
        if not (n_passed := self.n_seen - self.n_distinct):
            return ""
        told = f"{self.n_equal:,} equal and {n_passed - self.n_equal:,} that resemble others passed over"
        all_seen = self.n_seen == self.n_lines
        there = f"{self.n_distinct:,} distinct of {self.n_seen:,} lines"
        return f"{there}{'' if all_seen else f' that were drawn from {self.n_lines:,}'}; {told} (data.resemblance)"

    def too_few(self, n_train: int, n_heldout: int) -> str:
        """Say why there are fewer lines than were asked for, and what to do."""
        if self.n_lines > 1 and self.n_seen - self.n_equal == 1:
            return f"all {self.n_lines:,} lines are equal; bring others."
        passed = f" ({self.told})" if self.told else ""
        return (
            f"P = {n_train} lines + {n_heldout} held out are needed; of {self.n_lines:,} lines {len(self.heldout)} can "
            f"be held out and {len(self.train)} are left to train on{passed}. Choose a smaller P or n_heldout, or "
            "bring more lines."
        )


def choose(
    items: NDArray[Any],
    heldout: NDArray[Any] | None,
    n_train: int,
    n_heldout: int,
    *,
    seed: int,
    resemblance: float,
    padding: int,
) -> LineChoice:
    """Shuffle lines and choose: those to hold out first, so that they do not depend on how many are trained on.

    Args:
        items: the symbols of each line [n, max_length].
        heldout: the lines to hold out some of; None holds some of ``items`` out.
        n_train: how many to train on, at most.
        n_heldout: how many to hold out, at most.
        seed: of the shuffles.
        resemblance: as in :func:`~taumem.data.near_duplicates.sift`, and so is ``padding``.
        padding: the symbol behind the end of shorter lines.
    """
    pool = _shuffled(items, seed, "lines")
    others = pool if heldout is None else _shuffled(heldout, seed, "held-out lines")
    kept = sift(others, n_heldout, resemblance=resemblance, padding=padding).kept
    chosen, seen = others[kept], others[: kept[-1] + 1 if len(kept) else 0]
    if heldout is None:
        pool = pool[len(seen) :]
    elif len(kept) < n_heldout:
        seen = others
    more = pool[:FEW]
    train = sift(more, against=chosen, resemblance=resemblance, padding=padding).kept
    if len(train) < n_train and len(pool) > FEW:
        train = sift(pool, n_train, against=chosen, resemblance=resemblance, padding=padding).kept
        more = pool if len(train) < n_train else pool[: train[-1] + 1]
    n_seen = len(seen) + len(more)
    return LineChoice(
        train=pool[train[:n_train]],
        heldout=chosen,
        n_distinct=len(chosen) + len(train),
        n_lines=len(items) + (0 if heldout is None else len(heldout)),
        n_seen=n_seen,
        n_equal=n_seen - len(np.unique(np.concatenate([seen, more]), axis=0)),
    )


def _shuffled(items: NDArray[Any], seed: int, purpose: str) -> NDArray[Any]:
    shuffled: NDArray[Any] = items[torch.randperm(len(items), generator=generator_for(seed, purpose)).numpy()]
    return shuffled
