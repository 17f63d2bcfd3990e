"""The Hamming distance and the longest common passage, against brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_search import LargestStorage

from taumem.errors import ConfigError, DataError
from taumem.neighbors import Substrings, longest_match, nearest_hamming


def symbols(n: int, length: int, vocabulary: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randint(vocabulary, (n, length), generator=torch.Generator().manual_seed(seed))


sizes = st.integers(1, 12)


@pytest.mark.slow
@given(
    n=sizes,
    m=st.integers(1, 40),
    k=st.integers(1, 4),
    length=sizes,
    memory=st.sampled_from([2**12, 2**18, 2**29]),
    seed=sizes,
)
def test_distances_and_positions_are_those_of_brute_force_with_the_first_of_equals_first(n, m, k, length, memory, seed):
    k = min(k, m)
    queries, references = symbols(n, length, seed=seed), symbols(m, length, seed=seed + 1)
    distances, positions = nearest_hamming(queries, references, k, memory=memory)
    exact = (queries.numpy()[:, None] != references.numpy()[None]).sum(axis=2)
    order = exact.argsort(axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(distances, np.take_along_axis(exact, order, axis=1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_type_of_integers_and_any_shape_of_items_will_do(dtype):
    queries, references = symbols(5, 6, 100), symbols(9, 6, 100, seed=1)
    for found, same in zip(
        nearest_hamming(queries, references, 2),
        nearest_hamming(queries.to(dtype).reshape(5, 2, 3), references.to(dtype).reshape(9, 2, 3), 2),
        strict=True,
    ):
        assert torch.equal(found, same)


def test_symbols_too_large_for_single_precision_are_told_apart():
    assert nearest_hamming(torch.tensor([[2**24 + 1, 3]]), torch.tensor([[2**24, 3]]))[0].tolist() == [[1]]


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_sizes():
    queries, references, memory = symbols(3000, 40), symbols(2000, 40, seed=1), 2**24
    with LargestStorage(queries, references) as watch:
        nearest_hamming(queries, references, k=2, memory=memory)
    assert watch.n_bytes <= max(3000 * 2 * 8, memory / 8)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match=r"\(4,\).*\(5,\)"):
        nearest_hamming(symbols(2, 4), symbols(3, 5))
    with pytest.raises(DataError, match="symbols, which are integers"):
        nearest_hamming(symbols(2, 4).float(), symbols(3, 4).float())
    with pytest.raises(ConfigError, match="asked for 4 neighbors among 3"):
        nearest_hamming(symbols(2, 4), symbols(3, 4), 4)


def test_no_queries_have_no_neighbors_and_match_nothing():
    distances, positions = nearest_hamming(symbols(0, 4), symbols(3, 4), 2)
    assert distances.shape == positions.shape == (0, 2)
    assert longest_match(symbols(0, 4), symbols(3, 4)).tolist() == []


# --- the longest common passage -----------------------------------------------------------------------------------


def brute_force(queries: torch.Tensor, texts: torch.Tensor) -> list[int]:
    known = {tuple(t[i:j]) for t in texts.tolist() for i in range(len(t)) for j in range(i + 1, len(t) + 1)}
    return [
        max((j - i for i in range(len(q)) for j in range(i + 1, len(q) + 1) if tuple(q[i:j]) in known), default=0)
        for q in queries.tolist()
    ]


@given(
    n=st.integers(1, 6),
    m=st.integers(0, 8),
    length=st.integers(1, 24),
    other=st.integers(1, 24),
    vocabulary=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_the_longest_match_is_that_of_brute_force(n, m, length, other, vocabulary, seed):
    # Among texts of one symbol more, so that some queries share none.
    queries, texts = symbols(n, length, vocabulary + 1, seed), symbols(m, other, vocabulary, seed + 1)
    assert longest_match(queries, texts).tolist() == brute_force(queries, texts)


def test_a_passage_that_was_pasted_into_a_query_is_found_and_none_across_the_end_of_a_text():
    texts = torch.arange(600).reshape(10, 60)
    queries = 1000 + torch.arange(180).reshape(3, 60)
    queries[0, 20:50] = texts[7, 5:35]
    queries[1, :20], queries[1, 20:40] = texts[3, 40:], texts[4, :20]  # neighbors in the list, 20 of each
    queries[2] = texts[9]
    assert longest_match(queries, texts).tolist() == [30, 20, 60]


def test_texts_once_sorted_can_be_asked_again_and_in_blocks(monkeypatch):
    texts, queries = symbols(300, 16, 4), symbols(200, 20, 4, seed=1)
    known = Substrings(texts)
    whole = known.longest_match(queries)
    assert whole.tolist() == brute_force(queries, texts)
    monkeypatch.setattr("taumem.neighbors.substrings.SUFFIXES_AT_ONCE", 64)
    assert torch.equal(known.longest_match(queries), whole)


@pytest.mark.parametrize("texts", [torch.zeros(3), torch.zeros(2, 3), torch.tensor([[0, -1]])])
def test_what_is_no_table_of_symbols_is_refused(texts):
    with pytest.raises(DataError, match="integers from 0; got"):
        longest_match(symbols(2, 3), texts)
