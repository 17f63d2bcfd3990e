"""The Random Hierarchy Model: strings of a random context-free grammar, of which everything is known exactly."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import index

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Generator, Tensor

from taumem.data.numbering import INT64_BITS, from_digits, start_of_a_shuffle, to_digits
from taumem.data.split import Split
from taumem.errors import ConfigError, DataError
from taumem.randomness import generator_for

__all__ = ["Levels", "RandomHierarchyModel"]

Strings = Int64[Tensor, "n d"]
"""Strings of d = s^L tokens, each from 0 to v - 1."""

DRAWS_AT_ONCE = 4096
DRAWS_PER_STRING = 1000
"""How many draws a distinct string may cost before drawing by Zipf probabilities is given up."""


@dataclass(frozen=True, eq=False)
class Levels:
    """How far strings obey a grammar, level by level from the bottom.

    Attributes:
        reached: for each string the highest level l, from 0 to L, up to which every tuple is one that a rule makes.
            L says that the string belongs to the language.
        valid_fraction: for each string, the share of the s^(L-l) tuples of each level l = 1, ..., L which are made by
            a rule, and so are all tuples below them; in [0, 1].
    """

    reached: Int64[Tensor, "n"]
    valid_fraction: Float[Tensor, "n L"]


@dataclass(frozen=True)
class RandomHierarchyModel:
    """Strings that m rules for each symbol make from a root symbol, level after level.

    A symbol of level l = L, ..., 1 is replaced by s symbols of level l - 1, by one of its m rules; the symbols of level
    0 are the tokens. Each level has its own rules, drawn without replacement from the v^s tuples of symbols: no tuple
    comes from two symbols, so a string has one derivation. There are

        P_max = n_classes m^((s^L - 1) / (s - 1))

    strings, numbered from 0 to P_max - 1. The number is read digit by digit: the root symbol, then the rule (in base m)
    of each symbol from the top level to the bottom one, from left to right.

    Equal arguments give the same grammar on every machine.

    Args:
        v: the number of symbols of each level, at least 2: the vocabulary.
        m: the number of rules for each symbol ("synonyms"), from 1 to v^(s-1).
        s: how many symbols a rule makes, at least 2.
        L: the number of levels of rules, at least 1; strings have s^L tokens.
        seed: of the rules.
        n_classes: how many root symbols there are, equally probable; None takes all v of them (no classes).
        zipf: how unequal the rules of a symbol are: the k-th of them has a probability proportional to k^(-zipf).
            0 makes all strings equally probable. One number for all levels, or L numbers, for levels 1 (the bottom)
            to L (the root). The exponent 1 + a of the reference.

    Raises:
        ConfigError: an argument out of its range, or more rules than tuples (m v > v^s), which would be ambiguous.

    Reference: Cagnetta et al. 2023, arXiv 2307.02129 (the model, P_max); Favero et al. 2025, arXiv 2502.12089
    (diffusion on it, sample complexities); Favero et al. 2025, arXiv 2505.16959 (memorization); Cagnetta et al. 2025,
    arXiv 2505.07067 (Zipf probabilities).

    >>> grammar = RandomHierarchyModel(v=8, m=3, s=2, L=3)
    >>> grammar.d, grammar.n_strings, grammar.sample_complexities
    (8, 17496, (72, 216, 648))
    >>> split = grammar.split(64, 16)
    >>> split.train.shape, bool(grammar.contains(split.train).all())
    (torch.Size([64, 8]), True)
    """

    v: int
    m: int
    s: int
    L: int
    seed: int = 0
    n_classes: int | None = None
    zipf: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        for name, least in (("v", 2), ("m", 1), ("s", 2), ("L", 1), ("n_classes", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"a grammar needs {name} of at least {least}; got {name} = {value}.")
        # Tuples are compared by their number in base v, in 64-bit integers.
        if self.s * math.log2(self.v) >= INT64_BITS:
            raise ConfigError(f"a grammar needs v^s below 2^63; got v = {self.v} and s = {self.s}.")
        for name, n_symbols in (("v", self.v), ("n_classes", self.n_roots)):
            if self.m * n_symbols > self.v**self.s:
                raise ConfigError(
                    f"the grammar would be ambiguous: {name} = {n_symbols} symbols with m = {self.m} rules each need "
                    f"m*{name} = {self.m * n_symbols} different tuples, but there are v^s = {self.v**self.s}; "
                    f"choose m of at most {self.v**self.s // n_symbols}, or a larger s."
                )
        if not isinstance(self.zipf, int | float):
            object.__setattr__(self, "zipf", tuple(self.zipf))  # a list, as TOML has it, could not be hashed
        exponents = self._exponents
        if len(exponents) != self.L or not all(0 <= exponent < math.inf for exponent in exponents):
            raise ConfigError(
                f"zipf must be a number of at least 0, or L = {self.L} of them, from level 1 to the root; "
                f"got {self.zipf}."
            )

    @property
    def d(self) -> int:
        """The number of tokens in a string, s^L."""
        return int(self.s**self.L)

    @property
    def n_roots(self) -> int:
        """The number of root symbols: ``n_classes``, or v."""
        return self.v if self.n_classes is None else self.n_classes

    @property
    def n_choices(self) -> int:
        """How many rules are chosen to make one string: (s^L - 1) / (s - 1)."""
        return (self.d - 1) // (self.s - 1)

    @property
    def n_strings(self) -> int:
        """P_max, the number of strings of the language, whatever their probabilities: exact."""
        return int(self.n_roots * self.m**self.n_choices)

    @property
    def sample_complexities(self) -> tuple[int, ...]:
        """P*_l = v m^(l+1) for l = 1, ..., L: how many training strings it takes to learn the rules up to level l.

        In order of magnitude, and for rules of equal probability.

        Reference: Favero et al. 2025, arXiv 2502.12089.
        """
        return tuple(self.v * self.m ** (level + 1) for level in range(1, self.L + 1))

    @cached_property
    def rules(self) -> tuple[Int64[Tensor, "symbols m s"], ...]:
        """The rules of levels 1, ..., L: ``rules[l - 1][a, k]`` are the s symbols that rule k makes of symbol a."""
        return tuple(self._draw_rules(level) for level in range(1, self.L + 1))

    @cached_property
    def rule_log_probs(self) -> tuple[Float64[Tensor, "m"], ...]:
        """The log-probabilities of the m rules of a symbol, for levels 1, ..., L."""
        log_rank = torch.arange(1, self.m + 1, dtype=torch.float64).log()
        return tuple(torch.log_softmax(-exponent * log_rank, dim=0) for exponent in self._exponents)

    def split(self, n_train: int, n_heldout: int, seed: int = 0, *, label: int | None = None) -> Split:
        """Draw distinct strings: a training set, and held-out strings that are not in it.

        The held-out strings are drawn first, so that they do not depend on the size of the training set, and training
        sets of growing size are nested. Strings of unequal probability are drawn one after another by their
        probabilities, each at its first appearance: the most probable ones tend to come early.

        Args:
            n_train: P, at least 1.
            n_heldout: at least 0.
            seed: of the draw.
            label: take only strings of this class (root symbol); None takes all.

        Returns:
            Tokens [P, d] and [n_heldout, d] of type int64, with vocabulary v.

        Raises:
            ConfigError: P + n_heldout is more than there are strings, or the label is no class.
        """
        available = self.n_strings if label is None else self.n_strings // self.n_roots
        if n_train < 1 or n_heldout < 0:
            raise ConfigError(f"a split needs P >= 1 and n_heldout >= 0; got P = {n_train}, n_heldout = {n_heldout}.")
        if n_train + n_heldout > available:
            raise ConfigError(
                f"P = {n_train} and {n_heldout} held out are {n_train + n_heldout} strings, but the grammar has only "
                f"{available}{'' if label is None else ' in a class'}; choose fewer, or a grammar of larger m, v or L."
            )
        strings = self._distinct(n_train + n_heldout, seed, label)
        return Split.of(self._name(label), strings[n_heldout:], strings[:n_heldout], vocabulary=self.v)

    def sample(self, n: int, generator: Generator, *, label: int | None = None) -> Strings:
        """Draw independent strings by their probabilities: repetitions are possible.

        Args:
            n: how many, at least 0.
            generator: of every random draw, on the CPU.
            label: draw only strings of this class (root symbol); None draws from all.

        Raises:
            ConfigError: the label is no class.
        """
        roots = torch.randint(self.n_roots, (n,), generator=generator)
        if label is not None:
            roots = torch.full_like(roots, self._checked_label(label))
        uniform = torch.rand(n, self.n_choices, generator=generator, dtype=torch.float64)
        choices = torch.empty(n, self.n_choices, dtype=torch.int64)
        for log_prob, place in zip(self.rule_log_probs, self._places, strict=True):
            # Without the last edge, which may fall short of 1 by rounding.
            edges = log_prob.exp().cumsum(0)[:-1]
            choices[:, place] = torch.searchsorted(edges, uniform[:, place].contiguous(), right=True)
        return self._derive(roots, choices)

    def decode(self, ids: Iterable[int]) -> Strings:
        """Give the strings of these numbers, of any size; :meth:`encode` is the inverse.

        Raises:
            ConfigError: a number outside [0, P_max).
        """
        numbers = [index(number) for number in ids]
        if numbers and not 0 <= min(numbers) <= max(numbers) < self.n_strings:
            raise ConfigError(
                f"strings are numbered from 0 to {self.n_strings - 1}; got {min(numbers)} to {max(numbers)}."
            )
        per_root = self.m**self.n_choices
        roots = torch.tensor([number // per_root for number in numbers], dtype=torch.int64)
        choices = to_digits([number % per_root for number in numbers], self.m, self.n_choices)
        return self._derive(roots, torch.from_numpy(choices))

    def encode(self, strings: Strings) -> list[int]:
        """Give the number of each string, from 0 to P_max - 1.

        Raises:
            DataError: tokens that are no strings of this length and vocabulary, or are not in the language.
        """
        rules = self._parse(strings)
        if (n_outside := int((rules[-1][:, 0] < 0).sum())) > 0:
            raise DataError(f"{n_outside} of {len(strings)} strings are not in the language: they have no number.")
        choices = torch.cat([rule % self.m for rule in reversed(rules)], dim=1)
        per_root = self.m**self.n_choices
        roots = (rules[-1][:, 0] // self.m).tolist()
        numbers = from_digits(choices.cpu().numpy(), self.m)
        return [root * per_root + number for root, number in zip(roots, numbers, strict=True)]

    def contains(self, strings: Strings) -> Bool[Tensor, "n"]:
        """Say of each string whether it is in the language: exact.

        Raises:
            DataError: tokens that are no strings of this length and vocabulary.
        """
        return self._parse(strings)[-1][:, 0] >= 0

    def labels(self, strings: Strings) -> Int64[Tensor, "n"]:
        """Give the class (root symbol) of each string, from 0 to n_classes - 1; -1 for one outside the language.

        Raises:
            DataError: tokens that are no strings of this length and vocabulary.
        """
        return self._parse(strings)[-1][:, 0].div(self.m, rounding_mode="floor")

    def levels(self, strings: Strings) -> Levels:
        """Tell up to which level each string parses, and which share of its tuples does at each level.

        Raises:
            DataError: tokens that are no strings of this length and vocabulary.
        """
        fractions = torch.stack([(rules >= 0).float().mean(dim=1) for rules in self._parse(strings)], dim=1)
        # A level is valid only where all below it are, so that the number of valid levels is the highest of them.
        return Levels(reached=(fractions == 1).sum(dim=1), valid_fraction=fractions)

    def log_prob(self, strings: Strings) -> Float64[Tensor, "n"]:
        """Give the log-probability of each string, in nats; -inf for one outside the language.

        Raises:
            DataError: tokens that are no strings of this length and vocabulary.
        """
        rules = self._parse(strings)
        total = torch.zeros(len(strings), dtype=torch.float64, device=strings.device)
        total = (total - math.log(self.n_roots)).masked_fill(rules[-1][:, 0] < 0, -math.inf)
        for log_prob, rule in zip(self.rule_log_probs, rules, strict=True):
            total = total + log_prob.to(rule.device)[rule % self.m].sum(dim=1)
        return total

    def root_log_probs(self, label: int | None = None) -> Float64[Tensor, "roots"]:
        """Give the log-probability of each root symbol: all equal, or certain if the class is known.

        Raises:
            ConfigError: the label is no class.
        """
        if label is None:
            return torch.full((self.n_roots,), -math.log(self.n_roots), dtype=torch.float64)
        certain = torch.full((self.n_roots,), -math.inf, dtype=torch.float64)
        certain[self._checked_label(label)] = 0
        return certain

    @property
    def _exponents(self) -> tuple[float, ...]:
        return self.zipf if isinstance(self.zipf, tuple) else (float(self.zipf),) * self.L

    @property
    def _places(self) -> tuple[slice, ...]:
        """Where the choices of levels 1, ..., L stand among those of a string: the root's comes first."""
        sizes = [self.s ** (self.L - level) for level in range(1, self.L + 1)]
        starts = [(size - 1) // (self.s - 1) for size in sizes]
        return tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))

    @cached_property
    def _known_tuples(self) -> tuple[tuple[Int64[Tensor, "rules"], Int64[Tensor, "rules"]], ...]:
        """For levels 1, ..., L: the numbers (in base v) of the tuples that rules make, ascending, and their rules."""
        return tuple(torch.sort((rules.flatten(0, 1) * self._powers).sum(dim=1)) for rules in self.rules)

    @property
    def _powers(self) -> Int64[Tensor, "s"]:
        return torch.tensor([self.v**place for place in reversed(range(self.s))])

    def _draw_rules(self, level: int) -> Int64[Tensor, "symbols m s"]:
        n_symbols = self.n_roots if level == self.L else self.v
        tuples = start_of_a_shuffle(n_symbols * self.m, self.v**self.s, self.seed, "rules", level)
        return torch.from_numpy(to_digits(tuples, self.v, self.s)).reshape(n_symbols, self.m, self.s)

    def _derive(self, symbols: Int64[Tensor, "n"], choices: Int64[Tensor, "n choices"]) -> Strings:
        """Apply the chosen rules to root symbols, level after level."""
        symbols = symbols[:, None]
        for rules, place in zip(reversed(self.rules), reversed(self._places), strict=True):
            symbols = rules[symbols, choices[:, place]].flatten(1)
        return symbols

    def _parse(self, strings: Strings) -> list[Int64[Tensor, "n tuples"]]:
        """Find the rule that made each tuple, for levels 1, ..., L: rule k of symbol a is a m + k; -1 is none."""
        symbols = self._checked(strings)
        found = []
        for known, rule_of in self._known_tuples:
            tuples = symbols.reshape(len(symbols), symbols.shape[1] // self.s, self.s)
            numbers = (tuples * self._powers.to(tuples.device)).sum(dim=2)
            known = known.to(tuples.device)
            nearest = torch.searchsorted(known, numbers).clamp(max=len(known) - 1)
            is_made = (known[nearest] == numbers) & (tuples >= 0).all(dim=2)
            rules = torch.where(is_made, rule_of.to(tuples.device)[nearest], -1)
            found.append(rules)
            symbols = rules.div(self.m, rounding_mode="floor")  # -1 stays -1: no symbol
        return found

    def _distinct(self, n: int, seed: int, label: int | None) -> Strings:
        if any(self._exponents):
            return self._distinct_by_probability(n, seed, label)
        per_root = self.m**self.n_choices
        first, count = (0, self.n_strings) if label is None else (self._checked_label(label) * per_root, per_root)
        return self.decode(first + number for number in start_of_a_shuffle(n, count, seed, "strings"))

    def _distinct_by_probability(self, n: int, seed: int, label: int | None) -> Strings:
        """Draw until n different strings have come; the draws do not depend on n."""
        generator = generator_for(seed, "strings")
        seen: dict[bytes, None] = {}  # keeps the order of first appearance
        for _ in range(0, DRAWS_PER_STRING * n + DRAWS_AT_ONCE, DRAWS_AT_ONCE):
            drawn = self.sample(DRAWS_AT_ONCE, generator, label=label).numpy()
            seen.update(dict.fromkeys(row.tobytes() for row in drawn))
            if len(seen) >= n:
                rows = np.frombuffer(b"".join(list(seen)[:n]), dtype=np.int64)
                return torch.from_numpy(rows.reshape(n, self.d).copy())
        raise ConfigError(
            f"after {DRAWS_PER_STRING} draws for each of the {n} strings, only {len(seen)} different ones had come: "
            f"with zipf = {self.zipf} the others are too rare. Choose a smaller P or n_heldout, or a smaller zipf."
        )

    def _checked(self, strings: Tensor) -> Strings:
        if strings.ndim != 2 or strings.shape[1] != self.d:
            raise DataError(
                f"strings of this grammar are [n, s^L = {self.d}] tokens; got shape {tuple(strings.shape)}."
            )
        if strings.is_floating_point() or strings.dtype == torch.bool:
            raise DataError(f"tokens must be integers from 0 to {self.v - 1}; got {strings.dtype}.")
        if len(strings) and (strings.min() < 0 or strings.max() >= self.v):
            raise DataError(
                f"tokens must be integers from 0 to {self.v - 1}; got {strings.min().item()} to {strings.max().item()}."
            )
        return strings.long()

    def _checked_label(self, label: int) -> int:
        if not 0 <= label < self.n_roots:
            raise ConfigError(f"classes are numbered from 0 to {self.n_roots - 1}; got {label}.")
        return label

    def _name(self, label: int | None) -> str:
        options = {"n_classes": self.n_classes, "zipf": self.zipf or None, "class": label}
        extra = "".join(f" {name}={value}" for name, value in options.items() if value is not None)
        return f"grammar v={self.v} m={self.m} s={self.s} L={self.L} seed={self.seed}{extra}"
