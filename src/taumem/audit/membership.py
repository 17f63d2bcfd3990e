"""Whether the model's loss tells training items from held-out ones: for those who have the model as well."""

from typing import Any

from taumem.record.audit import NotRun, Score

__all__ = ["membership_scores"]


def membership_scores(losses: tuple[Any, Any] | None) -> tuple[tuple[Score, ...], tuple[NotRun, ...]]:
    """Give AUC and true positives at 0.1 % and 1 % false ones, or say why not."""
    if losses is None:
        why = "an audit of samples alone sees no losses; give those of training and held-out items (losses=)"
        return (), (NotRun(what="membership", why=why),)
    raise NotImplementedError
