"""Short lists of training texts: whatever they leave out, the source of a changed text is on them."""

import numpy as np
import pytest

import taumem.audit.shortlist as shortlist_module
from taumem.audit.shortlist import Shortlist


def random_texts(n: int, length: int, symbols: str, seed: int = 0) -> list[str]:
    table = np.random.default_rng(seed).integers(len(symbols), size=(n, length))
    return ["".join(symbols[k] for k in row) for row in table]


def changed(text: str, share: float, symbols: str, seed: int) -> str:
    rng, row = np.random.default_rng(seed), list(text)
    for k in rng.permutation(len(text))[: round(share * len(text))]:
        row[k] = symbols[rng.integers(len(symbols))]
    return "".join(row)


def listed(shortlist: Shortlist, queries: list[str], own: np.ndarray | None = None) -> list[list[int]]:
    rows, places = shortlist.pairs(queries, own)
    assert (np.diff(rows) >= 0).all()
    return [places[rows == k].tolist() for k in range(len(queries))]


@pytest.mark.parametrize(
    ("symbols", "length", "share"), [("abcdefghijklmnopqrstuvwxyz", 64, 0.3), ("01", 128, 0.1), ("ab€😀", 700, 0.2)]
)
def test_the_source_of_a_changed_text_is_on_its_list_which_is_short(symbols, length, share):
    train = random_texts(800, length, symbols)
    queries = [changed(train[8 * k], share, symbols, k) for k in range(100)]
    lists = listed(Shortlist(train, np.arange(800)), queries)
    assert sum(8 * k in places for k, places in enumerate(lists)) >= 98
    assert max(map(len, lists)) <= 2 * shortlist_module.KEPT + 3


def test_many_copies_of_one_text_hide_neither_it_nor_what_comes_next(monkeypatch):
    monkeypatch.setattr(shortlist_module, "COMMON", 20)
    monkeypatch.setattr(shortlist_module, "HITS", 160)
    monkeypatch.setattr(shortlist_module, "LOOKED_AT", 30)
    symbols = "abcdefghijklmnopqrstuvwxyz"
    train = random_texts(500, 64, symbols) + ["the same text, over and over again, until everybody knows it all"] * 300
    groups = np.minimum(np.arange(800), 500)
    train[499] = train[499][:30] + train[500][30:]
    (places,) = listed(Shortlist(train, groups), [changed(train[500], 0.1, symbols, 0)])
    assert 500 in groups[places]
    assert 499 in places
    (others,) = listed(Shortlist(train, groups), [train[500]], own=np.array([500]))
    assert 500 not in groups[others]
    assert 499 in others


def test_of_a_common_shingle_the_first_texts_are_kept(monkeypatch):
    monkeypatch.setattr(shortlist_module, "COMMON", 3)
    table = Shortlist(["abc"] * 5 + ["xyz"] * 2, np.arange(7)).table
    kept = [table.indices[a:b].tolist() for a, b in zip(table.indptr[:-1], table.indptr[1:], strict=True) if b > a]
    assert sorted(kept) == [[0, 1, 2], [5, 6]]


def test_what_shares_nothing_still_has_neighbors_in_two_other_groups():
    lists = listed(Shortlist(["abc", "abc", "def", "ghi", "jkl"], np.array([0, 0, 1, 2, 3])), ["???", ""])
    assert lists == [[0, 2, 3]] * 2
    assert listed(Shortlist(["abc", "def", "ghi"], np.arange(3)), ["???"], own=np.array([0])) == [[1, 2]]
