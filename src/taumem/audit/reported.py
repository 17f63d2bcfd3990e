"""Scores that others report, from the sets of an audit, or why one cannot be given."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from taumem.audit.cells import drawn
from taumem.audit.scores import authpct, c_t, closer_to_train, mifid_term, nn_divergence
from taumem.audit.settings import Settings
from taumem.audit.sides import Sides, taken
from taumem.data.gathered import Gathered
from taumem.errors import DataError
from taumem.record.audit import NotRun, Score

__all__ = ["reported_scores"]

MOST = 10_000
"""Samples and held-out items that scores are computed on, drawn by the seed: more would hardly change them."""


def reported_scores(sides: Sides, settings: Settings) -> tuple[dict[str, Score], tuple[NotRun, ...]]:
    """Compute each score that the sets allow."""
    if sides.train.kind in ("texts", "tokens"):
        why = f"C_T, AuthPct and the like compare numbers; these are {sides.train.kind}"
        return {}, (NotRun(what="scores that others report", why=why),)
    if 4 * len(sides.train) * math.prod(sides.train.shape) > settings.memory:
        why = "they look at all training items at once, which take more than the memory that was allowed"
        return {}, (NotRun(what="scores that others report", why=why),)
    train = torch.as_tensor(sides.train.items[:])  # all: a copy of one that is left out would not be seen
    generated = _some(sides.generated, "generated", settings.seed)
    heldout = None if sides.heldout is None else _some(sides.heldout, "heldout", settings.seed)
    ways: dict[str, Callable[[], Score]] = {
        "authpct": partial(authpct, train, generated, heldout=heldout),
        "mifid_term": partial(mifid_term, train, generated, heldout=heldout),
    }
    if heldout is not None:
        ways |= {
            "c_t": partial(c_t, train, heldout, generated, seed=settings.seed),
            "closer_to_train": partial(closer_to_train, train, heldout, generated, seed=settings.seed),
            "nn_divergence": partial(nn_divergence, train, heldout, generated),
        }
    scores, not_run = dict[str, Score](), list[NotRun]()
    for name, compute in ways.items():
        try:
            scores[name] = compute()
        except DataError as error:  # too few items for one of them say nothing about the others
            not_run.append(NotRun(what=name, why=str(error)))
    if heldout is None:
        why = "they compare samples with held-out items, and there are none"
        not_run.append(NotRun(what="c_t, closer_to_train, nn_divergence", why=why))
    return dict(sorted(scores.items())), tuple(not_run)


def _some(part: Gathered, role: str, seed: int) -> Tensor:
    if len(part) <= MOST:
        return torch.as_tensor(part.items[:])
    return torch.as_tensor(taken(part, drawn(len(part), MOST, seed, "audit scores", role).numpy()))
