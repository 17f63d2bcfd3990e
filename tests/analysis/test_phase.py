"""The phase diagram finds what was planted: regions, boundaries, and the price of stopping at tau_mem."""

import json
import math
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, t

from taumem.analysis import PhaseDiagram, find_onsets, has_levels
from taumem.errors import ConfigError
from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord

STARS = (64, 256, 1024)  # v = 4, m = 4: P*_l = 4 m^(l + 1)
C = 6.0  # tau_mem = 6 P
SIZES = (32, 128, 512, 2048)
LOOKS = tuple(round(2 ** (k / 2)) for k in range(6, 31))
N_SAMPLES = 400
_folders = count()


def tau_level(level, n_train):
    """The planted law of each level: grows slowly with P."""
    return 1.3 * STARS[level - 1] * (n_train / 128) ** 0.25


def share(quantity, hits, n=N_SAMPLES):
    ends = binomtest(hits, n).proportion_ci(0.95, method="exact")
    return Estimate(quantity=quantity, value=hits / n, low=float(ends.low), high=float(ends.high), count=n)


def header(n_train, *, seed=0, stars=STARS, name="grammar", batch_size=16, data="RHM"):
    facts = DataFacts(
        name=data, fingerprint="0", n_train=n_train, n_heldout=64, item_shape=(8,), sample_complexities=stars
    )
    return RunHeader(name=name, data=facts, seed=seed, batch_size=batch_size, steps=LOOKS[-1])


def planted_run(
    folder: Path,
    n_train=512,
    *,
    seed=0,
    tau_mem=None,
    levels=None,
    looks=LOOKS,
    novel=lambda step: 0.5,
    quantities=("novel_valid", "heldout_loss_above_exact"),
    **about,
):
    """A run whose shares jump: a level is reached at the first look from its time on, copies are seen likewise."""
    tau_mem = C * n_train if tau_mem is None else tau_mem
    levels = [tau_level(level, n_train) for level in (1, 2, 3)] if levels is None else levels
    run = header(n_train, seed=seed, **about)
    path = folder / f"run{next(_folders)}"
    with RunRecord.open(path, run) as record:
        for step in looks:
            copied = step >= tau_mem
            estimates = [
                share(f"valid[{level}]", round(N_SAMPLES * (0.95 if copied or step >= at else 0.1)))
                for level, at in enumerate(levels, start=1)
            ]
            estimates.append(share("copy_fraction", round(N_SAMPLES * (0.8 if copied else 0.0))))
            estimates.append(Estimate(quantity="copy_fraction_chance", value=0.0, count=N_SAMPLES))
            more = {
                "novel_valid": share("novel_valid", round(N_SAMPLES * novel(step))),
                "heldout_loss_above_exact": Estimate(
                    quantity="heldout_loss_above_exact", value=10 / step + 0.1 * seed, se=0.02, count=64
                ),
            }
            estimates += [more[name] for name in quantities]
            record.append([Measurement.of(e, step=step, examples=step * 16, seconds=0.0) for e in estimates])
    return RunRecord.read(path)


def diagram(records, **options):
    return PhaseDiagram.of(records, find_onsets(records), **options)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grammar")
    return [planted_run(folder, n_train, seed=seed) for n_train in SIZES for seed in (0, 1)]


@pytest.fixture(scope="module")
def planted(records):
    return diagram(records)


# --- regions --------------------------------------------------------------------------------------------------------


def test_the_region_is_the_planted_one_at_every_look_of_every_run(planted):
    assert [(k.n_train, k.seed, k.step) for k in planted.looks] == [
        (n_train, seed, step) for n_train in SIZES for seed in (0, 1) for step in LOOKS
    ]
    seen = set()
    for look in planted.looks:
        level = sum(look.step >= tau_level(each, look.n_train) for each in (1, 2, 3))
        expected = ("underfit", "partial", "partial", "generalization")[level]
        if look.step >= C * look.n_train:
            assert (look.region, look.grammar_level) == ("memorization", 3)  # copies obey the grammar
        else:
            assert (look.region, look.grammar_level) == (expected, level)
        seen.add((look.region, look.grammar_level))
    assert seen == {("underfit", 0), ("partial", 1), ("partial", 2), ("generalization", 3), ("memorization", 3)}


