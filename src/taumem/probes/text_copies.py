"""The share of generated texts that are copies of training texts, beside the share that chance alone would give."""

from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from taumem.data.items import as_symbols
from taumem.errors import ConfigError
from taumem.neighbors import Substrings, nearest_hamming
from taumem.probes.probe import chance_of, mean, share
from taumem.record import CopyRule, Estimate, Reading
from taumem.shapes import Items

__all__ = ["TextCopies"]


class _Compared(NamedTuple):
    """Texts against the training texts."""

    nearest: Int[Tensor, "n window"]
    hamming: Float[Tensor, "n"]
    """Share of positions that differ from the nearest."""
    copied: Bool[Tensor, "n"]
    longest: Int[Tensor, "n"]
    """Symbols of the longest passage that is shared with any training text."""


class TextCopies:
    """Counts the samples that are training texts but for a few symbols, and measures the longest verbatim passage.

    ``copy_fraction``: of the samples that differ from a training text at no more than the threshold's share of their
    positions; ``copy_fraction_chance``: of the held-out texts, which copy nothing, under the same rule.
    ``exact_copies``: of the samples that are training texts symbol for symbol. ``longest_match``: symbols of the
    longest passage that a sample shares with any training text, wherever it stands, on average over the samples;
    ``longest_match_chance``: on average over held-out texts, as many as there are samples (or all, if there are fewer).
    Texts of one language share passages anyway, the longer the more training text there is: only the difference counts.
    Shares come with their exact 95 % intervals.

    Args:
        train: training texts [P, window], symbols.
        heldout: texts [n, window] that the model never saw; without any, no level of chance is given.
        threshold: largest share of a copy's positions that may differ, in [0, 1).
        keep: how many samples to keep in the record, with the nearest training text of each, its distance (the share
            of positions that differ), and whether it is a copy.

    Raises:
        ConfigError: a threshold outside [0, 1), or no training texts.
        DataError: texts that are no tables of symbols, or of different lengths.

    Warns:
        TaumemWarning: chance may be above 5 %.
    """

    def __init__(self, train: Items, heldout: Items, *, threshold: float = 0.05, keep: int = 32) -> None:
        if not 0 <= threshold < 1:
            raise ConfigError(
                f"the threshold is the share of a copy's symbols that may differ, from 0 to below 1; got {threshold}."
            )
        self.train = as_symbols(train, "training texts")
        heldout = as_symbols(heldout, "held-out texts", like=self.train)
        if len(self.train) == 0:
            raise ConfigError("copies are counted against training texts; got none.")
        self.passages = Substrings(self.train)
        self.threshold = threshold
        self.keep = keep
        self.heldout = self._compare(heldout) if len(heldout) else None
        if self.heldout:
            chance_of("copy_fraction_chance", int(self.heldout.copied.sum()), len(heldout))

    @property
    def copy_rule(self) -> CopyRule:
        """A copy differs from a training text at no more than the threshold's share of its positions."""
        return CopyRule(measure="hamming", threshold=self.threshold)

    @property
    def settings(self) -> dict[str, Any]:
        """The threshold, and how many training and held-out texts there are."""
        n_items = {"train": len(self.train), "heldout": len(self.heldout.copied) if self.heldout else 0}
        return {"threshold": self.threshold, "n_items": n_items}

    def measure(self, samples: Items) -> Reading:
        """Compare the samples with the training texts."""
        samples = as_symbols(samples, "samples", like=self.train)
        found = self._compare(samples)
        exact = share("exact_copies", int((found.hamming == 0).sum()), len(samples))
        estimates = (_share("copy_fraction", found), exact, mean("longest_match", found.longest))
        return Reading(
            estimates + self._chance(len(samples)),
            {
                "samples": samples[: self.keep].int().cpu().numpy(),
                "nearest": found.nearest[: self.keep].int().cpu().numpy(),
                "hamming": found.hamming[: self.keep].float().cpu().numpy(),
                "copied": found.copied[: self.keep].cpu().numpy(),
            },
        )

    def _chance(self, n_samples: int) -> tuple[Estimate, ...]:
        if self.heldout is None:
            return ()
        longest = mean("longest_match_chance", self.heldout.longest[:n_samples])
        return _share("copy_fraction_chance", self.heldout), longest

    def _compare(self, texts: Items) -> _Compared:
        differ, places = nearest_hamming(texts, self.train)
        hamming = differ[:, 0].double() / self.train.shape[1]
        copied = hamming <= self.threshold
        return _Compared(self.train[places[:, 0]], hamming, copied, self.passages.longest_match(texts))


def _share(quantity: str, compared: _Compared) -> Estimate:
    return share(quantity, int(compared.copied.sum()), len(compared.copied))
