"""Copies: known ratios, duplicates, chance."""

import warnings

import numpy as np
import pytest
import torch
from reference_problem import DIFFUSION, items

from taumem.errors import ConfigError, DataError, TaumemWarning
from taumem.neighbors import near_duplicates
from taumem.neighbors.comparison import NearestComparison
from taumem.probes import Copies, EmpiricalGap, TextCopies
from taumem.probes.probe import share
from taumem.record import CopyRule

LINE = torch.tensor([[0.0], [1.0], [10.0]])


@pytest.mark.parametrize(
    ("place", "ratio"), [(0.0, 0.0), (0.2, 0.25), (0.25, 1 / 3), (0.3, 3 / 7), (0.5, 1.0), (9.0, 1 / 8)]
)
def test_a_copy_is_nearer_to_its_item_than_a_third_of_the_way_to_the_next(place, ratio):
    reading = Copies(LINE, LINE[:0]).measure(torch.tensor([[place]]))
    assert reading.arrays["gap_ratio"].tolist() == pytest.approx([ratio])
    assert reading.estimates == (share("copy_fraction", int(ratio < 1 / 3), 1),)


def test_the_threshold_may_be_another():
    samples = torch.tensor([[0.2], [0.3], [0.4]])  # ratios 1/4, 3/7, 2/3
    counts = [Copies(LINE, LINE[:0], threshold=c).measure(samples).estimates[0].value * 3 for c in (0.2, 0.3, 0.5, 0.7)]
    assert counts == pytest.approx([0, 1, 2, 3])


def test_duplicates_in_the_training_set_hide_no_copy():
    train = items(50, 0)
    probe = Copies(torch.cat([train, train, train[:5]]), items(200, 1))
    plain = Copies(train, items(200, 1))
    assert probe.measure(train).estimates[0].value == 1
    samples = items(64, 2)
    assert probe.measure(samples).estimates == plain.measure(samples).estimates


def test_chance_is_the_rate_of_held_out_data_under_the_same_rule():
    train, heldout = items(400, 0)[:, :2], items(3000, 1)[:, :2]  # in two dimensions chance copies are common
    _, chance = Copies(train, heldout).measure(heldout[:10]).estimates
    distances = torch.cdist(heldout.double(), train.double())
    groups = near_duplicates(train)
    is_other = groups != groups[distances.argmin(dim=1)][:, None]
    second = torch.where(is_other, distances, torch.inf).amin(dim=1)
    count = int((distances.amin(dim=1) / second < 1 / 3).sum())
    assert count > 100
    assert chance == share("copy_fraction_chance", count, 3000)
    fresh, _ = Copies(train, heldout).measure(items(3000, 2)[:, :2]).estimates
    assert chance.low < fresh.high
    assert fresh.low < chance.high


def test_without_held_out_data_there_is_no_chance_level():
    assert [e.quantity for e in Copies(LINE, LINE[:0]).measure(LINE).estimates] == ["copy_fraction"]


def test_kept_samples_stand_beside_their_nearest_training_items():
    train, samples = items(30, 0), items(20, 1)
    arrays = Copies(train, train[:0], keep=8).measure(samples).arrays
    places = torch.cdist(samples.double(), train.double()).argmin(dim=1)[:8]
    np.testing.assert_allclose(arrays["samples"], samples[:8], rtol=1e-3)
    np.testing.assert_allclose(arrays["nearest"], train[places], rtol=1e-3, atol=1e-4)
    assert {len(array) for array in arrays.values()} == {8}


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_that_is_no_ratio_is_refused(threshold):
    with pytest.raises(ConfigError, match="gap ratio of a copy lies between 0 and 1; got"):
        Copies(LINE, LINE, threshold=threshold)


@pytest.mark.parametrize(("train", "n"), [(LINE[:0], 0), (LINE[:1], 1), (LINE[[0, 0, 0]], 1)])
def test_fewer_than_two_distinct_training_items_are_refused(train, n):
    with pytest.raises(ConfigError, match=f"at least 2 distinct training items; got {n}"):
        Copies(train, LINE)


@pytest.mark.parametrize(
    ("train", "heldout"), [(LINE[:0], LINE), (LINE, LINE[:0]), (LINE, LINE[:1]), (LINE, LINE[[1, 1]])]
)
def test_the_empirical_gap_needs_items_with_a_spread(train, heldout):
    with pytest.raises(ConfigError, match="held-out items that differ from one another"):
        EmpiricalGap(DIFFUSION, train, heldout)


@pytest.mark.parametrize("times", [(), (0.0,), (1.5,)])
def test_the_empirical_gap_refuses_times_outside_the_open_interval(times):
    with pytest.raises(ConfigError, match="asks at diffusion times"):
        EmpiricalGap(DIFFUSION, LINE, LINE, times=times)


# --- near-duplicates -------------------------------------------------------------------------------------------------


