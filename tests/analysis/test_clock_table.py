import json

import numpy as np
import pytest
from planted import STEPS, curve, header, items_of, written

from taumem.analysis import CLOCKS, Clock, Placed, add_clock, find_onsets
from taumem.analysis.clocks.table import level_clock
from taumem.errors import ConfigError


def test_names_are_unique_and_say_the_family_and_the_threshold():
    assert list(CLOCKS) == [clock.name for clock in CLOCKS.values()]
    assert {"tau_gen", "tau_val", "tau_gap[0.1]", "tau_gap_sym[0.15]", "tau_copy[0.05]", "tau_split"} <= set(CLOCKS)
    assert level_clock(2).name == "tau_level[2]"
    with pytest.raises(ConfigError, match="level 99"):
        level_clock(99)


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=lambda clock: clock.name)
def test_every_clock_says_its_rule_what_it_needs_and_its_colors(clock):
    assert clock.rule.endswith(".")
    assert clock.needs
    assert ("{x}" in clock.rule) == bool(clock.x)
    assert all(len(color) == 7 and color.startswith("#") for color in clock.color)


def test_a_clock_is_not_read_where_nothing_was_measured(tmp_path):
    assert find_onsets([written(tmp_path, header(), [])]) == []


def test_the_name_of_a_clock_is_given_once():
    with pytest.raises(ConfigError, match="there is a clock 'tau_val' already"):
        add_clock(CLOCKS["tau_val"])


def test_an_onset_carries_the_rule_with_its_threshold_and_can_be_written(tmp_path):
    loss = items_of(np.full(len(STEPS), 0.5), 8, np.random.default_rng(0))
    curves = [curve(name, STEPS.astype(float), loss) for name in ("train_loss", "heldout_loss")]
    onsets = {onset.clock: onset for onset in find_onsets([written(tmp_path, header(), curves)])}
    late = onsets["tau_gap[0.2]"]
    assert "passes 0.2 for good" in late.rule
    assert late.censored == "right"
    assert json.loads(json.dumps(late.to_json(), allow_nan=False))["high"] is None


def test_a_clock_of_ones_own_is_found_like_the_others(tmp_path):
    half = Clock("tau_half", lambda seen, confidence: Placed(7, 6, 8, "no") if seen.curve("x") else None, "Seven.", "x")
    add_clock(half)
    try:
        record = written(tmp_path, header(), [curve("x", np.array([10.0]), np.ones((1, 2)))])
        assert [(o.clock, o.step, o.rule) for o in find_onsets([record])] == [("tau_half", 7, "Seven.")]
    finally:
        del CLOCKS["tau_half"]
