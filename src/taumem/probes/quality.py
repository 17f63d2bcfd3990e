"""How much generated text is like the language: its n-grams against those of held-out text, and its words.

Copies of training texts pass both: quality says whether something was learned, not whether it was learned by heart.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from taumem.data.items import as_items, as_symbols
from taumem.errors import ConfigError
from taumem.probes.frequencies import counted, divergence
from taumem.probes.probe import share
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["Decode", "TextQuality", "whole_words"]

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
        counts, n = counted(torch.cat([texts, reference]).unfold(1, length, 1)), len(texts)
        value, se = divergence(counts[:n], counts[n:].sum(axis=0), self.n_resamples, self.seed)
        return Estimate(quantity=quantity, value=value, se=se, count=n)

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
