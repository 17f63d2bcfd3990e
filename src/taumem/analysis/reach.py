"""How far a forecast reaches beyond the runs that its law rests on, in words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taumem.analysis.law import Law

__all__ = ["FAR", "beyond", "carried"]

FAR = 4.0
"""How many times the largest size, or the range of batch sizes, a forecast may reach without a warning."""


def beyond(law: "Law", n_train: int, batch_size: int) -> Iterator[str]:
    """Say in what a run is so far from those of a law that nothing measured speaks for its forecast.

    Args:
        law: what it is forecast by.
        n_train: its number of training examples.
        batch_size: its training examples a step.
    """
    reach = n_train / law.largest_located
    if reach > FAR:
        yield (
            f"{law.clock}: a forecast for P = {n_train:,} reaches {reach:.3g} times beyond the largest size with a "
            f"located onset (P = {law.largest_located:,}); past {FAR:g} times, nothing measured here speaks for the "
            "law. Add a larger pilot."
        )
    if law.located_sizes != (n_train,) and len(law.located_sizes) == 1:
        yield (
            f"{law.clock}: located at one size only (P = {law.largest_located:,}); how it grows with P is what was "
            "assumed, and nothing measured here speaks for it. Add a pilot of another size."
        )
    least, most = law.batch_sizes[0], law.batch_sizes[-1]
    is_own = law.takes_whole_sets and batch_size == n_train
    if law.batch_exponent and not is_own and not least / FAR <= batch_size <= most * FAR:
        yield (
            f"{law.clock}: a forecast for batch size {batch_size:,} is more than {FAR:g} times away from those of the "
            f"runs ({_span(least, most)}), and nothing measured here speaks for the law there. Add a pilot of a nearer "
            "one."
        )


def carried(law: "Law", batch_size: int) -> str:
    """How a forecast comes from the batch sizes of a law's runs to this one, a clause; empty where k is not in it."""
    k = law.batch_exponent
    if k is None:
        return ""
    theirs = "the whole training set" if law.takes_whole_sets else _span(law.batch_sizes[0], law.batch_sizes[-1])
    if law.batch_exponent_kind == "fixed":
        whence = "fixed beforehand"
    elif law.spans_batch_sizes:
        whence = "as the pilots show it"
    else:
        whence = "as other studies showed it, not these pilots"
    return (
        f"steps are brought from batches of {theirs} to {batch_size:,} by B^-k with k = {k.value:.2f} [{k.low:.2f}, "
        f"{k.high:.2f}], {whence}"
    )


def _span(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