def test_a_level_counts_only_with_all_below_it(tmp_path):
    """Level 2 seems to be reached at once, level 1 at step 1000: nothing is learned before."""
    run = planted_run(tmp_path, 2048, levels=(1000, 16, 3000))
    levels = [(look.step, look.grammar_level) for look in diagram([run]).looks if look.region != "memorization"]
    assert levels == [(s, 0 if s < 1000 else 2 if s < 3000 else 3) for s in LOOKS if s < C * 2048]


def test_what_the_first_look_shows_was_reached_from_the_first_look_on(tmp_path):
    run = planted_run(tmp_path, 2048, levels=(1, 1, 1), tau_mem=1e9)
    assert {look.region for look in diagram([run]).looks} == {"generalization"}
    copying = planted_run(tmp_path, 32, tau_mem=1)
    found = diagram([copying])
    assert {look.region for look in found.looks} == {"memorization"}
    assert found.price == ()


def test_what_no_look_shows_was_never_reached(tmp_path):
    run = planted_run(tmp_path, 2048, levels=(1e9, 1e9, 1e9), tau_mem=1e9)
    assert {(look.region, look.grammar_level) for look in diagram([run]).looks} == {("underfit", 0)}


def test_another_clock_can_be_the_one_of_memorization(tmp_path, records):
    other = diagram(records, clock="tau_copy[0.1]")
    assert (other.clock, other.memorization.clock) == ("tau_copy[0.1]", "tau_copy[0.1]")


# --- boundaries -----------------------------------------------------------------------------------------------------


def test_the_boundary_of_memorization_is_proportional_to_the_size(planted):
    boundary = planted.memorization
    assert boundary.linear.exponent_kind == "fixed"
    assert boundary.linear.prefactor.value == pytest.approx(C, rel=0.2)
    assert 1.0 in boundary.free.exponent
    assert (boundary.n_runs, boundary.n_fitted, boundary.reason) == (8, 8, "")


def test_the_boundaries_of_the_levels_are_the_planted_laws_and_come_in_order(planted):
    assert [b.clock for b in planted.boundaries] == ["tau_level[1]", "tau_level[2]", "tau_level[3]"]
    first = planted.boundaries[0].free
    assert 0.25 in first.exponent
    times = []
    for level, boundary in enumerate(planted.boundaries, start=1):
        assert boundary.linear is None
        if boundary.free is not None:
            times.append(boundary.free.predict(2048).value)
            assert times[-1] == pytest.approx(tau_level(level, 2048), rel=0.25)
    assert len(times) >= 2
    assert times == sorted(times)


def test_runs_that_copied_first_are_left_out_of_a_level_and_counted(planted):
    """Level 2 takes 1.3 x 256 (P / 128)^0.25 steps: at P = 32 copies are seen at 192, before it."""
    learned = {n: [tau_level(level, n) < C * n for level in (1, 2, 3)] for n in SIZES}
    assert learned[32] == [True, False, False]
    for level, boundary in enumerate(planted.boundaries):
        copied = sum(not learned[n][level] for n in SIZES) * 2
        assert (boundary.n_runs, boundary.n_copied, boundary.n_open) == (8, copied, 0)
        assert boundary.n_fitted == 8 - copied
        if boundary.free is not None:
            assert boundary.free.sizes == tuple(n for n in SIZES if learned[n][level])


@pytest.mark.slow
def test_runs_that_ended_with_neither_are_counted_apart_and_the_missing_law_has_a_reason(tmp_path):
    runs = [planted_run(tmp_path, n, levels=(20, 1e9, 1e9), tau_mem=1e9) for n in (128, 512)]
    _, second, _ = diagram(runs).boundaries
    assert (second.free, second.n_runs, second.n_copied, second.n_open) == (None, 2, 0, 2)
    assert "0 of 2 runs, at 0 size(s), reached it before copies were seen" in second.reason


def test_copies_and_a_level_at_the_same_look_are_no_learning(tmp_path):
    found = diagram([planted_run(tmp_path, 128, levels=(16, 100, 1e9), tau_mem=100)])
    assert [b.n_copied for b in found.boundaries] == [0, 1, 1]


def test_sizes_that_are_excluded_enter_no_fit_but_are_drawn(records):
    held = diagram(records, excluded={2048})
    assert held.memorization.free.sizes == (32, 128, 512)
    assert 2048 in {look.n_train for look in held.looks}
    assert 2048 in {price.n_train for price in held.price}