def images(n, seed, shape=(3, 8, 8)):
    """Smooth images in [-1, 1]: what is between their pixels is no noise."""
    coarse = torch.randn(n, shape[0], 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear").clamp(-1, 1)


def noisy(items, noise, seed=5):
    return items + noise * torch.randn(items.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "noise"), [(8, 1e-3), (20, 0.04)])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_near_duplicates_in_the_training_set_hide_no_copy_and_the_settings_say_how_many_groups_there_are(n, noise, k):
    originals, heldout = images(n, 1), images(100, 2)
    near = [noisy(originals, noise, seed) for seed in range(3, 3 + k)]
    probe, plain = Copies(torch.cat([originals, *near]), heldout), Copies(originals, heldout)
    samples = torch.cat([noisy(originals, noise, 9), images(30, 8)])
    assert probe.measure(samples).estimates[0].value == n / (n + 30)
    assert probe.measure(samples).estimates == plain.measure(samples).estimates
    assert (probe.settings["n_items"]["train"], probe.settings["n_groups"]) == (n * (k + 1), n)
    assert plain.settings["n_groups"] == n
    hidden = Copies(torch.cat([originals, *near]), heldout)
    hidden.comparison = NearestComparison(hidden.train)  # each for itself, as it was
    assert hidden.measure(samples).estimates[0].value == 0


@pytest.mark.slow
def test_mirrored_and_shifted_copies_count_in_the_views_that_are_asked_for():
    originals, heldout = images(30, 1, (1, 16, 16)), images(100, 2, (1, 16, 16))
    samples = torch.cat([originals[:10].flip(3), torch.roll(originals[10:20], 1, 3), images(30, 8, (1, 16, 16))])
    found = {views: Copies(originals, heldout, views=views) for views in ("none", "light", "full")}
    counts = {views: round(50 * probe.measure(samples).estimates[0].value) for views, probe in found.items()}
    assert counts["none"] < counts["light"] < counts["full"] == 20
    assert found["full"].copy_rule.sentence.endswith("in one of the views of the orbit 'full'")
    assert found["full"].settings["views"] == "full"
    assert "views" not in found["none"].settings


def test_the_rule_says_that_near_duplicates_count_as_one():
    assert Copies(LINE, LINE[:0]).copy_rule.sentence == (
        "a sample is a copy if its nearest training item is nearer than 1/3 of the way to the nearest one that is no "
        "near-duplicate of it"
    )


def test_a_rule_of_before_is_written_and_read_as_it_was():
    before = {"measure": "gap_ratio", "threshold": 0.25}
    assert CopyRule.model_validate(before).model_dump() == before
    assert CopyRule.model_validate(before).sentence.endswith("of the way to the second nearest")
    now = Copies(LINE, LINE[:0]).copy_rule
    assert CopyRule.model_validate_json(now.model_dump_json()) == now


# --- what is not finite, or on another scale -------------------------------------------------------------------------


@pytest.mark.parametrize("n_bad", [1, 12, 16])
def test_samples_that_are_not_finite_are_no_novel_ones(n_bad):
    train = images(16, 1)
    samples = train.clone()
    samples[:n_bad, 0, 3, 3] = torch.nan
    with pytest.raises(DataError, match=f"{n_bad} of 16 samples hold NaN .* The model or its sampler has diverged"):
        Copies(train, images(80, 2)).measure(samples)


def test_one_training_item_that_is_not_finite_does_not_make_copies_count_as_none():
    train = images(8, 1)
    train[5] = torch.nan
    with pytest.raises(DataError, match=r"1 of 8 training items hold NaN .*the first is number 5"):
        Copies(train, images(80, 2))


SIGNED = images(8, 1, (1, 8, 8))
TO = {
    "[0, 1]": lambda x: (x + 1) / 2,
    "bytes as floats": lambda x: ((x + 1) * 127.5).round(),
    "bytes": lambda x: ((x + 1) * 127.5).round().to(torch.uint8),
    "[-1, 1]": lambda x: x,
}


@pytest.mark.parametrize("train", TO)
@pytest.mark.parametrize("samples", TO)
def test_copies_on_another_scale_than_the_training_set_are_refused_with_the_way_there(train, samples):
    heldout = TO[train](images(80, 2, (1, 8, 8)))
    probe = Copies(TO[train](SIGNED), heldout)
    if samples == train:
        assert probe.measure(TO[samples](SIGNED)).estimates[0].value == 1
    else:
        with pytest.raises(DataError, match=r"bring them to one scale: |Bring both to one: images of bytes by"):
            probe.measure(TO[samples](SIGNED))
        with pytest.raises(DataError, match=r"bring them to one scale: |Bring both to one: images of bytes by"):
            Copies(TO[samples](SIGNED), heldout)


