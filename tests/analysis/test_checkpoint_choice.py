"""Of a finished run each policy keeps a checkpoint and says why; none is called worse that is as good as the best."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import curve, header, share_curve
from scipy import stats

from taumem.analysis.checkpoint_choice import as_good_as_best, choices_of, what_they_tell
from taumem.analysis.stopping import RULES, Checkpoint
from taumem.record import Estimate, Measurement, RunRecord

RNG = np.random.default_rng(7)


def recorded(heldout, train=None, steps=None, copies=None):
    """A record of losses [looks, items], and of copies among 100 samples."""
    steps = np.arange(1, len(heldout) + 1) * 100 if steps is None else steps
    curves = {"heldout_loss": heldout} | ({} if train is None else {"train_loss": train})
    measurements = [
        Measurement.of(
            Estimate(quantity=name, value=float(row.mean()), se=0.01, count=len(row), items=tuple(map(float, row))),
            step=int(step), examples=0, seconds=0.0,
        )
        for name, rows in curves.items()
        for step, row in zip(steps, rows, strict=True)
    ]  # fmt: skip
    for name, counts in (("copy_fraction", copies), ("copy_fraction_chance", [0] * len(heldout))):
        if copies is not None:
            measurements += [
                Measurement.of(Estimate(quantity=name, value=k / 100, count=100), step=int(s), examples=0, seconds=0.0)
                for s, k in zip(steps, counts, strict=True)
            ]
    return RunRecord.of(header(), measurements)


def kept(record, policy, existing=None):
    def checkpoint_of(verdict):
        there = [s for s in (existing or record.steps) if verdict.keep is not None and 0 < s <= verdict.keep]
        return Checkpoint(max(there), f"checkpoint-{max(there)}") if there else None

    return next(c for c in choices_of(record, checkpoint_of, RULES["quality"])[1:] if c.policy == policy)


def items(means, n=32, noise=0.02):
    """Items of differing difficulty, that answer each checkpoint with a scatter of their own."""
    return RNG.lognormal(0, 0.3, n) * (np.asarray(means)[:, None] + noise * RNG.normal(size=(len(means), n)))


# --- as good as the best ----------------------------------------------------------------------------------------------


def test_the_set_is_that_of_paired_t_tests_against_the_lowest():
    losses = items([1.3, 1.01, 1.0, 1.02, 1.1])
    lowest = losses[losses.mean(axis=1).argmin()]
    p = [1 if row is lowest else stats.ttest_rel(row, lowest, alternative="greater").pvalue for row in losses]
    expected = [100 * (k + 1) for k in range(5) if np.isclose(losses[k].mean(), lowest.mean()) or p[k] >= 0.05 / 4]
    assert list(as_good_as_best(curve("heldout_loss", np.arange(1, 6) * 100.0, losses))) == expected


@given(st.integers(2, 20), st.integers(2, 40), st.integers(0, 99))
def test_the_lowest_is_always_in_the_set_and_other_units_change_nothing(looks, n, seed):
    losses = np.random.default_rng(seed).lognormal(size=(looks, n))
    steps = np.arange(1, looks + 1) * 10.0
    good = as_good_as_best(curve("heldout_loss", steps, losses))
    assert steps[losses.mean(axis=1).argmin()] in good
    assert good == as_good_as_best(curve("heldout_loss", steps, 8 * losses))


def test_the_truly_best_checkpoint_is_in_the_set_as_often_as_promised():
    missed = sum(
        100 not in as_good_as_best(curve("heldout_loss", np.arange(1, 7) * 100.0, items([1] * 6))) for _ in range(400)
    )
    assert missed <= stats.binom.ppf(0.999, 400, 0.05)


def test_checkpoints_that_are_the_same_are_equally_good_and_one_item_tells_none_apart():
    same = np.tile(RNG.lognormal(size=12), (4, 1))
    assert len(as_good_as_best(curve("heldout_loss", np.arange(1, 5.0), same))) == 4
    assert len(as_good_as_best(curve("heldout_loss", np.arange(1, 5.0), items([3, 2, 1, 2], n=1)))) == 4


# --- by policy --------------------------------------------------------------------------------------------------------


def test_of_few_checkpoints_balanced_keeps_the_first_that_is_as_good_and_quality_the_lowest():
    losses = items([1.5, 1.0, 1.0, 1.0, 1.3], noise=0.05)
    losses[3] -= 0.004  # a little lower, which nobody can tell
    record = recorded(losses, train=items([1.4, 0.9, 0.8, 0.7, 0.6]))
    assert kept(record, "quality").keep == 400
    balanced = kept(record, "balanced")
    assert balanced.keep == 200
    assert "the first whose held-out loss cannot be told from the lowest, that of step 400" in balanced.reason
    told = what_they_tell(record)
    assert told.startswith(
        "Step 400 has the lowest held-out loss; 32 held-out items cannot tell it from steps 200, 300 (95"
    )
    assert told.endswith("by 5 checkpoints: that takes 8, better 20 (save more often).")


def test_of_many_checkpoints_balanced_says_when_the_gap_opened():
    steps = np.arange(1, 21) * 100
    falls = 1 / (1 + steps / 300)
    train = items(falls * np.where(steps > 800, np.sqrt(800 / steps), 1), noise=0.005)
    choice = kept(recorded(items(falls, noise=0.005), train=train), "balanced")
    assert choice.verdict.stop
    assert "It began between steps " in choice.reason
    assert choice.beyond.startswith(f"The next one, step {choice.keep + 100:,}: held-out loss -")


def test_no_copies_keeps_the_best_before_the_first_and_none_where_the_first_has_some():
    losses = items([1.2, 1.1, 1.0, 1.05])
    choice = kept(recorded(losses, copies=[0, 1, 30, 60]), "no_copies")
    assert choice.keep == 200
    assert choice.reason.startswith("30 of 100 samples are copies")
    none = kept(recorded(losses, copies=[40, 50, 60, 70]), "no_copies")
    assert none.keep is None
    assert none.reason.endswith("That is so of the first checkpoint: none is before it.")


def test_what_was_not_asked_keeps_nothing_and_says_why():
    choice = kept(recorded(items([1.2, 1.1])), "no_copies")
    assert (choice.keep, choice.reason) == (None, "Copies among samples: no samples were drawn.")


@pytest.mark.parametrize(
    ("means", "words"), [([1.3, 1.2, 1.1], "the last one: a later"), ([1, 1.2, 1.3], "the first one: an e")]
)
def test_the_lowest_at_an_end_is_said_to_be_one(means, words):
    assert words in kept(recorded(items(means)), "quality").reason


def test_where_the_base_is_better_it_is_said():
    record = recorded(items([1.0, 1.2, 1.1]), steps=[0, 100, 200])
    assert "But that of step 0, before training, is lower still." in kept(record, "quality").reason


def test_shares_are_read_as_they_are_recorded():
    assert share_curve("copy_fraction", np.array([1.0]), [3], 100).values[0] == 0.03


@pytest.mark.parametrize("means", [[1.0], [1.0, 1.2, 1.5]])
def test_of_the_first_checkpoint_nothing_is_said_of_those_before_it(means):
    record = recorded(items(means), train=items(means))
    (choice,) = [
        c for c in choices_of(record, lambda v: Checkpoint(100, "one"), RULES["quality"]) if c.policy == "balanced"
    ]
    assert choice.reason == "Its held-out loss is the lowest, and it is the first one: an earlier one might be better."
