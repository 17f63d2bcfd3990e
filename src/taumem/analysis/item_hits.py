"""When items that were hit or not at each look, such as texts that came back from a half, began to be hit for good."""

from taumem.analysis.placing import Placed, between_looks, for_good
from taumem.errors import ConfigError
from taumem.record import Curve

__all__ = ["onsets_of_hits"]


def onsets_of_hits(hits: Curve) -> tuple[Placed, ...]:
    """Find between which looks each item began to be hit for good.

    Args:
        hits: with 1 or 0 of each item, such as ``infill_copies``.

    Raises:
        ConfigError: the items were not kept, or no look is past step 0.
    """
    if hits.items is None:
        raise ConfigError(
            f"'{hits.quantity}' was recorded without its items, as earlier versions did; measure it anew."
        )
    return tuple(between_looks(hits.steps, for_good(item > 0.5)) for item in hits.items.T)
