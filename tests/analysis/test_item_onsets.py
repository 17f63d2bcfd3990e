"""Which items are memorized when, and first: planted onsets are found, and where nothing happened there are none."""

import re
from dataclasses import replace

import numpy as np
import pytest
from planted import STEPS, curve, header, heldout

from taumem.analysis.item_hits import onsets_of_hits
from taumem.analysis.item_onsets import find_item_onsets, onsets_against_twin, onsets_alone, why_no_item_onsets
from taumem.analysis.item_order import _censored_fit, order_of_items, rank_correlation
from taumem.errors import ConfigError
from taumem.record import Curve, Measurement, RunRecord

N = 48


def losses(taus: np.ndarray, difficulty: np.ndarray, rng: np.random.Generator, *, jitter: float = 0.03) -> np.ndarray:
    """Items that fall with the held-out loss, and from their onset on to nothing: half way at their onset."""
    shared = heldout(STEPS.astype(float), 400.0)[:, None] * difficulty
    memory = 1 / (1 + (STEPS[:, None] / taus) ** 3)
    return shared * memory * np.exp(jitter * rng.standard_normal(shared.shape))


def record(curves: list[Curve], **which: object) -> RunRecord:
    rows = [
        Measurement(
            quantity=c.quantity, value=c.values[k], items=tuple(c.items[k]), step=int(step), examples=0, seconds=0.0
        )
        for c in curves
        for k, step in enumerate(c.steps)
    ]
    return RunRecord.of(header(N, **which), rows)


def twins(taus: np.ndarray, seed: int = 0, *, isolation: np.ndarray | None = None) -> tuple[RunRecord, RunRecord]:
    """Two runs that memorize their items at these steps; all of them differ in difficulty, which neither score sees."""
    rng = np.random.default_rng(seed)
    never = np.full(N, np.inf)
    sets = {name: np.exp(0.5 * rng.standard_normal(N)) for name in "ab"}
    unseen = np.exp(0.5 * rng.standard_normal(128))
    runs = []
    for own, other in ("ab", "ba"):
        curves = [
            curve("train_loss", STEPS, losses(taus, sets[own], rng)),
            curve("twin_loss", STEPS, losses(never, sets[other], rng)),
            curve("heldout_loss", STEPS, losses(np.full(128, np.inf), unseen, rng)),
        ]
        curves += [] if isolation is None else [curve("isolation", STEPS[-1:], isolation[None])]
        runs.append(record(curves, seed=seed, half=own))
    return runs[0], runs[1]


TAUS = np.geomspace(100, 20_000, N)


def crossing(taus: np.ndarray) -> np.ndarray:
    """Where 1 / (1 + (step / tau)^3) is 2 / 3."""
    return taus * 0.5 ** (1 / 3)


@pytest.mark.parametrize("against", ["twin", "itself"])
def test_planted_onsets_of_items_are_found_and_late_ones_are_bounds(against):
    run, other = twins(TAUS)
    found = onsets_against_twin(run, other) if against == "twin" else onsets_alone(run)
    truth = crossing(TAUS)
    # Without a twin what comes before the middle of the first learning does not show.
    seen = (truth > 250) & (truth < 3000)
    steps = np.array([onset.step for onset in found.placed])
    assert np.abs(np.log(steps[seen] / truth[seen])).max() < 0.2
    assert all(found.placed[k].censored == "right" for k in np.flatnonzero(truth > 4500))
    held = [onset.low <= tau <= onset.high for onset, tau in zip(found.placed, truth, strict=True)]
    assert np.mean(np.array(held)[seen]) > 0.8
    assert list(found.order[:5]) == sorted(found.order[:5])


def test_items_that_nobody_trained_on_have_onsets_at_the_stated_rate_at_most():
    n_false = n_unseen = n_onsets = n_items = 0
    for seed in range(12):
        run, other = twins(np.full(N, np.inf), seed)
        found = onsets_against_twin(run, other)
        n_false, n_unseen = n_false + found.n_false, n_unseen + found.n_unseen
        n_onsets, n_items = n_onsets + found.n_located, n_items + N
    assert n_false / n_unseen < 0.05 + 3 * (0.05 * 0.95 / n_unseen) ** 0.5
    assert n_onsets / n_items < 0.05 + 3 * (0.05 * 0.95 / n_items) ** 0.5


def test_jitter_of_held_out_items_raises_the_bar_to_what_one_in_twenty_of_them_exceeds():
    rng = np.random.default_rng(0)
    n_false = n_unseen = 0
    for seed in range(20):
        unseen, never = np.exp(0.5 * rng.standard_normal(128)), np.full(128, np.inf)
        wild = [curve("heldout_loss", STEPS, losses(never, unseen, rng, jitter=0.8)) for _ in "ab"]
        run, other = twins(np.full(N, np.inf), seed)
        runs = [
            record([one.curve("train_loss"), one.curve("twin_loss"), c], seed=seed, half=name)
            for one, c, name in zip((run, other), wild, "ab", strict=True)
        ]
        found = onsets_against_twin(*runs)
        assert found.bar[-1] > 1
        n_false, n_unseen = n_false + found.n_false, n_unseen + found.n_unseen
    assert abs(n_false / n_unseen - 0.046) < 4 * (0.05 * 0.95 / n_unseen) ** 0.5 + 0.01


