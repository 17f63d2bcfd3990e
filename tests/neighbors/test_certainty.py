"""The search gives what comparing all pairs would give, to the bit: on data of all kinds, whatever the products do."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strange import STRANGE, strange

from taumem.neighbors import nearest, search
from taumem.neighbors.exact import euclidean_distances
from taumem.neighbors.held import hold
from taumem.neighbors.metrics import Cosine, Hamming
from taumem.neighbors.products import DOUBLE, HALF, SINGLE, precisions


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DISTANCES = {"euclidean": euclidean_distances, "cosine": Cosine.distances, "hamming": Hamming.distances}


def all_pairs(queries, references, metric="euclidean"):
    x, y = (torch.as_tensor(items).flatten(1) for items in (queries, references))
    pairs = (x.repeat_interleave(len(y), dim=0), y.repeat(len(x), 1))
    distance = DISTANCES[metric]
    return (distance(*pairs) if metric == "euclidean" else distance(None, *pairs)).view(len(x), len(y))


def expected(queries, references, k, metric="euclidean", groups=None):
    """By comparing all pairs; ties in the order of positions."""
    distances, positions = all_pairs(queries, references, metric).sort(dim=1, stable=True)
    if groups is not None:
        of = groups[positions]
        again = torch.stack([(of[:, :j] == of[:, j : j + 1]).any(dim=1) for j in range(of.shape[1])], dim=1)
        order = again.int().argsort(dim=1, stable=True)
        distances, positions = distances.gather(1, order), positions.gather(1, order)
    return distances[:, :k], positions[:, :k]


def equal(found, wanted):
    return all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


PRECISIONS = {"three": (HALF, SINGLE, DOUBLE), "two": (SINGLE, DOUBLE), "the finest": (DOUBLE,)}


@pytest.fixture(params=PRECISIONS)
def of_all_precisions(request, monkeypatch):
    monkeypatch.setattr(search, "precisions", lambda device, is_small: PRECISIONS[request.param])


@pytest.mark.usefixtures("of_all_precisions")
@pytest.mark.parametrize("name", STRANGE)
def test_neighbors_are_those_of_all_pairs_to_the_bit(name):
    queries, references = strange(name)
    groups = torch.randint(90, (len(references),), generator=torch.Generator().manual_seed(1))
    blocks = torch.arange(len(references)) // 150
    for own, k, memory in ((None, 1, 2**29), (None, 9, 2**17), (groups, 2, 2**29), (blocks, 2, 2**17)):
        found = nearest(queries, references, k, groups=own, memory=memory)
        assert equal(found, expected(queries, references, k, groups=own))


@pytest.mark.usefixtures("of_all_precisions")
@pytest.mark.parametrize("name", [name for name in STRANGE if name not in ("zeros", "ties", "one dimension")])
def test_so_are_those_by_the_angle(name):
    queries, references = strange(name)
    assert equal(nearest(queries, references, 3, metric="cosine"), expected(queries, references, 3, "cosine"))


@pytest.mark.usefixtures("of_all_precisions")
@pytest.mark.parametrize("n_symbols", [2, 5, 100])
def test_so_are_those_by_symbols_that_differ(n_symbols):
    draw = torch.Generator().manual_seed(0)
    texts = torch.randint(n_symbols, (300, 12), generator=draw)
    queries, groups = torch.randint(n_symbols + 1, (40, 12), generator=draw), torch.randint(50, (300,), generator=draw)
    for own, memory in ((None, 2**29), (None, 2**20), (groups, 2**29)):
        found = nearest(queries, texts, 4, metric="hamming", groups=own, memory=memory)
        assert equal(found, expected(queries, texts, 4, "hamming", own))


@pytest.mark.usefixtures("of_all_precisions")
@pytest.mark.parametrize("by", [1e-2, 1e-4, 1e-7])
def test_many_numbers_and_many_near_duplicates_lose_none(by):
    items = normal(40, 800)
    references = items.repeat_interleave(40, dim=0) + by * normal(1600, 800, seed=1)
    queries = torch.cat([items[:4] + by * normal(4, 800, seed=2), normal(4, 800, seed=3)])
    assert equal(nearest(queries, references, 3), expected(queries, references, 3))


@pytest.mark.parametrize("precision", [HALF, SINGLE, DOUBLE], ids=["half", "single", "double"])
def test_no_product_within_its_bound_can_lose_a_neighbor(precision, monkeypatch):
    """Products are off by as much as they may be, to either side."""
    draw = torch.Generator().manual_seed(0)

    def multiply(x, y):
        exact = x.double() @ y.double().T
        norms = torch.outer(*(rows.double().norm(dim=1) for rows in (x, y)))
        signs = [torch.randint(2, exact.shape, generator=draw) * 2 - 1 for _ in range(2)]
        given = signs[0] * precision.given / (1 + precision.given) * 0.99
        off = exact + signs[1] * 0.9 * precision.off(x.shape[1]) * norms
        return (off * (1 + given)).to(torch.float32 if precision is HALF else precision.dtype)

    worst = replace(precision, multiply=multiply)
    monkeypatch.setattr(search, "precisions", lambda device, is_small: (worst, worst, DOUBLE))
    for name in ("noise", "near-duplicates 1e-3", "near-duplicates 1e-6", "far 1e4", "constant", "bytes", "mixed 1e-6"):
        queries, references = strange(name)
        for k in (1, 2, 7):
            assert equal(nearest(queries, references, k), expected(queries, references, k)), name


def test_products_that_cut_their_numbers_lose_no_neighbor_if_they_say_so(monkeypatch):
    """As where TF32, or bfloat16, is allowed for numbers of single precision."""

    def multiply(x, y):
        return x.bfloat16().float() @ y.bfloat16().float().T

    cutting = replace(SINGLE, multiply=multiply, cut=2.0**-7)
    monkeypatch.setattr(search, "precisions", lambda device, is_small: (cutting, DOUBLE))
    for name in ("noise", "near-duplicates 1e-3", "near-duplicates 1e-6", "far 1e4", "constant", "bytes", "mixed 1e-6"):
        queries, references = strange(name)
        assert equal(nearest(queries, references, 2), expected(queries, references, 2)), name


@settings(max_examples=60)
@given(st.integers(1, 300), st.sampled_from([0.0, 3.0, 1e4]), st.integers(0, 99))
def test_products_are_within_their_bounds(width, shift, seed):
    x, y = normal(7, width, seed=seed) + shift, normal(5, width, seed=seed + 1)
    for precision in (HALF, SINGLE, DOUBLE, *precisions(torch.device("cpu"))):
        held = [hold(rows.double(), precision) for rows in (x, y)]
        made = precision.multiply(held[0].rows, held[1].rows).double()
        exact = held[0].rows.double() @ held[1].rows.double().T
        bound = precision.off(width) * torch.outer(held[0].norm, held[1].norm) + precision.given * made.abs()
        assert (made - exact).abs().le(bound).all()


@settings(max_examples=60)
@given(st.integers(1, 40), st.sampled_from([1.0, 1e-25, 1e25]), st.booleans(), st.booleans(), st.integers(0, 99))
def test_what_is_held_is_within_its_bounds(width, scale, in_single, closely, seed):
    exact = scale * (normal(4, width, seed=seed) + 2)
    for precision in (HALF, SINGLE) if in_single else (HALF, SINGLE, DOUBLE):
        near = exact.clone() if in_single else exact.double()
        held = hold(near, precision, is_exact=True, closely=closely)
        for row, was, norm, half, slack, off in zip(
            *(
                column.double().tolist()
                for column in (held.rows, exact, held.norm, held.half_square, held.slack, held.off)
            ),
            strict=True,
        ):
            square = sum(Fraction(number) ** 2 for number in row)
            assert square <= Fraction(norm) ** 2
            assert abs(square / 2 - Fraction(half)) <= Fraction(slack)
            if off < float("inf"):
                assert (
                    sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row, was, strict=True)) <= Fraction(off) ** 2
                )
            else:
                assert square == 0


@settings(max_examples=100)
@given(st.integers(1, 70), st.sampled_from([1e-300, 1e-160, 1.0, 1e150, 1e300]), st.integers(0, 99))
def test_exact_distances_are_exact_and_depend_on_their_own_pair_alone(width, scale, seed):
    x, y = scale * normal(9, width, seed=seed).double(), scale * normal(9, width, seed=seed + 1).double()
    distances = euclidean_distances(x, y)
    for k in range(9):
        assert torch.equal(euclidean_distances(x[k : k + 1], y[k : k + 1]), distances[k : k + 1])
    longer = (x.numpy().astype(np.longdouble) - y.numpy()) ** 2
    np.testing.assert_allclose(distances, np.sqrt(longer.sum(axis=1)).astype(float), rtol=1e-14)
    assert euclidean_distances(x, x).eq(0).all()


def test_the_larger_a_group_the_less_it_hides_others():
    references = torch.cat([normal(1, 30).repeat(900, 1) + 1e-3 * normal(900, 30, seed=1), normal(100, 30, seed=2)])
    groups = torch.cat([torch.zeros(900, dtype=torch.long), torch.arange(1, 101)])
    queries = references[:5] + 1e-3 * normal(5, 30, seed=3)
    assert equal(nearest(queries, references, 3, groups=groups), expected(queries, references, 3, groups=groups))


@pytest.mark.parametrize("allowed", ["highest", "high", "medium"])
def test_what_torch_is_allowed_elsewhere_costs_no_neighbor(allowed):
    queries, references = strange("near-duplicates 1e-6")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(allowed)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            found = nearest(queries, references, 5)
    finally:
        torch.set_float32_matmul_precision(before)
    assert equal(found, expected(queries, references, 5))


@pytest.mark.parametrize("small", [0, search.SMALL])
@pytest.mark.parametrize("of", ["all", "mkldnn"])
def test_nor_does_what_it_is_allowed_by_its_newer_settings(of, small, monkeypatch):
    """While these are set, torch does not answer what the older one is."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this torch has no newer settings")
    monkeypatch.setattr(search, "SMALL", small)
    settings_of = torch.backends if of == "all" else torch.backends.mkldnn.matmul
    before = settings_of.fp32_precision
    settings_of.fp32_precision = "tf32"
    queries, references = strange("near-duplicates 1e-6")
    try:
        found = nearest(queries, references, 5)
    finally:
        settings_of.fp32_precision = before
    assert equal(found, expected(queries, references, 5))