# --- onsets by size -------------------------------------------------------------------------------------------------


def test_the_onsets_of_a_size_are_those_of_its_runs(planted):
    size = planted.levels[SIZES.index(128)]
    first = size.levels[0]
    after = next(s for s in LOOKS if s >= tau_level(1, 128))
    before = max(s for s in LOOKS if s < tau_level(1, 128))
    assert (first.low, first.high) == (before, after)
    assert before < first.step < after
    assert (first.n_runs, first.n_reached, first.n_learned, first.n_bounded) == (2, 2, 2, 0)
    small = planted.levels[0]
    assert (small.levels[1].n_reached, small.levels[1].n_learned) == (2, 0)  # by copying
    assert small.memorization.low < C * 32 <= small.memorization.high


@pytest.mark.slow
def test_onsets_that_are_bounds_leave_an_end_open(tmp_path):
    runs = [planted_run(tmp_path, 128, seed=0), planted_run(tmp_path, 128, seed=1, levels=(1, 1e9, 1e9), tau_mem=1e9)]
    first, second, _ = diagram(runs).levels[0].levels
    assert (first.low, first.n_bounded, first.n_reached) == (0.0, 1, 2)
    assert (second.high, second.n_bounded, second.n_reached) == (math.inf, 1, 1)
    assert second.to_json()["high"] is None


# --- the price ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_price_is_read_at_the_last_look_before_copies_were_seen(tmp_path):
    def novel(step):
        return 0.9 * step / LOOKS[-1]

    runs = [planted_run(tmp_path, n, novel=novel) for n in SIZES]
    found = diagram(runs)
    assert [price.n_train for price in found.price] == list(SIZES)
    for price in found.price:
        step = max(s for s in LOOKS if s < C * price.n_train)
        assert price.ratio == price.n_train / 1024
        assert price.step == pytest.approx(step)
        assert price.novel_valid.value == pytest.approx(novel(step), abs=1 / N_SAMPLES)
        assert price.loss_above_exact.value == pytest.approx(10 / step)
        assert price.grammar_level == sum(step >= tau_level(level, price.n_train) for level in (1, 2, 3))
        assert (price.n_runs, price.reached, price.n_left_out) == (1, True, 0)


def test_a_run_that_ended_before_copies_enters_with_its_last_look_and_says_so(tmp_path):
    (price,) = diagram([planted_run(tmp_path, 128, seed=k, tau_mem=tau) for k, tau in enumerate((1e9, 400))]).price
    assert not price.reached
    assert (price.n_runs, price.n_reached) == (2, 1)
    assert price.step == pytest.approx(math.sqrt(LOOKS[-1] * max(s for s in LOOKS if s < 400)))


@pytest.mark.slow
def test_a_run_that_copied_from_the_first_look_on_is_left_out_of_the_price(tmp_path):
    (price,) = diagram([planted_run(tmp_path, 128, seed=k, tau_mem=tau) for k, tau in enumerate((1, 400))]).price
    assert (price.n_runs, price.n_left_out, price.reached) == (1, 1, True)


def test_the_share_of_one_run_has_its_exact_interval(tmp_path):
    (price,) = diagram([planted_run(tmp_path, 128, novel=lambda _: 0.3)]).price
    ends = binomtest(120, 400).proportion_ci(0.95, method="exact")
    assert (price.novel_valid.low, price.novel_valid.high) == pytest.approx((ends.low, ends.high))
    assert price.novel_valid.confidence == 0.95


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_of_none_or_all_stays_between_0_and_1(tmp_path, value):
    (price,) = diagram([planted_run(tmp_path, 128, seed=k, novel=lambda _: value) for k in range(2)]).price
    assert (price.novel_valid.value, price.novel_valid.low >= 0, price.novel_valid.high <= 1) == (value, True, True)
    assert price.novel_valid.low < price.novel_valid.high


