"""Audits of what is known: held-out items must come out clean, and planted copies should be found."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from torch import Generator, Tensor

from taumem.analysis.discoveries import conformal_p, q_values
from taumem.audit.null import Null
from taumem.audit.rules import Rule
from taumem.audit.sides import taken
from taumem.data.gathered import Gathered
from taumem.neighbors.matches import Matches
from taumem.randomness import generator_for
from taumem.record.audit import Control

__all__ = ["Plants", "alike", "negative", "planted", "positive"]

VERY_UNLIKELY = 0.001
"""Held-out items may differ this much from training items by accident."""
UNLIKELY = 0.01
"""An audit of items that copy nothing may look so suspicious this often."""
N_PLANTED = 64
NOISE = 8 / 127.5
"""Of planted copies of images in [-1, 1]: 8 of 255 shades."""
CHANGED = 0.05
"""Share of the symbols of planted copies of texts that are changed."""
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def negative(null: Null, q: float) -> Control:
    """Audit the evaluation half as if its items were samples: they copy nothing, and none should be flagged.

    The halves are drawn at random, so it looks at the audit and not at the data: by accident it fails in one audit of a
    hundred (Simes' p of all items together).
    """
    values = q_values(conformal_p(null.evaluation.score, null.calibration.score))
    n, p = len(values), float(values.min())
    count = int((values <= q).sum())
    what = "held-out items" if null.source == "heldout" else "training items, each against the others,"
    sentence = f"{what} audited as if they were samples: {count} of {n} are flagged"
    return Control(name="negative", sentence=sentence, count=count, n=n, passed=p >= UNLIKELY, p=p)


def alike(null: Null, train: Matches) -> Control:
    """Hold held-out items against training items, each compared with the others: both should look alike.

    It fails where held-out items come from elsewhere, are copies or near-duplicates of training items (frames of one
    clip on both sides), or where items repeat: then it is unknown what looks like a copy by accident.
    """
    scores = np.concatenate([null.calibration.score, null.evaluation.score])
    p = float(ks_2samp(scores, train.score).pvalue)
    sentence = f"held-out items resemble training items as these resemble one another: they agree with p = {p:.2g}"
    return Control(name="alike", sentence=sentence, count=len(scores), n=len(train), passed=p >= VERY_UNLIKELY, p=p)


@dataclass(frozen=True, eq=False)
class Plants:
    """Copies of training items that were made on purpose.

    Attributes:
        items: the copies.
        groups: that of the training item which each is a copy of.
        how: how they were changed, in words.
    """

    items: Tensor | list[str]
    groups: NDArray[np.int64]
    how: str


def planted(train: Gathered, groups: NDArray[np.int64], seed: int) -> Plants:
    """Copy some training items, not quite."""
    places = np.unique(groups, return_index=True)[1]
    order = torch.randperm(len(places), generator=generator_for(seed, "audit plants")).numpy()
    places = places[order[:N_PLANTED]]
    copies, how = _changed(taken(train, places), generator_for(seed, "audit plants", 1))
    return Plants(copies, groups[places], how)


def positive(plants: Plants, found: Matches, groups: NDArray[np.int64], rule: Rule) -> Control:
    """See how many planted copies the rule finds, each with its own training item."""
    count, n = int((rule.copied(found) & (groups[found.nearest] == plants.groups)).sum()), len(found)
    sentence = f"copies of training items {plants.how}: {count} of {n} are found"
    return Control(name="positive", sentence=sentence, count=count, n=n, passed=None)


def _changed(items: Tensor | list[str], generator: Generator) -> tuple[Tensor | list[str], str]:
    """Change items a little, and say how."""
    if isinstance(items, list):
        return [_misspelled(text, generator) for text in items], f"with {CHANGED:.0%} of their symbols changed"
    if not items.is_floating_point():
        return items, "as they are"
    if items.ndim == 4:
        noise = NOISE * torch.randn(items.shape, generator=generator)
        return (items + noise).clamp(-1, 1), "with noise of 8 of 255 shades"
    spread = items.std(dim=0, keepdim=True) if len(items) > 1 else torch.ones_like(items)
    return items + 0.1 * spread * torch.randn(items.shape, generator=generator), "with noise of a tenth of their spread"


def _misspelled(text: str, generator: Generator) -> str:
    symbols = list(text)
    n = int(CHANGED * len(symbols))
    for place in torch.randperm(len(symbols), generator=generator)[:n].tolist():
        other = int(torch.randint(len(ALPHABET) - 1, (), generator=generator))
        symbols[place] = ALPHABET.replace(symbols[place], "")[other % (len(ALPHABET) - 1)]
    return "".join(symbols)
