"""The share of generated texts that are copies of training texts, beside the share that chance alone would give."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from taumem.data.items import as_symbols
from taumem.data.lines import without_ends
from taumem.errors import ConfigError
from taumem.neighbors import Substrings, nearest_by_edits, nearest_hamming
from taumem.probes.probe import chance_of, mean, share
from taumem.record import CopyRule, Estimate, Reading
from taumem.shapes import Items

__all__ = ["TextCopies"]


class _Compared(NamedTuple):
    """Texts against the training texts."""

    nearest: Int[Tensor, "n window"]
    distance: Float[Tensor, "n"]
    """To the nearest: the share of positions that differ, or of symbols that must be edited."""
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

    Lines, which have lengths of their own, are compared by edit distance: a symbol that is put in or left out moves all
    behind it. A copy is a sample of which at most the threshold's share of the symbols (of the longer of the two) must
    be replaced, put in or left out to make it a training line.

    Args:
        train: training texts [P, window], symbols.
        heldout: texts [n, window] that the model never saw; without any, no level of chance is given.
        threshold: largest share of a copy's positions, or of the symbols of a line, that may differ, in [0, 1).
        line_end: of lines, the symbol that ends each and fills its row; None for texts of one length.
        keep: how many samples to keep in the record, with the nearest training text of each, its distance (the share
            of positions that differ), and whether it is a copy.

    Raises:
        ConfigError: a threshold outside [0, 1), or no training texts.
        DataError: texts that are no tables of symbols, or of different lengths.

    Warns:
        TaumemWarning: chance may be above 5 %.
    """

    def __init__(
        self, train: Items, heldout: Items, *, threshold: float = 0.05, line_end: int | None = None, keep: int = 32
    ) -> None:
        if not 0 <= threshold < 1:
            raise ConfigError(
                f"the threshold is the share of a copy's symbols that may differ, from 0 to below 1; got {threshold}."
            )
        self.train = as_symbols(train, "training texts")
        heldout = as_symbols(heldout, "held-out texts", like=self.train)
        if len(self.train) == 0:
            raise ConfigError("copies are counted against training texts; got none.")
        self.threshold = threshold
        self.line_end = line_end
        self.lines = None if line_end is None else without_ends(self.train, line_end)
        self.passages = Substrings(self.train if self.lines is None else self.lines)
        self.keep = keep
        self.heldout = self._compare(heldout) if len(heldout) else None
        if self.heldout:
            chance_of("copy_fraction_chance", int(self.heldout.copied.sum()), len(heldout))

    @property
    def copy_rule(self) -> CopyRule:
        """A copy differs from a training text at no more than the threshold's share of its positions or symbols."""
        return CopyRule(measure="hamming" if self.line_end is None else "edit_distance", threshold=self.threshold)

    @property
    def settings(self) -> dict[str, Any]:
        """The threshold, and how many training and held-out texts there are."""
        n_items = {"train": len(self.train), "heldout": len(self.heldout.copied) if self.heldout else 0}
        return {"threshold": self.threshold, "n_items": n_items}

    def measure(self, samples: Items) -> Reading:
        """Compare the samples with the training texts."""
        samples = as_symbols(samples, "samples", like=self.train)
        found = self._compare(samples)
        exact = share("exact_copies", int((found.distance == 0).sum()), len(samples))
        estimates = (_share("copy_fraction", found), exact, mean("longest_match", found.longest))
        return Reading(
            estimates + self._chance(len(samples)),
            {
                "samples": samples[: self.keep].int().cpu().numpy(),
                "nearest": found.nearest[: self.keep].int().cpu().numpy(),
                self.copy_rule.measure: found.distance[: self.keep].float().cpu().numpy(),
                "copied": found.copied[: self.keep].cpu().numpy(),
            },
        )

    def _chance(self, n_samples: int) -> tuple[Estimate, ...]:
        if self.heldout is None:
            return ()
        longest = mean("longest_match_chance", self.heldout.longest[:n_samples])
        return _share("copy_fraction_chance", self.heldout), longest

    def _compare(self, texts: Items) -> _Compared:
        symbols: Items | list[str] = texts
        if self.lines is None or self.line_end is None:
            differ, places = nearest_hamming(texts, self.train)
            distance, place = differ[:, 0].double() / self.train.shape[1], places[:, 0]
        else:
            symbols = lines = without_ends(texts, self.line_end)
            distance, place = map(torch.from_numpy, nearest_by_edits(lines, self.lines))
        copied = distance <= self.threshold
        return _Compared(self.train[place], distance, copied, self.passages.longest_match(symbols))


def _share(quantity: str, compared: _Compared) -> Estimate:
    return share(quantity, int(compared.copied.sum()), len(compared.copied))
