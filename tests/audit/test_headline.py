"""Verdicts: copies where there are more than chance gives, none only where they would have been seen."""

from types import SimpleNamespace

import numpy as np
import pytest

from taumem.analysis.phantoms import phantom_test, share_test
from taumem.audit.headline import verdict_of
from taumem.audit.significance import share_of
from taumem.record.audit import Chance, Control, CopyShare, Duplicates, Flagged, Phantoms


def verdict(
    count=0, n=500, chance=0, n_chance=250, planted=64, negative=True, alike=True, flags=0, matched=None,
    alike_p=0.5, source="heldout", repeated=0, identical=0, distinct=None, n_planted=64,
    fresh_identical=0, generated_heldout=0,
):  # fmt: skip
    by_chance = Chance(**share_of(chance, n_chance).model_dump(), source=source)
    p = share_test(count, n, chance, n_chance)
    copies = CopyShare(**share_of(count, n).model_dump(), chance=by_chance, rule="a sample is a copy if ...", p=p)
    flagged = Flagged(count=flags, n=n, q=0.05, n_null=250, fewest=40)
    controls = (
        Control(name="negative", sentence="held-out items ...", count=0, n=250, passed=negative, p=0.5),
        Control(name="positive", sentence="planted ...", count=planted, n=n_planted, passed=None),
        Control(name="alike", sentence="held-out items resemble ...", count=500, n=250, passed=alike, p=0.5),
    )
    phantoms = None
    if matched is not None:
        test = phantom_test(1000, 500, *matched)
        phantoms = Phantoms(
            n_train=1000,
            n_heldout=500,
            matched_train=matched[0],
            matched_heldout=matched[1],
            expected_heldout=test.expected_heldout,
            p=test.p,
            best_p=test.best_p,
        )
    distinct = n if distinct is None else distinct
    duplicates = Duplicates(
        train_identical=repeated, train_near=0, n_groups=1000 - repeated, rule="...",
        generated_train=identical, generated_heldout=generated_heldout, fresh_identical=fresh_identical,
    )  # fmt: skip
    sides = SimpleNamespace(
        duplicates=duplicates, kin=np.zeros(1000 + 2 * n_chance), generated=range(n), heldout=range(2 * n_chance)
    )
    certainty = SimpleNamespace(alike_p=alike_p)
    seen = SimpleNamespace(distinct=range(distinct))
    compared = SimpleNamespace(phantoms=phantoms, controls=controls, certainty=certainty, seen=seen)
    return verdict_of(copies, flagged, compared, sides)


def test_copies_above_chance_are_said_with_their_interval():
    found = verdict(count=35)
    assert found.state == "copies"
    assert "35 of 500 samples (7 %, 95 % interval 4.92 % to 9.6 %)" in found.sentence


def test_as_many_as_chance_gives_are_none_above_chance():
    found = verdict(count=10, chance=6)
    assert found.state == "none_found"
    assert "no more than chance gives" in found.sentence


def test_none_of_500_excludes_a_rate_of_six_in_a_thousand():
    found = verdict()
    assert found.state == "none_found"
    assert "a rate above 0.6 % is excluded at 95 %" in found.sentence


def test_more_than_chance_but_not_told_from_it_is_not_said_to_be_no_more():
    found = verdict(count=10, chance=3)
    assert found.state == "none_found"
    assert "cannot be told from chance" in found.sentence


def test_all_tests_count_and_the_smallest_p_is_multiplied():
    two, three = verdict(count=9, chance=2), verdict(count=9, chance=2, matched=(8, 0))
    assert two.state == "none_found"
    assert three.p == pytest.approx(2 * min(two.p, phantom_test(1000, 500, 8, 0).p))
    assert three.test == "matches on the training side and on the other"
    found = verdict(count=35)
    assert "of one test: samples against held-out items" in found.sentence


def test_none_is_not_said_where_samples_are_training_items_more_often_than_items_equal_one_another():
    found = verdict(n=203, identical=3, count=3)
    assert found.state == "withheld"
    assert "3 of 203 samples are training items, bit for bit" in found.sentence
    assert verdict(n=203, identical=3, count=3, fresh_identical=30).state == "none_found"
    assert "1 of 203 samples is a training item, bit for bit" in verdict(n=203, identical=1, count=1).sentence


def test_where_held_out_items_were_chosen_to_equal_no_training_item_the_phantoms_stand_alone():
    assert verdict(count=35, matched=(2, 1)).state == "copies"
    assert verdict(count=35, matched=(2, 1), generated_heldout=35).state != "copies"


def test_the_comparison_with_heldout_items_is_left_out_where_samples_differ_anyway():
    assert verdict(count=60, chance=28, matched=(60, 0)).state == "copies"
    assert verdict(count=35, matched=(2, 1)).state == "copies"
    alone = verdict(count=35, matched=(2, 1), alike_p=1e-9)
    assert alone.p == pytest.approx(phantom_test(1000, 500, 2, 1).p)
    assert alone.state != "copies"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"negative": False, "count": 35}, "negative control failed"),
        ({"alike": False, "count": 35}, "held-out items are not like training items"),
        ({"source": "left_out", "repeated": 50, "count": 35}, "5 % of the training items are there more than once"),
        ({"count": 180, "chance": 90}, "a rate of 39.7 % could go unseen"),
        ({"n": 3, "n_chance": 3, "count": 3}, "could not show copies even if all were some"),
        ({"planted": 10}, "not known that the rule finds half"),
        ({"n": 20}, "29 samples would do"),
        ({"distinct": 1}, "1 distinct sample is too few"),
        ({"planted": 3, "n_planted": 3}, "not known that the rule finds half"),
        ({"flags": 50}, "50 of 500 stand out"),
    ],
)
def test_a_verdict_is_withheld_with_its_reason(change, words):
    found = verdict(**change)
    assert found.state == "withheld"
    assert words in found.sentence
    assert found.withheld
