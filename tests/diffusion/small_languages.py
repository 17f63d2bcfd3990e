"""Distributions over short strings, small enough to enumerate: the truth that token diffusion is tested against."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

F64 = torch.float64


@dataclass(frozen=True)
class Language:
    """All strings of one length, [n, positions], and the probability of each."""

    strings: Tensor
    probabilities: Tensor

    @classmethod
    def of(cls, vocabulary: int, positions: int, probability) -> "Language":
        strings = torch.tensor(list(itertools.product(range(vocabulary), repeat=positions)))
        weights = torch.tensor([probability(string) for string in strings.tolist()], dtype=F64)
        return cls(strings, weights / weights.sum())

    @property
    def entropy(self) -> float:
        """In nats for each string."""
        return float(torch.special.entr(self.probabilities).sum())

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return self.strings[torch.multinomial(self.probabilities, n, replacement=True, generator=generator)]

    def counts(self, made: Tensor) -> np.ndarray:
        """How often each string was made; that nothing else was made is checked."""
        same = (made[:, None] == self.strings).all(dim=2)
        assert same.any(dim=1).all()
        return same.sum(dim=0).numpy()


def iid(probabilities: list[float], positions: int) -> Language:
    return Language.of(len(probabilities), positions, lambda string: math.prod(probabilities[a] for a in string))


def markov(stay: float, positions: int) -> Language:
    """Two states, equally likely at first; each symbol repeats the one before it with probability `stay`."""

    def probability(string: list[int]) -> float:
        return 0.5 * math.prod(stay if a == b else 1 - stay for a, b in itertools.pairwise(string))

    return Language.of(2, positions, probability)


def random_language(vocabulary: int, positions: int, seed: int = 0) -> Language:
    draws = iter(np.random.default_rng(seed).exponential(size=vocabulary**positions))
    return Language.of(vocabulary, positions, lambda _: next(draws))


class ExactDenoiser:
    """log p(x0_i | xt), by Bayes over all strings of a language."""

    def __init__(self, diffusion, language: Language) -> None:
        self.diffusion, self.language = diffusion, language

    def __call__(self, xt: Tensor, t: Tensor) -> Tensor:
        scores = self.diffusion.log_prob(xt, self.language.strings, t.double()) + self.language.probabilities.log()
        return self.diffusion.average(torch.softmax(scores, dim=1), self.language.strings)


def masking_matrix(vocabulary: int, alpha: float) -> np.ndarray:
    """q(later symbol | earlier symbol) where the mask is the last symbol and stays."""
    matrix = alpha * np.eye(vocabulary + 1)
    matrix[:, -1] += 1 - alpha
    return matrix


def uniform_matrix(vocabulary: int, alpha: float) -> np.ndarray:
    return alpha * np.eye(vocabulary) + (1 - alpha) / vocabulary


def bayes(prior: np.ndarray, until_s: np.ndarray, from_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each xt, p(x0 | xt) and p(xs | xt), from the joint distribution of x0, xs and xt: [xt, x0] and [xt, xs]."""
    joint = prior[:, None, None] * until_s[: len(prior), :, None] * from_s[None]
    at_t = joint.sum(axis=(0, 1))
    return (joint.sum(axis=1) / at_t).T, (joint.sum(axis=0) / at_t).T
