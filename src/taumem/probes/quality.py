"""How much generated text is like the language: its n-grams against those of held-out text, and its words.

Copies of training texts pass both: quality says whether something was learned, not whether it was learned by heart.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import entr
from torch import Tensor

from taumem.data.items import as_items, as_symbols
from taumem.errors import ConfigError
from taumem.probes.probe import share
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["Decode", "TextQuality", "whole_words"]

Floats = NDArray[np.float64]
Decode = Callable[[Int64[Tensor, "n window"]], list[str]]
"""From tokens to the text of each row: ``Alphabet.decode``."""


class TextQuality:
    """Compares the n-grams of samples with those of held-out text, and looks their words up.

    ``ngram_divergence[n]``: the Jensen-Shannon divergence between the frequencies of n-grams in the samples and in
    held-out text, in bits: 0 if they are equal, 1 if no n-gram is common to both. Finite texts differ by chance, the
    more the longer the n-grams, so ``ngram_divergence_chance[n]`` is that of as many other held-out texts from the
    same ones: the texts are shuffled once, as many as there are samples are set aside, and the rest is what both are
    compared with. (If there are more samples than half of the held-out texts, only as many samples as that are used.)
    Standard errors are those of a bootstrap over samples, the same draws at every look.

    ``dictionary_words``: the share of the whole words in the samples that are in the dictionary, with its exact 95 %
    interval; ``dictionary_words_chance``: of those in all held-out texts. Left out where there is no whole word.

    Args:
        heldout: texts [n, window] that the model never saw, two at least.
        decode: from tokens to texts.
        words: the dictionary.
        orders: the n of the n-grams, from 1 to the window.
        n_resamples: of the bootstrap, at least 2.
        seed: of the shuffle and of the bootstrap.

    Raises:
        ConfigError: fewer than two held-out texts, or a number out of its range.
        DataError: texts or samples that are no symbols, no samples, or samples of another length.

    Reference: Lin 1991, IEEE Trans. Inf. Theory 37, 145 (the divergence).
    """

    def __init__(
        self,
        heldout: Items,
        decode: Decode,
        words: Collection[str],
        *,
        orders: Sequence[int] = (1, 2, 3),
        n_resamples: int = 200,
        seed: int = 0,
    ) -> None:
        heldout = as_symbols(heldout, "held-out texts")
        if len(heldout) < 2 or n_resamples < 2:
            raise ConfigError(
                f"text quality needs 2 held-out texts and 2 resamples; got {len(heldout)} and {n_resamples}."
            )
        if not orders or not all(1 <= n <= heldout.shape[1] for n in orders):
            raise ConfigError(
                f"n-grams in texts of {heldout.shape[1]} symbols have from 1 to that many; got {list(orders)}."
            )
        order = torch.randperm(len(heldout), generator=generator_for(seed, "held-out halves"))
        self.heldout = heldout.cpu()[order]
        self.decode = decode
        self.words = frozenset(words)
        self.orders = tuple(orders)
        self.n_resamples = n_resamples
        self.seed = seed
        self.chance = tuple(self._known_words("dictionary_words_chance", self.heldout))

    @property
    def settings(self) -> dict[str, Any]:
        """The orders, the number of resamples, the seed, and how many words and held-out texts there are."""
        return {
            "orders": list(self.orders),
            "n_resamples": self.n_resamples,
            "seed": self.seed,
            "n_words": len(self.words),
            "n_items": {"heldout": len(self.heldout)},
        }

    def measure(self, samples: Items) -> Reading:
        """Count n-grams and words."""
        samples = as_symbols(as_items(samples, "samples", least=1), "samples", like=self.heldout)
        n = min(len(samples), len(self.heldout) // 2)
        aside, rest = self.heldout[:n], self.heldout[n:]
        estimates: list[Estimate] = []
        for length in self.orders:
            estimates.append(self._divergence(f"ngram_divergence[{length}]", samples[:n], rest, length))
            estimates.append(self._divergence(f"ngram_divergence_chance[{length}]", aside, rest, length))
        estimates += self._known_words("dictionary_words", samples)
        return Reading((*estimates, *self.chance))

    def _divergence(self, quantity: str, texts: Items, reference: Items, length: int) -> Estimate:
        counts = _counts(torch.cat([texts, reference]), length)
        n = len(texts)
        times = np.vstack([np.ones(n), self._resampled(n)])  # the texts as they are, then resamples of them
        value, *redrawn = _divergences(times @ counts[:n], counts[n:].sum(axis=0)).tolist()
        return Estimate(quantity=quantity, value=value, se=float(np.std(redrawn, ddof=1)), count=n)

    def _resampled(self, n: int) -> Floats:
        """How often each of n texts is drawn, with replacement, in each resample [n_resamples, n]."""
        generator = generator_for(self.seed, "resampled samples")
        drawn = torch.randint(n, (self.n_resamples, n), generator=generator)
        times = torch.zeros((self.n_resamples, n), dtype=torch.float64)
        found: Floats = times.scatter_add_(1, drawn, torch.ones_like(times)).numpy()
        return found

    def _known_words(self, quantity: str, texts: Items) -> Iterator[Estimate]:
        words = whole_words(self.decode(texts))
        if words:
            yield share(quantity, sum(word in self.words for word in words), len(words))


def whole_words(texts: Sequence[str]) -> list[str]:
    """Give the words that stand between two signs of white space; what a text's ends may have cut is left out.

    >>> whole_words(["he whole word a", " one ", "cut"])
    ['whole', 'word', 'one']
    """
    return [word for text in texts for word in re.split(r"\s", text)[1:-1] if word]


def _counts(texts: Items, length: int) -> csr_array:
    """How often each n-gram stands in each text: [n, n-grams that occur]."""
    grams = texts.unfold(1, length, 1).long().numpy()
    n, per_text, _ = grams.shape
    number = np.zeros((n, per_text), np.int64)
    for place in range(length):  # number the beginnings of the n-grams, one symbol longer each time
        longer = number * (int(grams.max()) + 1) + grams[..., place]
        number = np.unique(longer, return_inverse=True)[1].reshape(n, per_text)
    row = np.repeat(np.arange(n), per_text)
    return csr_array((np.ones(row.size), (row, number.ravel())), shape=(n, int(number.max()) + 1))


def _divergences(counts: NDArray[Any], reference: NDArray[Any]) -> Floats:
    """Give the Jensen-Shannon divergence of each row of counts from the reference, in bits.

    H((p + q) / 2) - (H(p) + H(q)) / 2, with p and q the counts scaled to sum to 1, and H the entropy.
    """
    p = counts / counts.sum(axis=1, keepdims=True)
    q = reference / reference.sum()
    nats = entr((p + q) / 2).sum(axis=1) - (entr(p).sum(axis=1) + entr(q).sum()) / 2
    bits: Floats = np.clip(nats / np.log(2), 0, 1)  # rounding leaves equal frequencies a little off 0
    return bits