@pytest.mark.slow
def test_runs_that_agree_pool_their_counts_and_runs_that_differ_widen_the_interval(tmp_path):
    same = diagram([planted_run(tmp_path, 128, seed=k, novel=lambda _: 0.3) for k in range(3)]).price[0].novel_valid
    ends = binomtest(360, 1200).proportion_ci(0.95, method="exact")
    assert (same.low, same.high) == pytest.approx((ends.low, ends.high))
    shares = (0.1, 0.3, 0.5)
    apart = [planted_run(tmp_path, 128, seed=k, novel=lambda _, x=x: x) for k, x in enumerate(shares)]
    wide = diagram(apart).price[0].novel_valid
    scatter = t.ppf(0.975, 2) * math.sqrt(np.var(shares, ddof=1) / 3)
    assert wide.value == pytest.approx(0.3)
    assert wide.high - 0.3 == pytest.approx(scatter)


@pytest.mark.slow
def test_the_interval_of_the_loss_holds_its_errors_and_the_scatter_of_the_runs(tmp_path):
    (price,) = diagram([planted_run(tmp_path, 128, seed=seed) for seed in range(3)]).price
    step = max(s for s in LOOKS if s < C * 128)
    assert price.loss_above_exact.value == pytest.approx(10 / step + 0.1)
    reach = math.hypot(1.959964 * 0.02, t.ppf(0.975, 2) * 0.1 / math.sqrt(3))
    assert price.loss_above_exact.high - price.loss_above_exact.value == pytest.approx(reach, rel=1e-5)


def test_what_was_not_measured_has_no_number(tmp_path):
    (price,) = diagram([planted_run(tmp_path, 128, quantities=())]).price
    assert (price.novel_valid, price.loss_above_exact) == (None, None)
    assert price.to_json()["novel_valid"] is None


# --- as JSON, and what cannot be used -------------------------------------------------------------------------------


def test_the_diagram_is_plain_finite_json(planted, tmp_path):
    facts = json.loads(json.dumps(planted.to_json(), allow_nan=False))
    assert facts["sample_complexities"] == list(STARS)
    assert [size["n_train"] for size in facts["levels"]] == list(SIZES)
    assert list(facts["boundaries"]) == ["tau_level[1]", "tau_level[2]", "tau_level[3]", "tau_copy[0.05]"]
    assert facts["price"][0]["ratio"] == 32 / 1024
    assert facts["boundaries"]["tau_copy[0.05]"]["linear"]["prefactor"]["value"] == pytest.approx(C, rel=0.2)
    censored = diagram([planted_run(tmp_path, 64, levels=(1, 1e9, 1e9), tau_mem=1e9)])
    json.dumps(censored.to_json(), allow_nan=False)


def test_the_order_of_the_runs_does_not_matter(records, planted):
    assert diagram(list(reversed(records))).to_json() == planted.to_json()


def test_a_run_without_looks_is_named_and_left_out(tmp_path, records):
    with RunRecord.open(tmp_path / "begun", header(64, seed=9)) as begun:
        pass
    found = diagram([*records, begun])
    assert found.left_out == ("begun",)
    assert 64 not in {look.n_train for look in found.looks}


def test_runs_with_levels_are_told_from_others(records, tmp_path):
    assert has_levels(records)
    with RunRecord.open(tmp_path / "image", header(64, stars=())) as image:
        pass
    assert not has_levels([image])
    assert not has_levels([])


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"data": "another"}, "one data set; these runs have RHM, another"),
        ({"stars": (64, 256, 512)}, "one hierarchy"),
        ({"stars": ()}, "one hierarchy"),
        ({"batch_size": 32}, "one batch size; these runs have 16, 32"),
    ],
)
def test_runs_of_several_kinds_are_refused(tmp_path, records, about, words):
    with pytest.raises(ConfigError, match=words):
        diagram([*records, planted_run(tmp_path, 64, **about)])


def test_what_gives_no_diagram_is_refused_with_what_to_do(tmp_path, records):
    with pytest.raises(ConfigError, match="got none"):
        PhaseDiagram.of([], [])
    with pytest.raises(ConfigError, match=r"needs 'tau_copy\[0.05\]' and tau_gen of one run at least"):
        diagram([planted_run(tmp_path, 64, stars=())])
    with pytest.raises(ConfigError, match=r"the clocks read from these runs: none\. Draw samples"):
        PhaseDiagram.of(records, [])
    with pytest.raises(ConfigError, match="'tau_nothing'"):
        diagram(records, clock="tau_nothing")
    with pytest.raises(ConfigError, match="each run once"):
        diagram([*records, records[0]])
