"""Nearest neighbors, against brute force in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from taumem.errors import ConfigError, DataError
from taumem.neighbors import distinct_items, gap_ratio, near_duplicates, nearest, nearest_hamming


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def brute_force(queries: torch.Tensor, references: torch.Tensor) -> np.ndarray:
    """All distances [n, m] from the differences themselves."""
    x, y = (items.flatten(1).double().numpy() for items in (queries, references))
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=2))


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(
    n=st.integers(1, 20),
    m=st.integers(1, 60),
    k=st.integers(1, 5),
    dimensions=st.integers(1, 6),
    memory=st.sampled_from([2**10, 2**18, 2**29]),
    shift=st.sampled_from([0.0, 3.0, 1000.0]),
    seed=st.integers(0, 1000),
)
def test_distances_and_positions_are_those_of_brute_force(n, m, k, dimensions, memory, shift, seed):
    k = min(k, m)
    queries, references = normal(n, dimensions, seed=seed) + shift, normal(m, dimensions, seed=seed + 1) + shift
    distances, positions = nearest(queries, references, k=k, memory=memory)
    exact = brute_force(queries, references)
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :k], rtol=1e-12)
    np.testing.assert_allclose(distances, np.take_along_axis(exact, positions.numpy(), axis=1), rtol=1e-12)
    assert all(len(set(row)) == k for row in positions.tolist())


def test_the_shape_of_an_item_does_not_matter():
    queries, references = normal(5, 3, 4, 4), normal(30, 3, 4, 4, seed=1)
    for found, flat in zip(
        nearest(queries, references), nearest(queries.flatten(1), references.flatten(1)), strict=True
    ):
        assert torch.equal(found, flat)


def test_pixels_of_whole_numbers_are_compared_as_numbers():
    # In 8 bits 250 - 5 would wrap around.
    queries, references = torch.tensor([[250]], dtype=torch.uint8), torch.tensor([[5], [240]], dtype=torch.uint8)
    assert nearest(queries, references)[0].tolist() == [[10.0, 245.0]]


def test_equal_items_are_at_distance_zero_exactly():
    references = 100 * normal(500, 784)
    distances, positions = nearest(references[::7], references, k=2, memory=2**24)
    assert (distances[:, 0] == 0).all()
    assert torch.equal(positions[:, 0], torch.arange(0, 500, 7))
    assert (distances[:, 1] > 0).all()


def test_near_duplicates_are_told_from_duplicates():
    # Two items 1e-6 apart, of norm 100: the matrix product alone sees no difference between them.
    items = 100 * torch.nn.functional.normalize(normal(200, 784).double())
    references = torch.cat([items, items])
    references[200:, 0] += 1e-6
    distances, positions = nearest(items, references, k=2)
    assert (distances[:, 0] == 0).all()
    torch.testing.assert_close(distances[:, 1], torch.full((200,), 1e-6, dtype=torch.float64), rtol=1e-6, atol=0)
    assert torch.equal(positions, torch.stack([torch.arange(200), torch.arange(200, 400)], dim=1))


def test_the_short_list_is_long_enough_for_its_own_rounding():
    # 1e-7 apart at norm 1,000: the scores of the short list are rounded by more than what they should tell apart.
    items = 1000 * torch.nn.functional.normalize(normal(200, 784).double())
    references = torch.stack([items, items], dim=1).flatten(0, 1)
    references[1::2, 0] += 1e-7
    for wanted in (references[::2], references[1::2]):
        assert (nearest(wanted, references, k=1)[0] == 0).all()


def test_the_nearest_of_many_references_is_found_across_blocks():
    references = normal(3000, 16)
    queries = references[torch.tensor([0, 1023, 1024, 2047, 2048, 2999])] + 1e-3
    assert nearest(queries, references, k=1)[1].flatten().tolist() == [0, 1023, 1024, 2047, 2048, 2999]


def test_no_queries_have_no_neighbors():
    distances, positions = nearest(normal(0, 3), normal(5, 3), k=2)
    assert distances.shape == positions.shape == (0, 2)


class LargestStorage(TorchDispatchMode):
    """Watches every operation for the largest piece of memory that one of its results lies in."""

    def __init__(self, *own: torch.Tensor) -> None:
        super().__init__()
        self.own = {tensor.untyped_storage().data_ptr() for tensor in own}
        self.n_bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.own:
                self.n_bytes = max(self.n_bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "dimensions"), [(4000, 6000, 8), (4000, 3000, 500), (6000, 10, 300)])
def test_memory_is_bounded_whatever_the_sizes(n, m, dimensions):
    queries, references, memory = normal(n, dimensions), normal(m, dimensions, seed=1), 2**24
    with LargestStorage(queries, references) as watch:
        nearest(queries, references, k=2, memory=memory)
    results = n * 2 * 8
    assert watch.n_bytes <= max(results, memory / 4)


def test_items_of_different_shapes_are_not_compared():
    with pytest.raises(DataError, match=r"\(1, 4, 4\).*\(16,\)"):
        nearest(normal(2, 1, 4, 4), normal(5, 16))


@pytest.mark.parametrize("k", [0, -1, 6])
def test_a_number_of_neighbors_that_is_not_there_is_refused(k):
    with pytest.raises(ConfigError, match=f"asked for {k} neighbors among 5"):
        nearest(normal(2, 3), normal(5, 3), k=k)


@pytest.mark.parametrize("k", [0, 1])
def test_no_references_have_no_neighbors_to_give(k):
    with pytest.raises(ConfigError, match="among 0 references"):
        nearest(normal(2, 3), normal(0, 3), k=k)


def test_the_gap_ratio_is_nearest_over_second_nearest():
    distances = torch.tensor([[1.0, 4.0], [2.0, 2.0], [0.0, 3.0]])
    assert gap_ratio(distances).tolist() == [0.25, 1.0, 0.0]


def test_the_gap_ratio_of_a_copy_of_two_equal_references_is_zero():
    assert gap_ratio(torch.tensor([[0.0, 0.0]])).tolist() == [0.0]


def test_the_gap_ratio_survives_distances_at_the_edge_of_the_number_range():
    tiny = torch.finfo(torch.float64).tiny
    distances = torch.tensor([[tiny, 4 * tiny], [1e-300, 1e300], [1e300, 1e300]], dtype=torch.float64)
    assert gap_ratio(distances).tolist() == [0.25, 0.0, 1.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_has_no_neighbors_and_no_gap_ratio(bad):
    items = normal(10, 3)
    spoiled = items.clone()
    spoiled[[2, 7], 1] = bad
    for ask in (
        lambda: nearest(spoiled, items),
        lambda: nearest(items, spoiled),
        lambda: distinct_items(spoiled),
        lambda: near_duplicates(spoiled),
        lambda: nearest_hamming(spoiled, items),
    ):
        with pytest.raises(DataError, match=r"2 of 10 \w+ hold NaN or infinite values \(the first is number 2\)"):
            ask()
    with pytest.raises(DataError, match="1 of 2 distances hold NaN"):
        gap_ratio(torch.tensor([[bad, 1.0], [0.5, 1.0]]))


@pytest.mark.parametrize("distances", [torch.ones(3, 3), -torch.ones(3, 2), torch.ones(3, 2).int(), torch.ones(2)])
def test_the_gap_ratio_takes_two_distances_an_item(distances):
    with pytest.raises(DataError, match="distances"):
        gap_ratio(distances)


def test_arrays_and_lists_are_items_too_and_large_numbers_are_finite():
    items = normal(6, 4)
    for same in (items.numpy(), list(items), items.tolist(), items.numpy()[::-1].copy()[::-1]):
        assert nearest(same, items)[1][:, 0].tolist() == list(range(6))
    assert nearest(torch.full((2, 2), 1e308, dtype=torch.float64), torch.zeros(3, 2), k=1)[0].shape == (2, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(3, 4, dtype=torch.complex64), "complex64"),
        (torch.zeros(3, 4, dtype=torch.bool), "torch.bool"),
        (torch.zeros(3, 4).to_sparse(), "sparse"),
        (torch.zeros(3), r"at least one axis each, .*\(3,\)"),
        (torch.zeros(3, 0), r"at least one axis each, .*\(3, 0\)"),
        (torch.zeros(3, 5), r"shape \(5,\), and what they are compared with \(4,\)"),
        (torch.zeros(3, 4, dtype=torch.uint8), r"torch.uint8, and what .*torch.float32; .* x / 127.5 - 1"),
        (np.array([["a"]]), "no numbers in one array"),
        ([[1.0, 2.0], [1.0]], "no numbers in one array"),
        ([torch.zeros(2), torch.zeros(3)], "no numbers in one array"),
        (None, "got NoneType"),
        (torch.utils.data.TensorDataset(torch.zeros(3, 4)), r"TensorDataset of 3.* torch.stack\(\[dataset\[i\]"),
        (torch.utils.data.DataLoader(torch.zeros(3, 4)), r"DataLoader of 3.* torch.cat\(list\(loader\)\)"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_in_words(given, message):
    with pytest.raises(DataError, match=message):
        nearest(given, normal(5, 4))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_distinct_items_are_those_of_numpy_at_their_first_positions(rows):
    items = torch.tensor(rows)
    _, first = np.unique(items.numpy(), axis=0, return_index=True)
    assert distinct_items(items).tolist() == sorted(first.tolist())


def test_images_are_distinct_if_any_pixel_differs():
    items = normal(1, 1, 4, 4).repeat(5, 1, 1, 1)
    items[2, 0, 3, 3] += 1e-6
    assert distinct_items(items).tolist() == [0, 2]


def test_no_items_hold_no_distinct_ones():
    assert distinct_items(normal(0, 3)).tolist() == []
