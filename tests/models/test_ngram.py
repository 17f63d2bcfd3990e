"""Kneser-Ney smoothing, against its formulas spelled out with dictionaries, and against sources of known entropy."""

import math
import time
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import ConfigError, DataError
from taumem.models import KneserNey, fit_ngram
from taumem.models.ngram import WITHOUT_COUNTS


def windows_of(n, window, vocabulary, seed=0):
    """Windows of a language with structure, so that contexts repeat: each symbol is near the one before it."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-1, 2, (n, window)) * (rng.uniform(size=(n, window)) < 0.8)
    return torch.from_numpy((rng.integers(0, vocabulary, (n, 1)) + steps.cumsum(axis=1)) % vocabulary)


class ByTheBook:
    """Interpolated modified Kneser-Ney as Chen and Goodman write it down, one n-gram at a time."""

    def __init__(self, windows, order, vocabulary):
        self.order, self.v = order, vocabulary
        rows = windows.tolist()
        grams = {n: [tuple(r[i : i + n]) for r in rows for i in range(len(r) - n + 1)] for n in range(1, order + 1)}
        self.often = {n: Counter(grams[n]) for n in grams}
        self.widely = {n: Counter(g[1:] for g in set(grams[n + 1])) for n in range(1, order)}
        self.discounts = {id(c): self._discounts(c) for c in (*self.often.values(), *self.widely.values())}

    @staticmethod
    def _discounts(counts):
        n = Counter(counts.values())
        if not all(n[k] for k in (1, 2, 3, 4)):
            return (0.0, *WITHOUT_COUNTS)
        y = n[1] / (n[1] + 2 * n[2])
        found = (0.0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)))
        return found if min(found[1:]) > 0 else (0.0, *WITHOUT_COUNTS)

    def p(self, context, w):
        """The longest context that the window and the order leave counts occurrences."""
        context = tuple(context[max(0, len(context) - self.order + 1) :])
        return self._p(context, w, self.often)

    def _p(self, context, w, kind):
        counts = kind[len(context) + 1]
        discount = self.discounts[id(counts)]
        of_context = [counts[(*context, a)] for a in range(self.v)]
        shorter = self._p(context[1:], w, self.widely) if context else 1 / self.v
        if not (total := sum(of_context)):
            return shorter
        left = sum(discount[min(c, 3)] for c in of_context) / total
        c = counts[(*context, w)]
        return (c - discount[min(c, 3)]) / total + left * shorter


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("vocabulary", [3, 12])
def test_it_is_the_formula_spelled_out(order, vocabulary):
    train, fresh = windows_of(40, 9, vocabulary), windows_of(15, 9, vocabulary, seed=1)
    model, book = KneserNey(train, order, vocabulary), ByTheBook(train, order, vocabulary)
    for windows in (train, fresh):
        expected = [-np.mean([math.log2(book.p(row[:i], w)) for i, w in enumerate(row)]) for row in windows.tolist()]
        np.testing.assert_allclose(model.bits_by_window(windows), expected, rtol=1e-12)
        assert model.bits_per_symbol(windows) == pytest.approx(np.mean(expected))


def test_the_discounts_of_the_book_are_used_where_the_counts_tell_them():
    # So that the test above is one of them too, and not of the fixed ones alone.
    book = ByTheBook(windows_of(40, 9, 12), 5, 12)
    assert {book.discounts[id(c)][1:] == WITHOUT_COUNTS for c in book.often.values()} == {True, False}


@given(
    n=st.integers(1, 30),
    window=st.integers(1, 8),
    vocabulary=st.integers(1, 9),
    order=st.integers(1, 8),
    context=st.lists(st.integers(0, 100), max_size=8),
    seed=st.integers(0, 20),
)
def test_the_probabilities_of_the_next_symbol_are_positive_and_sum_to_one(n, window, vocabulary, order, context, seed):
    model = KneserNey(windows_of(n, window, vocabulary, seed), min(order, window), vocabulary)
    p = model.probabilities(np.array(context, dtype=int) % vocabulary)
    assert p.shape == (vocabulary,)
    assert (p > 0).all()
    assert p.sum() == pytest.approx(1)


def test_the_probabilities_are_those_of_the_windows():
    model, row = KneserNey(windows_of(40, 9, 5), 3, 5), [0, 1, 1, 2, 3, 3, 4]
    by_symbol = [math.log2(model.probabilities(np.array(row[:i], dtype=int))[w]) for i, w in enumerate(row)]
    assert model.bits_per_symbol(torch.tensor([row])) == pytest.approx(-np.mean(by_symbol))


def markov_windows(n, window, stay, seed):
    rng = np.random.default_rng(seed)
    turns = rng.uniform(size=(n, window)) >= stay
    turns[:, 0] = rng.integers(0, 2, n)
    return torch.from_numpy(turns.cumsum(axis=1) % 2)


@pytest.mark.parametrize("order", [2, 5])
def test_on_a_markov_chain_it_comes_down_to_the_entropy(order):
    stay, window = 0.85, 20
    rate = -(stay * math.log2(stay) + (1 - stay) * math.log2(1 - stay))
    entropy = (1 + (window - 1) * rate) / window
    fresh = markov_windows(4000, window, stay, 1)
    excess = []
    for n in (10, 100, 4000):
        bits = KneserNey(markov_windows(n, window, stay, 0), order, 2).bits_by_window(fresh)
        excess.append(bits.mean() - entropy)
    assert excess[0] > excess[1] > excess[2]
    assert abs(excess[2]) < 4 * bits.std() / math.sqrt(len(bits))
    # A model that looks at nothing pays one bit.
    assert KneserNey(markov_windows(4000, window, stay, 0), 1, 2).bits_per_symbol(fresh) == pytest.approx(1, abs=1e-3)


def test_no_context_reaches_from_one_window_into_another():
    train = windows_of(30, 7, 4)
    for order in (2, 4):
        model, shuffled = KneserNey(train, order, 4), KneserNey(train.flip(0), order, 4)
        np.testing.assert_allclose(model.bits_by_window(train), shuffled.bits_by_window(train), rtol=1e-12)
        # A window that ends, and one that begins, are not one longer window.
        joined = model.bits_by_window(train.reshape(15, 14))
        assert not np.allclose(joined, model.bits_by_window(train).reshape(15, 2).mean(axis=1))


def test_the_bits_by_order_are_those_of_the_models_of_these_orders():
    train, fresh = windows_of(50, 8, 6), windows_of(20, 8, 6, seed=1)
    found = KneserNey(train, 5, 6).bits_by_order(fresh)
    assert found == pytest.approx([KneserNey(train, n, 6).bits_per_symbol(fresh) for n in range(1, 6)])


def test_the_order_is_that_which_serves_best_on_the_last_tenth_of_the_windows():
    train = markov_windows(300, 20, 0.85, 0)
    bits = [KneserNey(train[:270], n, 2).bits_per_symbol(train[270:]) for n in range(1, 7)]
    model = fit_ngram(train, 2, max_order=6)
    assert model.order == 1 + int(np.argmin(bits)) > 1
    again = KneserNey(train, model.order, 2)
    assert model.bits_per_symbol(train) == again.bits_per_symbol(train)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_and_short_windows_are_learned_too(n):
    model = fit_ngram(windows_of(n, 3, 27), 27)
    assert 1 <= model.order <= 3
    assert math.isfinite(model.bits_per_symbol(windows_of(9, 12, 27, seed=1)))
    # Windows that are shorter than the order.
    assert math.isfinite(KneserNey(windows_of(n, 4, 27), 4, 27).bits_per_symbol(windows_of(9, 2, 27, seed=1)))


def test_bytes_are_symbols_too():
    # 256 symbols and many windows: keys that are sorted rather than counted in a table.
    train = torch.randint(256, (20, 30), generator=torch.Generator().manual_seed(0))
    assert KneserNey(train, 4, 256).probabilities(train[0, :3].numpy()).argmax() == train[0, 3]


def test_as_much_text_as_a_study_has_takes_about_a_second():
    train = windows_of(2048, 64, 27)
    begun = time.thread_time()
    fit_ngram(train, 27)
    assert time.thread_time() - begun < 5  # 0.3 s, with room for a slow machine


@pytest.mark.parametrize(
    ("train", "order", "vocabulary", "error", "words"),
    [
        (torch.zeros(3, 4, dtype=torch.long), 5, 2, ConfigError, "between 1 and the window's length, 4; got 5"),
        (torch.zeros(3, 4, dtype=torch.long), 0, 2, ConfigError, "got 0"),
        (torch.zeros(3, 4, dtype=torch.long), 2, 0, ConfigError, "at least 1 symbol"),
        (torch.zeros(0, 4, dtype=torch.long), 2, 2, DataError, "at least 1 window"),
        (torch.full((3, 4), 2), 2, 2, DataError, "numbered from 0 to 1; got numbers from 2 to 2"),
        (torch.full((3, 4), -1), 2, 2, DataError, "from -1"),
        (torch.zeros(3, 4), 2, 2, DataError, "float32"),
        (torch.zeros(3, 4, 2, dtype=torch.long), 2, 2, DataError, "shape"),
    ],
)
def test_what_cannot_be_learned_is_refused(train, order, vocabulary, error, words):
    with pytest.raises(error, match=words):
        KneserNey(train, order, vocabulary)


def test_what_cannot_be_fitted_or_measured_is_refused():
    with pytest.raises(ConfigError, match="max_order = 0"):
        fit_ngram(windows_of(5, 4, 3), 3, max_order=0)
    with pytest.raises(DataError, match="at least 1 window"):
        fit_ngram(torch.zeros(0, 4, dtype=torch.long), 3)
    with pytest.raises(DataError, match="numbered from 0 to 2"):
        KneserNey(windows_of(5, 4, 3), 2, 3).bits_per_symbol(torch.full((2, 4), 3))
    with pytest.raises(DataError, match="at least 1 window"):
        KneserNey(windows_of(5, 4, 3), 2, 3).bits_per_symbol(torch.zeros(0, 4, dtype=torch.long))
