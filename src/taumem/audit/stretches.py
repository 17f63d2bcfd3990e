"""Partial copies of texts: the longest stretch that stands verbatim in a training text, and over-used phrases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, hypergeom

from taumem.data.shingles import shingles_of
from taumem.errors import ConfigError, DataError
from taumem.neighbors import Substrings

__all__ = ["Motif", "Stretches", "fewest_tested", "longest_stretches", "overused_motifs"]

SYMBOLS_AT_ONCE = 2**22
"""Symbols of training texts whose suffixes are sorted together, in about 300 MB."""

SIZES = (8, 12, 16, 24, 32, 48, 64)
"""Lengths of the phrases that are counted, in symbols; what is found is then made as long as it can be."""

EXPLAINED = 0.5
"""A phrase is left out if a longer one contains it and is in this share, at least, of the samples that have it."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stretches:
    """The longest stretch of each text that stands verbatim in a training text.

    Texts of one language share stretches anyway, the longer the more training text there is: a length means something
    beside those of held-out texts only.

    Attributes:
        length: in symbols [n].
        share: of the text's length, from 0 to 1 [n]; 0 of an empty text.
        start: place of its first symbol in the text [n].
        nearest: position of a training text that has it [n]; where the length is 0, of the first.
        place: of its first symbol in that training text [n].
    """

    length: Counts
    share: NDArray[np.float64]
    start: Counts
    nearest: Counts
    place: Counts

    @property
    def score(self) -> NDArray[np.float64]:
        """How suspicious, small for a copy: the length with a minus [n]."""
        return -self.length.astype(np.float64)


@dataclass(frozen=True)
class Motif:
    """A phrase that samples use more often than held-out texts do.

    Attributes:
        text: the phrase, as long as all the samples agree that have it.
        n_samples: how many samples have it.
        n_heldout: how many held-out texts do.
        n_train: how many training texts do; None if these were not given.
        p: of so many samples or more, if those that have the phrase were as likely samples as held-out texts
            (hypergeometric, exact).
        q: the false discovery rate among all phrases that were tested and do no worse (Benjamini and Hochberg).
    """

    text: str
    n_samples: int
    n_heldout: int
    n_train: int | None
    p: float
    q: float