def test_samples_that_only_seem_to_be_on_another_scale_are_counted_with_a_note():
    probe = Copies(SIGNED, images(80, 2, (1, 8, 8)))
    with pytest.warns(
        TaumemWarning, match=r"samples lie in \[0, 1\], .* \[-1, 1\]. If that is no accident, .* 2 \* x - 1"
    ):
        assert probe.measure(TO["[0, 1]"](images(30, 7, (1, 8, 8)))).estimates[0].value == 0


GEN = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("train", "samples"),
    [
        (images(20, 1) * 0.4 - 0.6, images(20, 2) * 0.4 - 0.6),  # dark images
        (images(20, 1) * 1.1, images(20, 2)),  # a sampler that overshoots
        (torch.randn(50, 32, generator=GEN), torch.rand(20, 32, generator=GEN)),  # standardized data
        (torch.rand(50, 2, generator=GEN) * 2 - 1, torch.rand(1, 2, generator=GEN)),  # few vectors
        (torch.rand(50, 1, generator=GEN) * 90, torch.rand(20, 1, generator=GEN)),
        (torch.rand(50, 64, generator=GEN), torch.randn(20, 64, generator=GEN)),  # a model before it has learned
        (images(20, 1), torch.zeros(20, 3, 8, 8)),
        (images(20, 1), 5 * torch.randn(20, 3, 8, 8, generator=GEN)),
        (4 * torch.randn(20, 4, 8, 8, generator=GEN), images(9, 1, (4, 8, 8))),  # latents
    ],
)
def test_data_and_samples_of_any_range_are_counted_without_a_note(train, samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error", TaumemWarning)
        Copies(train, train[:0]).measure(samples)


def test_counts_of_which_few_are_large_and_samples_of_a_model_that_has_learned_nothing_are_no_other_scale():
    counts = torch.poisson(torch.full((60, 20), 0.3), generator=torch.Generator().manual_seed(0))
    counts[0, 0] = 30
    assert Copies(counts[:50], counts[50:]).measure(counts[:8]).estimates[0].value == 1
    probe = Copies(100 * torch.rand(30, 20, generator=torch.Generator().manual_seed(1)), counts[:0])
    with pytest.warns(TaumemWarning, match=r"samples lie in \[-1, 1\], .* \[0, 255\]. If that is no accident"):
        assert probe.measure(torch.linspace(-1, 1, 320).reshape(16, 20)).estimates[0].value == 0


@pytest.mark.parametrize("low", [torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_copies_in_low_precision_are_counted(low):
    train = images(20, 1).to(low)
    assert Copies(train, images(80, 2).to(low)).measure(train).estimates[0].value == 1


def test_values_that_are_masked_are_not_taken_for_numbers():
    holes = np.ma.masked_array(np.ones((4, 3)), mask=np.eye(4, 3, dtype=bool))
    with pytest.raises(DataError, match="a masked array with values that are masked; leave out"):
        Copies(items(20, 0), items(0, 1)).measure(holes)


def test_samples_beyond_half_precision_are_kept_as_they_are():
    train = 1e6 * items(20, 0)
    kept = Copies(train, train[:0]).measure(train).arrays
    np.testing.assert_array_equal(kept["samples"], train)


# --- chance -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default::taumem.errors.TaumemWarning")
@pytest.mark.parametrize(("n", "note"), [(8, True), (71, True), (72, False), (400, False)])
def test_a_held_out_set_too_small_to_say_that_chance_is_low_is_told(n, note):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chance = Copies(images(20, 1), images(n, 2)).chance
    assert [w.category for w in caught] == [TaumemWarning] * note
    assert chance.value == 0
    if note:
        assert f"0 of {n} held-out items count as copies" in str(caught[0].message)
        assert f"up to {chance.high:.0%}" in str(caught[0].message)
        assert "hold out at least 72 items" in str(caught[0].message)


def test_held_out_near_duplicates_of_training_items_count_as_chance_copies_and_are_told():
    train = images(20, 1)
    with pytest.warns(TaumemWarning, match="20 of 100 held-out items count as copies.*near-duplicates may be on both"):
        probe = Copies(train, torch.cat([noisy(train, 0.01), images(80, 2)]))
    assert probe.chance.value == 0.2


def test_held_out_texts_too_few_to_say_that_chance_is_low_are_told():
    texts = torch.randint(20, (90, 30), generator=torch.Generator().manual_seed(0))
    with pytest.warns(TaumemWarning, match="0 of 9 held-out items count as copies"):
        TextCopies(texts[:80], texts[81:])


def test_a_look_keeps_which_training_item_each_sample_is_nearest_to():
    train = torch.eye(4)[[0, 0, 1, 2, 3]]  # the second is there twice: places are those of the set as it was given
    reading = Copies(train, torch.ones(40, 4), keep=3).measure(torch.eye(4)[[3, 1, 0, 2]])
    assert reading.arrays["place"].tolist() == [4, 2, 0]
