"""N-gram models with Kneser-Ney smoothing: what a strong small baseline makes of the same windows of text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taumem.errors import ConfigError, DataError
from taumem.shapes import Items

__all__ = ["KneserNey", "fit_ngram"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WITHOUT_COUNTS = (0.5, 1.0, 1.5)
"""Discounts of what was counted once, twice and more often, where the counts do not tell better ones."""
DENSE = 64
"""Values up to so many times their number are counted in a table, which is faster than to sort them."""
LEFT_OUT = 10
"""One of so many training windows is left out to choose the order."""


@dataclass(frozen=True)
class _Discounted:
    """Counts of n-grams, discounted; the last entry of each stands for what was never seen.

    Attributes:
        kept: (count - discount) / count of the context, for each n-gram; 0 at last.
        left: the share of the discounts, for each context; 1 at last, and where the context was not counted.
    """

    kept: Floats
    left: Floats

    @classmethod
    def of(cls, counts: Ints, context: Ints, n_contexts: int) -> "_Discounted":
        discount = np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)]
        total, taken = (np.bincount(context, weights, n_contexts) for weights in (counts, discount))
        seen = np.maximum(total, 1)
        kept = (counts - discount) / seen[context]
        return cls(np.append(kept, 0.0), np.append(np.where(total > 0, taken / seen, 1.0), 1.0))


@dataclass(frozen=True)
class _Grams:
    """The n-grams of one length: each is the number of its context times the vocabulary, plus its last symbol.

    Attributes:
        keys: of all that were seen, ascending; an n-gram's place here is its number as a context of longer ones.
        often: by how often each was seen: for where no longer context is known.
        widely: by how many symbols each was seen after: for where a longer context is known and was no help; None at
            the model's own order, where it is not needed.
    """

    keys: Ints
    often: _Discounted
    widely: _Discounted | None

    def find(self, keys: Ints) -> Ints:
        """Give the place of each key, -1 where it was not seen; negative keys were not."""
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == keys, place, -1)


class KneserNey:
    """An n-gram model of windows of symbols, by interpolated modified Kneser-Ney smoothing.

        p(w | h) = (c(h w) - D(c(h w))) / c(h) + left(h) p(w | h without its first symbol)

    and so on down to 1/v. At the longest context c counts how often an n-gram was seen, below it how many symbols it
    was seen after. D takes one of three discounts, for counts of 1, of 2 and above, from the counts of counts; left(h)
    is what they add up to.

    Windows are taken as they come, without a sign where they begin: they are cut anywhere. So the first symbols of a
    window have short contexts, of which the longest one counts as above, and no context reaches from one window into
    another. A diffusion model of the same windows knows no more: each sees its window alone, and both are asked for the
    probability of the whole of it.

    Args:
        train: windows [P, window] of symbols from 0 to vocabulary - 1.
        order: n, the length of the longest n-grams: one symbol and n - 1 before it; from 1 to the window's length.
        vocabulary: v, the number of symbols.

    Raises:
        ConfigError: an order or a vocabulary out of its range.
        DataError: no windows, or numbers that are no symbols.

    Reference: Kneser & Ney 1995; Chen & Goodman 1998, TR-10-98, section 3 (the modified discounts).
    """

    def __init__(self, train: Items, order: int, vocabulary: int) -> None:
        if vocabulary < 1:
            raise ConfigError(f"a vocabulary needs at least 1 symbol; got {vocabulary}.")
        windows = _symbols(train, vocabulary)
        if not 1 <= order <= windows.shape[1]:
            raise ConfigError(
                f"the order of an n-gram model lies between 1 and the window's length, {windows.shape[1]}; got {order}."
            )
        self.order = order
        self.vocabulary = vocabulary
        self._grams = list(_count(windows, order, vocabulary))

    def bits_per_symbol(self, windows: Items) -> float:
        """Give -log2 p of the windows, over the number of their symbols.

        Args:
            windows: [n, window], of any length.

        Raises:
            DataError: no windows, or numbers that are no symbols.
        """
        return float(self.bits_by_window(windows).mean())

    def bits_by_window(self, windows: Items) -> Floats:
        """Give -log2 p of each window, over its length, [n]."""
        *_, last = self._by_order(_symbols(windows, self.vocabulary))
        bits: Floats = -np.log2(last).mean(axis=1)
        return bits

    def probabilities(self, context: Ints) -> Floats:
        """Give p(w | context) for each symbol w, [vocabulary], where the context are a window's first symbols.

        Args:
            context: symbols, [k]; none, k = 0, for a window's first symbol.
        """
        context = np.asarray(context, np.int64)
        ends = np.arange(self.vocabulary)[:, None]
        *_, last = self._by_order(np.hstack([np.broadcast_to(context, (self.vocabulary, len(context))), ends]))
        return last[:, -1]

    def bits_by_order(self, windows: Items) -> list[float]:
        """Give the bits per symbol of the models of orders 1, 2, ..., up to this one's, that learned the same."""
        return [float(-np.log2(p).mean()) for p in self._by_order(_symbols(windows, self.vocabulary))]

    def _by_order(self, windows: Ints) -> Iterator[Floats]:
        """Give the probability of each symbol, [n, window], under the models of orders 1, 2, ..."""
        widely = np.full(windows.shape, 1 / self.vocabulary)
        found = widely
        context = np.zeros_like(windows)
        for before, grams in enumerate(self._grams):
            # From here on: the symbols that have so many before them in their window.
            windows, context, widely = windows[:, before and 1 :], context[:, before and 1 :], widely[:, before and 1 :]
            gram = grams.find(np.where(context < 0, -1, context * self.vocabulary + windows))
            found = found.copy()
            found[:, before:] = grams.often.kept[gram] + grams.often.left[context] * widely
            yield found
            if grams.widely is not None:
                widely = grams.widely.kept[gram] + grams.widely.left[context] * widely
            # What ends at a symbol is the context of the next one.
            context = np.hstack([gram[:, :1], gram[:, :-1]])


