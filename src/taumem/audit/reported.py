"""Scores that others report, from the sets of an audit, or why one cannot be given."""

from taumem.audit.scores import authpct, c_t, closer_to_train, mifid_term, nn_divergence
from taumem.audit.settings import Settings
from taumem.audit.sides import Sides
from taumem.record.audit import NotRun, Score

__all__ = ["reported_scores"]

MOST = 10_000
"""Items of each set that scores are computed on, drawn by the seed: more would hardly change them."""
WITH_HELDOUT = {"c_t": c_t, "closer_to_train": closer_to_train, "nn_divergence": nn_divergence}
WITHOUT = {"authpct": authpct, "mifid_term": mifid_term}


def reported_scores(sides: Sides, settings: Settings) -> tuple[dict[str, Score], tuple[NotRun, ...]]:
    """Compute each score that the sets allow."""
    if sides.train.kind in ("texts", "tokens"):
        why = f"C_T, AuthPct and the like compare numbers; these are {sides.train.kind}"
        return {}, (NotRun(what="scores that others report", why=why),)
    train, generated = (_some(part, settings.seed) for part in (sides.train, sides.generated))
    heldout = None if sides.heldout is None else _some(sides.heldout, settings.seed)