def longest_stretches(
    queries: Sequence[str],
    train: Sequence[str],
    *,
    own: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Stretches:
    """Find the longest stretch of each text that stands verbatim in a training text.

    The training texts are sorted in parts, so that the memory does not depend on how many there are.

    Args:
        queries: texts [n].
        train: training texts [m].
        own: of queries that are training texts themselves, the group of each, in which nothing is looked for [n].
        groups: a number for each training text, equal within a group [m]; each is a group of its own unless told.

    Raises:
        DataError: no training texts, or not as many groups.
    """
    if len(train) == 0:
        raise DataError("stretches are looked up in training texts; got none.")
    groups = np.arange(len(train)) if groups is None else np.asarray(groups)
    if len(groups) != len(train):
        raise DataError(f"groups are one number for each of the {len(train)} training texts; got {len(groups)}.")
    best: Counts = np.zeros((4, len(queries)), np.int64)
    for part in _parts(train):
        found = Substrings(train[part], groups[part]).find(queries, own)
        longer = found.length > best[0]
        best[:, longer] = np.stack([found.length, found.start, part.start + found.text, found.place])[:, longer]
    length, start, text, place = best
    lengths = np.fromiter(map(len, queries), np.int64, len(queries))
    return Stretches(length, length / np.maximum(1, lengths), start, text, place)


def overused_motifs(
    samples: Sequence[str],
    heldout: Sequence[str],
    *,
    train: Sequence[str] | None = None,
    q: float = 0.05,
    most: int = 50,
) -> tuple[Motif, ...]:
    """Find phrases that more samples have than held-out texts let expect.

    Each phrase of 8, 12, 16, ... symbols is tested that enough texts have for the test to say anything, whichever they
    are. It counts once in a text, so that a sample that repeats itself is one observation.

    Args:
        samples: texts that a model has drawn, independently.
        heldout: texts that it never saw.
        train: training texts, to say how many have a phrase.
        q: false discovery rate.
        most: how many to give at most.

    Returns:
        The longest first, without those that a longer one explains; none where nothing is over-used.

    Raises:
        ConfigError: a rate outside (0, 1).
        DataError: no samples or no held-out texts.
    """
    if not 0 < q < 1:
        raise ConfigError(f"the false discovery rate lies between 0 and 1; got {q}.")
    if not len(samples) or not len(heldout):
        raise DataError(
            f"phrases of samples are set against those of held-out texts; got {len(samples)} and {len(heldout)}."
        )
    phrases = _tested([*samples, *heldout], len(samples), q)
    over = np.flatnonzero(phrases.q <= q)
    order = over[np.lexsort((phrases.p[over], -phrases.size[over]))]
    kept: list[Motif] = []
    for k in order:
        at, n_having = int(phrases.start[k]), int(phrases.n_samples[k])
        phrase = samples[phrases.sample[k]][at : at + int(phrases.size[k])]
        if any(phrase in other.text and other.n_samples >= EXPLAINED * n_having for other in kept):
            continue
        phrase = _as_long_as_agreed(phrase, samples)
        n_train = None if train is None else _having(phrase, train)
        n_samples, n_heldout = _having(phrase, samples), _having(phrase, heldout)
        kept.append(Motif(phrase, n_samples, n_heldout, n_train, float(phrases.p[k]), float(phrases.q[k])))
        if len(kept) == most:
            break
    apart = [motif for motif in kept if not any(_is_part(other, motif) for other in kept)]
    return tuple(sorted(apart, key=lambda motif: (-len(motif.text), motif.p)))


@dataclass(frozen=True, eq=False)
class _Phrases:
    """Phrases that were tested, with a place in a sample where each stands."""

    size: Counts
    sample: Counts
    start: Counts
    n_samples: Counts
    p: NDArray[np.float64]
    q: NDArray[np.float64]


def _tested(texts: Sequence[str], n_samples: int, q: float) -> _Phrases:
    """Test the phrases of all sizes that could be found over-used; the samples come first among the texts."""
    table = np.concatenate([_counted(texts, n_samples, size) for size in SIZES], axis=1)
    table = table[:, table[4] >= fewest_tested(table[4], n_samples, len(texts), q)]
    size, sample, start, in_samples, total = table
    kinds, kind = np.unique(np.stack([in_samples, total]), axis=1, return_inverse=True)
    p = hypergeom.sf(kinds[0] - 1, len(texts), kinds[1], n_samples)[kind.reshape(-1)]
    return _Phrases(size, sample, start, in_samples, p, false_discovery_control(p) if len(p) else p)


def _counted(texts: Sequence[str], n_samples: int, size: int) -> Counts:
    """Rows: size, a sample and the place there of each phrase, how many samples and how many texts have it."""
    numbers, owners = shingles_of(texts, size)
    start = np.arange(len(owners)) - np.searchsorted(owners, owners)
    order = np.lexsort((owners, numbers))
    number, owner = numbers[order], owners[order]
    is_first = np.append(True, (np.diff(number) != 0) | (np.diff(owner) != 0))  # of its text
    order, number, owner = order[is_first], number[is_first], owner[is_first]
    begins = np.flatnonzero(np.append(True, np.diff(number) != 0))
    in_samples = np.add.reduceat((owner < n_samples).astype(np.int64), begins)
    in_all = np.diff(np.append(begins, len(number)))
    # The first text that has a phrase is a sample if any is.
    rows = np.stack([np.full(len(begins), size), owner[begins], start[order[begins]], in_samples, in_all])
    return rows[:, (in_samples >= 1) & (in_all >= 2)]


def fewest_tested(total: Counts, n_samples: int, n: int, q: float) -> int:
    """How many texts must have a phrase before it is tested: fewer could not be significant among so many.

    Reference: R. Tarone, "A modified Bonferroni method for discrete data", 1990.
    """
    values, counts = np.unique(total, return_counts=True)
    at_least = counts[::-1].cumsum()[::-1]
    smallest_p = hypergeom.sf(np.minimum(values, n_samples) - 1, n, values, n_samples)
    enough = np.flatnonzero(smallest_p * at_least <= q)
    return int(values[enough[0]]) if len(enough) else n + 1


def _is_part(motif: Motif, longer: Motif) -> bool:
    """Whether a longer phrase is one that more samples have, but for a few symbols that happen to follow or precede."""
    few = 0 < len(longer.text) - len(motif.text) < SIZES[0]
    return few and motif.n_samples > longer.n_samples and motif.text in longer.text


def _as_long_as_agreed(phrase: str, samples: Sequence[str]) -> str:
    """Put before and behind a phrase what stands there in each sample that has it."""
    parts = [sample.partition(phrase) for sample in samples if phrase in sample]
    before = _common_start([part[0][::-1] for part in parts])[::-1]
    return before + phrase + _common_start([part[2] for part in parts])


def _common_start(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    n = next((k for k, (one, two) in enumerate(zip(low, high, strict=False)) if one != two), min(len(low), len(high)))
    return low[:n]


def _having(phrase: str, texts: Sequence[str]) -> int:
    return sum(phrase in text for text in texts)


def _parts(train: Sequence[str]) -> list[slice]:
    """Training texts of so many symbols together that their suffixes can be sorted at once."""
    ends = np.cumsum(np.fromiter(map(len, train), np.int64, len(train)) + 1)
    cuts = np.flatnonzero(np.diff(ends // SYMBOLS_AT_ONCE)) + 1
    return [slice(int(a), int(b)) for a, b in zip([0, *cuts], [*cuts, len(train)], strict=True)]