def fit_ngram(train: Items, vocabulary: int, max_order: int = 8) -> KneserNey:
    """Fit an n-gram model, of the order that serves best on the last tenth of the windows when fitted to the others.

    Args:
        train: windows [P, window] of symbols. A single one gives a model of order 1.
        vocabulary: the number of symbols.
        max_order: the longest n-grams that are tried, at least 1; longer ones than windows are not.

    Raises:
        ConfigError: an order or a vocabulary out of its range.
        DataError: no windows, or numbers that are no symbols.
    """
    if max_order < 1:
        raise ConfigError(f"n-grams have at least 1 symbol; got max_order = {max_order}.")
    out = max(1, len(train) // LEFT_OUT)
    if len(train) <= out:
        return KneserNey(train, 1, vocabulary)
    bits = KneserNey(train[:-out], min(max_order, train.shape[1]), vocabulary).bits_by_order(train[-out:])
    return KneserNey(train, 1 + int(np.argmin(bits)), vocabulary)


def _count(windows: Ints, order: int, vocabulary: int) -> Iterator[_Grams]:
    """Count the n-grams of lengths 1, ..., order: the numbers of all that are one shorter are their contexts."""
    keys, place, counts = _unique(windows)
    n_contexts = 1
    context = np.zeros_like(keys)
    for length in range(1, order + 1):
        often = _Discounted.of(counts, context, n_contexts)
        if length == order:
            yield _Grams(keys, often, None)
            return
        # One symbol more: each n-gram is the context of the symbol after it.
        longer, next_place, next_counts = _unique(place[:, :-1] * vocabulary + windows[:, length:])
        ends = np.empty(len(longer), np.int64)
        ends[next_place] = place[:, 1:]
        after = np.bincount(ends, minlength=len(keys))
        yield _Grams(keys, often, _Discounted.of(after, context, n_contexts))
        n_contexts = len(keys)
        keys, place, counts, context = longer, next_place, next_counts, longer // vocabulary


def _unique(values: Ints) -> tuple[Ints, Ints, Ints]:
    """Give the distinct values, the place of each value among them, and how often each comes; none is negative."""
    if values.size and values.max() < DENSE * values.size:
        counts = np.bincount(values.ravel())
        keys = np.flatnonzero(counts)
        return keys, (np.cumsum(counts > 0) - 1)[values], counts[keys]
    keys, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return keys, place.reshape(values.shape), counts


def _discounts(counts: Ints) -> tuple[float, ...]:
    """Give the discounts of counts of 1, 2, and 3 or more: Chen and Goodman's, or fixed ones where theirs make none."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    if not n[1:5].all():
        return WITHOUT_COUNTS
    y = n[1] / (n[1] + 2 * n[2])
    found = tuple(float(k - (k + 1) * y * n[k + 1] / n[k]) for k in (1, 2, 3))
    return found if min(found) > 0 else WITHOUT_COUNTS


def _symbols(windows: Items, vocabulary: int) -> Ints:
    """Give the windows as an array, and refuse what is none of the symbols."""
    array: NDArray[Any] = windows.detach().cpu().numpy()
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"windows of symbols are integers [n, window]; got {array.dtype} of shape {array.shape}.")
    if not array.size:
        raise DataError(f"an n-gram model needs at least 1 window of at least 1 symbol; got shape {array.shape}.")
    if not 0 <= array.min() <= array.max() < vocabulary:
        raise DataError(
            f"symbols are numbered from 0 to {vocabulary - 1}; got numbers from {array.min()} to {array.max()}."
        )
    return array.astype(np.int64)
