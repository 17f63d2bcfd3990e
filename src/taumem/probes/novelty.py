"""How many samples are what they should be, and no training items: validity, novelty, uniqueness."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from taumem.data.items import as_items, as_symbols
from taumem.errors import ConfigError
from taumem.probes.probe import share
from taumem.probes.quality import Decode
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["CanonicalForm", "Novelty"]

CanonicalForm = Callable[[str], str | None]
"""From an item to the one form of all that mean the same; None of what means nothing."""


class Novelty:
    """Reads samples as items of their language: which are valid, which are new, and which are distinct.

    ``validity``: of the samples, the share that are valid, of which there is a canonical form. ``novelty``: of the
    valid ones, the share that are no training items, in whatever way they are written. Both with their exact 95 %
    intervals. ``uniqueness``: the number of distinct items among the valid samples, over the number of these; its
    standard error is the jackknife's. Without canonical forms, items are the same if they are written alike, whatever
    is not blank counts as valid, and ``validity`` is not given. Where no sample is valid, the other two are left out.

    Copies are counted more widely, at a distance (:class:`TextCopies`): a sample that is new by a single symbol is one.

    Args:
        train: training items [P, length], symbols.
        decode: from tokens to items as strings.
        canonical: gives the canonical form of an item, such as :func:`~taumem.data.smiles.canonical_smiles`.

    Raises:
        ConfigError: no training items.
        DataError: items that are no symbols, or of another length.

    Reference: Polykovskiy et al. 2020, arXiv 1811.12823 (MOSES).
    """

    def __init__(self, train: Items, decode: Decode, *, canonical: CanonicalForm | None = None) -> None:
        self.train = as_symbols(train, "training items")
        if not len(self.train):
            raise ConfigError("samples are new where they are no training items; got none of these.")
        self.decode = decode
        self.canonical = canonical
        self.known = frozenset(self._forms(self.train))

    @property
    def settings(self) -> dict[str, Any]:
        """How many training items there are, and whether items have canonical forms."""
        return {"canonical": self.canonical is not None, "n_items": {"train": len(self.train)}}

    def measure(self, samples: Items) -> Reading:
        """Count the samples that are valid, and those of them that are new and distinct."""
        samples = as_symbols(as_items(samples, "samples", least=1), "samples", like=self.train)
        valid = self._forms(samples)
        found = [share("validity", len(valid), len(samples))] if self.canonical else []
        if valid:
            found.append(share("novelty", sum(form not in self.known for form in valid), len(valid)))
            found.append(_uniqueness(valid))
        return Reading(tuple(found))

    def _forms(self, items: Items) -> list[str]:
        """The forms of the items that are valid."""
        texts = [text for text in self.decode(items.cpu()) if text.strip()]
        forms = map(self.canonical, texts) if self.canonical else texts
        return [form for form in forms if form is not None]


def _uniqueness(forms: Sequence[str]) -> Estimate:
    """The share that is left without repetitions."""
    counts, n = Counter(forms), len(forms)
    # The jackknife: without one item, the number of distinct ones is less by one only where that stands alone.
    alone = sum(count == 1 for count in counts.values()) / n
    se = (alone * (1 - alone) / (n - 1)) ** 0.5 if n > 1 else None
    return Estimate(quantity="uniqueness", value=len(counts) / n, se=se, count=n)
