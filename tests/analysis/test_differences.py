"""What differs between pilots and the run that is forecast: each thing by its name, with what is known of it."""

import pytest
from planted import header

from taumem.analysis.differences import KNOWN, differences_of
from taumem.errors import ConfigError

RECIPE = {
    "name": "study",
    "data": {"source": "images", "size": 16, "n_heldout": 64},
    "diffusion": {"kind": "gaussian", "schedule": "cosine", "weighting": "v", "eta": 0.0},
    "model": {"kind": "unet", "channels": 16, "dropout": 0.0},
    "training": {
        "batch_size": 16,
        "learning_rate": 3e-3,
        "warmup": 0,
        "schedule": "constant",
        "clip": 1.0,
        "ema_window": 0.1,
        "steps_per_example": 30,
    },
    "monitor": {"n_items": 64},
}


def changed(key, value, recipe=RECIPE):
    section, name = key.split(".")
    return recipe | {section: recipe[section] | {name: value}}


PILOTS = [header(n, experiment=RECIPE, weights="ema") for n in (32, 64)]


def test_a_run_of_the_same_recipe_differs_in_nothing_however_long_it_is_and_whatever_is_measured():
    assert differences_of(PILOTS, RECIPE, 256) == ()
    assert differences_of(PILOTS, PILOTS[0].model_copy(update={"steps": 9, "seed": 5}), 256) == ()
    for key, value in (("training.steps_per_example", 90), ("data.n_heldout", 8), ("monitor.n_items", 8)):
        assert differences_of(PILOTS, changed(key, value), 256) == ()


@pytest.mark.parametrize(
    ("key", "value", "name", "told"),
    [
        ("training.batch_size", 64, "batch size", ("16", "64")),
        ("training.learning_rate", 1e-4, "learning rate", ("0.003", "0.0001")),
        ("training.warmup", 500, "schedule of the rate", ("0", "500")),
        ("training.schedule", "cosine", "schedule of the rate", ("lr schedule none", "lr schedule cosine")),
        ("training.ema_window", 0.05, "averaged weights", ("ema window 0.1", "ema window 0.05")),
        ("training.ema_window", None, "averaged weights", ("ema window 0.1, ema", "ema window none, raw")),
        ("diffusion.weighting", "eps", "target of the loss", ("v", "eps")),
        ("diffusion.schedule", "linear", "distribution of t", ("cosine", "linear")),
        ("diffusion.kind", "masked", "diffusion process", ("kind gaussian", "kind masked")),
        ("model.channels", 32, "network", ("channels 16", "channels 32")),
        ("model.dropout", 0.1, "dropout", ("0", "0.1")),
        ("data.source", "text", "data set", ("source images", "source text")),
        ("training.clip", 0.5, "clip", ("1", "0.5")),
    ],
)
def test_each_thing_that_differs_is_named_with_what_is_known_of_it(key, value, name, told):
    (found,) = differences_of(PILOTS, changed(key, value), 256)
    assert found.name == name
    assert (found.pilots, found.target) == told
    known = {each.name: each for each in KNOWN}.get(name)
    assert found.effect == (known.effect if known else "nothing is known of its effect")
    assert bool(found.source) is not found.effect.startswith(("nothing", "no measurement"))
    assert str(found).startswith(f"{name} {told[0]} in the pilots, {told[1]} in the run: ")


def test_settings_may_be_given_by_their_keys_alone():
    found = differences_of(PILOTS, {"batch_size": 64, "weighting": "eps", "channels": 16, "learning_rate": 3e-3}, 256)
    assert [(d.name, d.pilots, d.target) for d in found] == [
        ("batch size", "16", "64"),
        ("target of the loss", "v", "eps"),
    ]


def test_what_pilots_of_a_guard_do_not_say_is_told_apart_and_what_is_off_is_not_mentioned():
    guarded = [header(n) for n in (32, 64)]
    target = {"batch_size": 32, "learning_rate": 1e-4, "augmentation": "flips", "deduplicated": True, "dropout": 0.0}
    found = differences_of(guarded, target, 256)
    assert [(d.name, d.pilots) for d in found] == [
        ("batch size", "16"),
        ("learning rate", None),
        ("augmentation", None),
        ("near-duplicates", None),
    ]


def test_an_unknown_setting_is_named_too():
    (found,) = differences_of([header(32, experiment=RECIPE)], {"clip": 2.0}, 256)
    assert (found.name, found.effect, found.source) == ("clip", "nothing is known of its effect", "")


def test_pilots_that_differ_among_themselves_show_all_that_they_have():
    mixed = [PILOTS[0], header(64, experiment=changed("training.learning_rate", 1e-3), weights="ema")]
    (found,) = differences_of(mixed, RECIPE, 256)
    assert (found.name, found.pilots, found.target) == ("learning rate", "0.003 or 0.001", "0.003")


def test_full_batches_are_the_same_batch_size_at_every_size():
    whole = [header(n).model_copy(update={"batch_size": n}) for n in (16, 32)]
    assert differences_of(whole, {"batch_size": 256}, 256) == ()
    assert differences_of(whole, {"training": {"batch_size": "P"}}, 256) == ()
    (found,) = differences_of(whole, {"batch_size": 64}, 256)
    assert (found.pilots, found.target) == ("P", "64")


def test_a_batch_size_that_is_yet_to_be_chosen_is_no_batch_size_of_the_pilots():
    target = changed("training.batch_size", "auto")
    (found,) = differences_of(PILOTS, target, 256)
    assert (found.name, found.pilots, found.target) == ("batch size", "16", "auto")
    assert differences_of(PILOTS, target, 256, batch_size=16) == ()
    assert (
        differences_of([header(64, experiment=target, weights="ema")], RECIPE, 256) == ()
    )  # what was chosen is in its header


def test_headers_of_other_data_are_of_another_data_set():
    other = header(256)
    facts = other.data.model_copy(update={"name": "mine", "item_shape": (3, 8, 8), "kind": "images"})
    (found,) = differences_of([header(64)], other.model_copy(update={"data": facts}), 256)
    assert found.name == "data set"
    assert found.pilots == "name planted, item shape [2]"


@pytest.mark.parametrize("target", ["run", 3, [("batch_size", 3)]])
def test_what_describes_no_run_is_refused(target):
    with pytest.raises(ConfigError, match="described by its header, or by a mapping"):
        differences_of(PILOTS, target, 256)


def test_every_row_of_the_table_has_a_source_or_says_that_nothing_is_known():
    for known in KNOWN:
        assert bool(known.source) is not known.effect.startswith(("nothing", "no measurement")), known.name


def test_off_is_off_however_it_is_written_and_the_run_may_name_its_size():
    assert differences_of(PILOTS, {"n_train": 256, "learning_rate": 3e-3}, 256) == ()
    (none,) = differences_of(PILOTS, {"ema_window": 0}, 256)
    assert "ema window none, raw" in str(none)
    some = {key: RECIPE[key] for key in ("name", "data", "model", "monitor")} | {"twins": True}
    assert differences_of(PILOTS, some | {"name": "another"}, 256) == ()  # without a training section, too


def test_pilots_of_one_size_have_no_batches_of_the_whole_set_because_one_is_as_large():
    pilots = [header(16, experiment=RECIPE, weights="ema") for _ in range(2)]
    assert differences_of(pilots, RECIPE, 256) == ()


def test_a_setting_that_is_misspelt_is_refused_with_the_name_that_was_meant():
    with pytest.raises(ConfigError, match="unknown setting 'batchsize'; did you mean 'batch_size'"):
        differences_of(PILOTS, {"batchsize": 64}, 256)