@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_a_planted_order_is_found_with_its_sign_and_none_where_there_is_none(sign):
    found = []
    for seed in range(3):
        rng = np.random.default_rng(100 + seed)
        taus = np.exp(np.log(900) + 0.7 * rng.standard_normal(N))
        isolation = np.exp(sign * np.log(taus) + 0.7 * rng.standard_normal(N))
        found += find_item_onsets(list(twins(taus, seed, isolation=isolation)))
    order = order_of_items(found)
    said = order.correlations["isolation"]
    assert order.n_runs == 6
    assert (said.low <= 0 <= said.high) if sign == 0 else (said.low > 0 if sign > 0 else said.high < 0)
    factor = order.factors["isolation"]  # of a log onset with sd .7: half of its variance is the covariate's
    assert factor.low * 0.97 <= np.exp(sign * 0.7 * 0.5**0.5) <= factor.high * 1.03
    first = "isolated" if sign < 0 else "crowded"
    assert order.sentences[0].lower().startswith(first if sign else "neither isolated nor crowded")
    assert order.placebo.low < 0.05
    assert order.placebo.high > -0.05


def test_what_a_twin_happens_to_miss_makes_no_order():
    """Untypical items would seem to go first: the twin's own misses are in their score and in their loss under it."""
    found, rng = [], np.random.default_rng(7)
    for seed in range(6):
        taus = np.exp(np.log(900) + 0.3 * rng.standard_normal(N))
        pair = twins(taus, seed)
        missed = []
        for run in pair:
            by_set = {name: run.curve(name) for name in ("train_loss", "twin_loss", "heldout_loss")}
            noisy = {
                name: curve(name, STEPS, c.items * np.exp(0.3 * rng.standard_normal(c.items.shape[1])))
                for name, c in by_set.items()
                if name != "train_loss"
            }
            missed.append(record([by_set["train_loss"], *noisy.values()], seed=seed, half=run.header.half))
        found += find_item_onsets(missed)
    order = order_of_items(found)
    assert abs(order.correlations["unseen"].value) < 0.15
    assert order.placebo.low < 0 < order.placebo.high


def test_the_interval_of_a_pooled_rank_correlation_holds_zero_as_often_as_it_says():
    rng, held = np.random.default_rng(3), 0
    for _ in range(200):
        one, other = ([rng.standard_normal(20) for _ in range(4)] for _ in range(2))
        drawn = [np.arange(20) + 20 * k for k in range(4)]
        held += 0.0 in rank_correlation(one, other, drawn)
    assert 0.84 < held / 200 < 0.96


def test_a_censored_fit_recovers_the_line_that_made_the_values():
    rng = np.random.default_rng(5)
    x = rng.standard_normal(4000)
    y = 1 + 0.5 * x + 0.3 * rng.standard_normal(4000)
    low, high = (
        np.where(y > 1.3, 1.3, np.where(y < 0.6, -np.inf, y)),
        np.where(y > 1.3, np.inf, np.where(y < 0.6, 0.6, y)),
    )
    design = np.column_stack([x, np.ones(4000)])
    coefficients, sigma = _censored_fit(design, np.column_stack([low, high]), np.ones(4000), None)
    assert np.allclose(coefficients, [0.5, 1], atol=0.02)
    assert abs(sigma - 0.3) < 0.02


def test_runs_that_cannot_say_it_are_left_out_or_refused_with_what_to_do():
    run, other = twins(TAUS)
    few = record([replace(run.curve(n), items=run.curve(n).items[:, :20]) for n in ("train_loss", "heldout_loss")])
    with pytest.raises(ConfigError, match=r"20 held-out items.*n_heldout_items"):
        onsets_alone(few)
    assert find_item_onsets([few]) == []
    late = record([run.curve(name).at_steps(STEPS[:10]) for name in ("train_loss", "heldout_loss")])
    bare = record([run.curve("heldout_loss")])
    assert len(late.steps) > 8
    reasons = why_no_item_onsets([few, late, bare, run, few])
    assert list(reasons.values()) == [[few, few], [late], [bare]]
    of_few, of_late, of_bare = reasons
    assert of_few.startswith("the loss of 20 held-out items")
    assert re.match(
        r"\d looks from the middle of the first learning on \(step [\d,]+\), which stands in for a", of_late
    )
    assert of_bare == "train_loss of single items: not measured."
    assert [found.against for found in find_item_onsets([run])] == ["itself"]
    assert [found.against for found in find_item_onsets([run, other])] == ["twin", "twin"]
    with pytest.raises(ConfigError, match="onsets differ"):
        order_of_items([])


def test_hits_of_items_are_placed_between_the_looks_from_which_on_they_last():
    hits = np.array([[0, 1, 0], [1, 1, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0]], dtype=float)
    found = onsets_of_hits(curve("infill_copies", np.array([8, 16, 32, 64, 128]), hits))
    assert [(onset.low, onset.high, onset.censored) for onset in found] == [
        (32, 64, "interval"),
        (0, 8, "left"),
        (128, np.inf, "right"),
    ]
