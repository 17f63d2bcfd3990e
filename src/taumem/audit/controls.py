"""Audits of what is known: held-out items must come out clean, and planted copies should be found."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from taumem.analysis.discoveries import conformal_p, q_values
from taumem.analysis.phantoms import share_test
from taumem.audit.null import Null
from taumem.audit.plants import Plants
from taumem.audit.rules import Rule
from taumem.neighbors.matches import Matches
from taumem.record.audit import Control

__all__ = ["alike", "negative", "positive"]

Kin = tuple[NDArray[np.bool_], NDArray[np.bool_]]

VERY_UNLIKELY = 0.001
"""Held-out items may differ this much from training items by accident."""
UNLIKELY = 0.01
"""An audit of items that copy nothing may look so suspicious this often."""
FEWEST_ALONE = 20
"""Items without near-duplicates on either side, of which alone their likeness is judged if there are so many."""


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


def alike(null: Null, train: Matches, places: NDArray[np.int64], kin: Kin) -> Control:
    """Hold held-out items against training items, each compared with the others: both should look alike.

    Two things are held against each other. Items that have near-duplicates among (other) training items should be no
    more among the held-out ones: frames of one clip on both sides would be. And the scores of those that have none
    should agree (Kolmogorov and Smirnov), which those of items from elsewhere do not. Either way it would be unknown
    what looks like a copy by accident.

    Args:
        null: matches of held-out items.
        train: matches of some training items, each against the others.
        places: which training items these are.
        kin: of each training item, and of each held-out one, whether near-duplicates of it are training items.
    """
    of_train, of_heldout = kin
    more = share_test(int(of_heldout.sum()), len(of_heldout), int(of_train.sum()), len(of_train))
    scores = np.concatenate([null.calibration.score, null.evaluation.score])
    lone = scores[~of_heldout[np.concatenate([null.calibrated, null.evaluated])]]
    lone_train = train.score[~of_train[places]]
    if min(len(lone), len(lone_train)) < FEWEST_ALONE:
        lone, lone_train = scores, train.score
    p = min(1.0, 2 * min(more, float(ks_2samp(lone, lone_train).pvalue)))
    sentence = f"held-out items resemble training items as these resemble one another: they agree with p = {p:.2g}"
    return Control(name="alike", sentence=sentence, count=len(scores), n=len(train), passed=p >= VERY_UNLIKELY, p=p)


def positive(plants: Plants, found: Matches, groups: NDArray[np.int64], rule: Rule) -> Control:
    """See how many planted copies the rule finds, each with its own training item."""
    count, n = int((rule.copied(found) & (groups[found.nearest] == plants.groups)).sum()), len(found)
    sentence = f"planted copies {plants.how}: {count} of {n} are found"
    return Control(name=plants.name, sentence=sentence, count=count, n=n, passed=None)
