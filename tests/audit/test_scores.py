"""Scores that others report, against brute force from their definitions."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, ks_2samp, mannwhitneyu

from taumem.audit import cells
from taumem.audit.scores import authpct, c_t, closer_to_train, mifid_term, nn_divergence
from taumem.errors import ConfigError, DataError

SHAPE = (2, 4, 5)


def drawn(seed, n, shape=SHAPE):
    return np.random.default_rng(seed).normal(size=(n, *shape))


def sets(seed=0, copies=30):
    """Training, held-out and generated items, of which some are near training items."""
    train, heldout, generated = drawn(seed, 120), drawn(seed + 1, 90), drawn(seed + 2, 80)
    generated[:copies] = train[:copies] + 0.1 * generated[:copies]
    return train, heldout, generated


def flat(items):
    return items.reshape(len(items), -1)


def z_of_u(ours, others, known):
    """The z-score of one cell, by its definition."""
    n, m = len(others), len(ours)
    u = mannwhitneyu(cdist(ours, known).min(axis=1), cdist(others, known).min(axis=1)).statistic
    return (u - (n * m / 2 - 0.5)) / np.sqrt(n * m * (n + m + 1) / 12)


def on_components(train, rows, k):
    center = train.mean(axis=0)
    return (rows - center) @ np.linalg.svd(train - center, full_matrices=False)[2][:k].T


@pytest.mark.parametrize("components", [64, 7])
@pytest.mark.parametrize("seed", [0, 5])
def test_c_t_in_one_cell_is_the_z_score_of_all(seed, components):
    train, heldout, generated = sets(seed)
    rows = [flat(items) for items in (train, heldout, generated)]
    if components < 40:
        rows = [on_components(rows[0], part, components) for part in rows]
    score = c_t(train, heldout, generated, cells=1, components=components)
    assert score.value == pytest.approx(z_of_u(rows[2], rows[1], rows[0]), abs=1e-9)
    assert score.parts == pytest.approx({"cell 1": score.value, "cell 1: samples": 80, "cell 1: held-out": 90})
    assert score.value < -1


def three_islands(seed, sizes):
    """Items around three far places, and the place of each."""
    places = np.repeat(range(3), sizes)
    return drawn(seed, len(places), (6,)) + 100 * np.eye(6)[places], places


def test_c_t_is_the_mean_over_cells_by_their_held_out_items():
    (train, of_train), (heldout, of_heldout) = three_islands(0, (50, 40, 30)), three_islands(1, (20, 40, 10))
    generated, of_generated = three_islands(2, (25, 21, 20))
    generated[of_generated == 1] = train[of_train == 1][:21] + 0.01
    z = [
        z_of_u(
            *(rows[of == cell] for rows, of in ((generated, of_generated), (heldout, of_heldout), (train, of_train)))
        )
        for cell in range(3)
    ]
    score = c_t(train, heldout, generated, seed=3)
    assert score.value == pytest.approx((20 * z[0] + 40 * z[1]) / 60, abs=1e-9)  # the third has not more than 20
    assert [score.parts[f"cell {k}"] for k in (1, 2, 3)] == pytest.approx(z, abs=1e-9)
    assert [score.parts[f"cell {k}: samples"] for k in (1, 2, 3)] == [25, 21, 20]


def test_c_t_says_nothing_where_no_cell_has_enough_samples():
    train, heldout, generated = sets()
    score = c_t(train, heldout, generated[:20])
    assert score.value is None
    assert score.n == 20


def test_fewer_distinct_items_than_cells_make_fewer_cells():
    train = np.repeat(np.eye(2), 10, axis=0)
    score = c_t(train, train + 0.01, np.repeat(train, 3, axis=0))
    assert "2 cells" in score.label
    assert score.value == pytest.approx(z_of_u(np.repeat(train[:10], 3, axis=0), train[:10] + 0.01, train[:10]))


def test_the_same_seed_gives_the_same_c_t():
    train, heldout, generated = sets()
    assert c_t(train, heldout, generated, seed=1) == c_t(train, heldout, generated, seed=1)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (30, 90), (90, 41)])
def test_components_are_those_of_a_singular_value_decomposition(monkeypatch, shape):
    monkeypatch.setattr(cells, "AT_ONCE", 8)
    train, rows = drawn(0, shape[0], shape[1:]) + 3, drawn(1, 20, shape[1:])
    (found,) = cells.projected(torch.as_tensor(train), [torch.as_tensor(rows)], 5, seed=0)
    expected = on_components(train, rows, 5)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-9)  # a direction has no sign


def test_projecting_does_not_write_to_what_it_is_given():
    train = torch.as_tensor(drawn(0, 30, (70,)))
    before = train.clone()
    cells.projected(train, [train], 5, seed=0)
    assert torch.equal(train, before)


def test_of_many_items_of_many_numbers_some_make_the_components(monkeypatch):
    monkeypatch.setattr(cells, "ROWS", 25)
    train = torch.as_tensor(drawn(0, 60, (40,)))
    (found,) = cells.projected(train, [train], 30, seed=0)
    assert found.shape == (60, 24)  # 25 items have no more directions


def brute_authpct(train, items):
    between = cdist(flat(train), flat(train))
    np.fill_diagonal(between, np.inf)
    distance = cdist(flat(items), flat(train))
    return 100 * np.mean([between[row.argmin()].min() < row.min() for row in distance])


def test_authpct_is_its_definition_in_percent():
    train, heldout, generated = sets()
    score = authpct(train, generated, heldout=heldout)
    assert score.value == pytest.approx(brute_authpct(train, generated), abs=1e-9)
    assert score.parts == pytest.approx({"held-out items": brute_authpct(train, heldout)})
    low, high = binomtest(round(score.value * 80 / 100), 80).proportion_ci(method="exact")
    assert (score.low, score.high) == pytest.approx((100 * low, 100 * high))


def test_copies_are_not_authentic_and_far_samples_are():
    train, _, generated = sets()
    assert authpct(train, train[:9]).value == 0
    assert authpct(train, 100 + generated).value == 100


def test_a_copy_of_an_item_that_is_there_twice_is_authentic_only_if_it_is_not_exact():
    # The convention: its nearest training item has another one at distance 0.
    train = np.concatenate([drawn(0, 5), drawn(0, 5)])
    assert authpct(train, train[:5]).value == 0
    assert authpct(train, train[:5] + 1e-6).value == 100


def test_closer_to_train_counts_samples_of_equal_sides():
    train, heldout, generated = sets()
    train = train[:90]
    ours, theirs = (cdist(flat(generated), flat(side)).min(axis=1) for side in (train, heldout))
    score = closer_to_train(train, heldout, generated)
    assert score.value == pytest.approx((ours < theirs).mean())
    assert score.n == 80
    assert score.low < score.value < score.high


def test_the_larger_side_is_drawn_from_by_the_seed():
    train, heldout, generated = sets()
    same = closer_to_train(train, heldout[:10], generated, seed=4)
    assert same == closer_to_train(train, heldout[:10], generated, seed=4)
    assert "10 items each" in same.label
    values = [closer_to_train(drawn(s, 300, (3,)), drawn(s + 50, 20, (3,)), drawn(s + 99, 40, (3,))) for s in range(30)]
    assert np.mean([score.value for score in values]) == pytest.approx(0.5, abs=0.08)


def test_samples_that_are_equally_far_from_both_sides_do_not_count():
    train, heldout, generated = sets()
    both = np.concatenate([heldout[:5], train[:5]])
    score = closer_to_train(np.concatenate([train[:85], heldout[:5]]), heldout, both)
    assert (score.value, score.n, score.parts["equally far"]) == (1, 5, 5)
    assert closer_to_train(train[:5], train[:5], generated).value is None


def test_nearest_neighbor_divergence_is_the_largest_difference_of_two_distributions():
    train, heldout, generated = sets()
    ours, theirs = (cdist(flat(items), flat(train)).min(axis=1) for items in (generated, heldout))
    points = np.concatenate([ours, theirs])
    differences = [(ours <= x).mean() - (theirs <= x).mean() for x in points]
    score = nn_divergence(train, heldout, generated)
    assert score.value == pytest.approx(max(differences, key=abs), abs=1e-9)
    assert score.value > 0.2  # some are copies
    nearer = np.mean([(a < b) + 0.5 * (a == b) for a in ours for b in theirs])
    assert score.parts == pytest.approx(
        {
            "mean distance of samples": ours.mean(),
            "mean distance of held-out items": theirs.mean(),
            "probability of being nearer": nearer,
            "p": ks_2samp(ours, theirs).pvalue,
        }
    )
    assert nn_divergence(train, heldout, 9 + generated).value == -1


def brute_cosine(train, items):
    train, items = (flat(part) / np.linalg.norm(flat(part), axis=1, keepdims=True) for part in (train, items))
    return (1 - np.abs(items @ train.T)).min(axis=1).mean()


def test_mifids_term_is_the_mean_cosine_distance_unless_that_is_large():
    train, heldout, generated = sets()
    generated[40:] *= -1
    score = mifid_term(train, generated, heldout=heldout)
    assert score.value == 1
    assert score.parts["mean distance of samples"] == pytest.approx(brute_cosine(train, generated), abs=1e-9)
    assert score.parts["mean distance of held-out items"] == pytest.approx(brute_cosine(train, heldout), abs=1e-9)
    near = -train[:20] + 0.1 * drawn(7, 20)  # the sign of an item does not count
    assert mifid_term(train, near).value == pytest.approx(brute_cosine(train, near), abs=1e-9)


def test_items_that_are_zero_throughout_have_no_direction():
    train, _, generated = sets()
    generated[0] = 0
    rest = mifid_term(train, generated[1:]).parts["mean distance of samples"]
    assert mifid_term(train, generated).parts["mean distance of samples"] == pytest.approx((79 * rest + 1) / 80)
    assert mifid_term(0 * train, generated).value == 1


def test_in_single_precision_scores_are_the_same():
    for kind in (c_t, nn_divergence, closer_to_train):
        single = [items.astype(np.float32) for items in sets()]
        double = [items.astype(np.float64) for items in single]
        assert kind(*single).value == pytest.approx(kind(*double).value, abs=1e-6)


def test_each_score_says_which_way_copying_moves_it():
    train, heldout, generated = sets()
    scores = [kind(train, heldout, generated) for kind in (c_t, closer_to_train, nn_divergence)]
    scores += [kind(train, generated) for kind in (authpct, mifid_term)]
    assert len({score.name for score in scores}) == 5
    for score in scores:
        assert score.label
        assert score.meaning
        assert score.n == 80


def test_what_cannot_be_compared_is_refused():
    train, heldout, generated = sets()
    with pytest.raises(DataError, match="shape"):
        c_t(train, heldout, generated[:, :1])
    with pytest.raises(DataError, match="at least 2"):
        authpct(train[:1], generated)
    with pytest.raises(ConfigError, match="at least one cell"):
        c_t(train, heldout, generated, cells=0)


def test_the_interval_of_closer_to_train_holds_half_though_samples_share_items():
    missed = 0
    for seed in range(40):
        train, heldout, generated = drawn(seed, 100, (4,)), drawn(seed + 500, 100, (4,)), drawn(seed + 900, 600, (4,))
        score = closer_to_train(train, heldout, generated)
        missed += not score.low <= 0.5 <= score.high
        assert score.parts["samples that count"] < 200  # there are no more items to be nearest to
    assert missed <= 4  # of 40, at 5 % each: more in one of a hundred
