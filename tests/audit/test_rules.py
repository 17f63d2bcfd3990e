"""Rules: read as they are written, and counted by what they say."""

import numpy as np
import pytest

from taumem.audit.rules import calibrated_distance, rule_of, usual_rules
from taumem.errors import ConfigError
from taumem.neighbors.matches import Matches


def matches(ratio, plain=None, distance=None):
    ratio = np.asarray(ratio, float)
    plain = np.ones((len(ratio), 3)) if plain is None else np.asarray(plain, float)
    distance = ratio if distance is None else np.asarray(distance, float)
    whole = np.zeros(len(ratio), np.int64)
    return Matches(ratio, whole, distance, ratio, whole, ("as it is",), plain)


def test_a_rule_is_what_is_written():
    rule = rule_of(" gap<1/3 ")
    assert (rule.name, rule.threshold, rule.inclusive) == ("gap<1/3", 1 / 3, False)
    assert rule_of("edit<=0.05").inclusive
    assert "1/3" in rule.sentence
    assert rule.copied(matches([0, 0.333, 0.334])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("gap<1/3", "is nearer than 1/3 of the way"),
        ("gap<=1/3", "is no farther than 1/3 of the way"),
        ("distance<0.05", "is below 0.05"),
        ("distance<=0.05", "is at most 0.05"),
        ("carlini<1/2", "is below 1/2 of the mean"),
        ("edit<=0.05", "by changing no more than 0.05 of its"),
        ("edit<0.05", "by changing less than 0.05 of its"),
    ],
)
def test_the_sentence_of_a_rule_says_whether_the_threshold_itself_is_a_copy(written, said):
    assert said in rule_of(written).sentence


def test_carlini_compares_with_the_mean_of_the_nearest():
    plain = [[1, 3, 5], [2, 3, 4], [0, 0, 0]]  # of means 3, 3, 0: equal items are identical ones
    assert rule_of("carlini<0.5").copied(matches([1, 1, 1], plain)).tolist() == [True, False, True]


def test_identical_means_no_distance_at_all():
    plain = [[0, 1, 1], [1e-12, 1, 1]]
    assert rule_of("identical").copied(matches([0, 0], plain)).tolist() == [True, False]


@pytest.mark.parametrize(
    "written", ["", "gap", "gap>1/3", "gap<1/0", "gap<0", "gap<2", "gap<-1", "gop<1/3", "identical<1", "gap<nan"]
)
def test_what_is_no_rule_is_refused_with_an_example(written):
    with pytest.raises(ConfigError, match="such as gap<1/3"):
        rule_of(written)


def test_the_rule_that_is_asked_for_comes_first_and_once():
    names = [rule.name for rule in usual_rules("images", "gap<1/2")]
    assert names[0] == "gap<1/2"
    assert len(names) == len(set(names))
    assert usual_rules("texts")[0].name == "edit<=0.05"


@pytest.mark.parametrize(("kind", "rule"), [("images", "edit<=0.1"), ("texts", "gap<1/3"), ("texts", "carlini<0.5")])
def test_a_rule_of_another_kind_of_items_is_refused(kind, rule):
    with pytest.raises(ConfigError, match="is not for"):
        usual_rules(kind, rule)


def test_the_calibrated_distance_takes_one_in_a_hundred():
    null = matches(np.ones(1000), np.arange(1, 1001)[:, None])
    assert calibrated_distance(null).copied(null).mean() == pytest.approx(0.01, abs=0.0015)
