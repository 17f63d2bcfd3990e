"""What trainers call their checkpoints is read, by a table; what is of another run, or is none, is told apart."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taumem.errors import ConfigError
from taumem.monitor.checkpoint_names import NAMINGS, compiled, is_beside_weights, one_series, read_name

STEMS = st.text("abcXYZ019-_ .é", min_size=1, max_size=12).filter(
    lambda stem: stem[0].isalpha() and not is_beside_weights(stem) and not re.search(r"step|epoch|save|-state", stem)
)


@given(st.sampled_from(NAMINGS), STEMS, st.integers(0, 999_999))
def test_a_name_made_by_a_template_is_read_back(naming, stem, number):
    found = read_name(naming.template.format(stem=stem, step=number))
    assert found is not None
    assert (found.number, found.unit) == (number + 1 - naming.first, naming.unit)
    assert found.trainers == naming.trainers


@given(st.sampled_from(NAMINGS), STEMS, st.sets(st.integers(0, 999_999), min_size=2, max_size=6))
def test_the_names_of_one_run_are_one_series_in_the_order_of_their_numbers(naming, stem, numbers):
    names = [read_name(naming.template.format(stem=stem, step=number)) for number in numbers]
    assert [name.number + naming.first - 1 for name in one_series(names)] == sorted(numbers)


@given(st.sampled_from(NAMINGS), STEMS, STEMS)
def test_the_names_of_two_runs_are_two_series(naming, one, other):
    names = [read_name(naming.template.format(stem=stem, step=7)).series for stem in (one, other)]
    assert (names[0] == names[1]) == (one == other or "{stem}" not in naming.template)


@pytest.mark.slow
@given(st.text(max_size=30))
def test_whatever_a_name_is_reading_it_raises_nothing(name):
    found = read_name(name)
    assert found is None or found.number >= 0


@pytest.mark.parametrize(
    ("name", "number", "unit", "series"),
    [
        ("checkpoint-500", 500, "step", "checkpoint-*"),
        ("my-lora-step00000100.safetensors", 100, "step", "my-lora-step*.safetensors"),
        ("my-lora-000010.safetensors", 10, "epoch", "my-lora-*.safetensors"),
        ("cat_000000500.safetensors", 500, "step", "cat_*.safetensors"),
        ("lora2026-01-02_10-11-12-save-100-2-3.safetensors", 100, "step", "lora*-save-*-*.safetensors"),
        ("model010000.pt", 10000, "step", "model*.pt"),
        ("ema_0.9999_010000.pt", 10000, "step", "ema_0.9999_*.pt"),
        ("network-snapshot-010000.pkl", 10000, "kimg", "network-snapshot-*.pkl"),
        ("network-snapshot-0002097-0.050.pkl", 2097, "kimg", "network-snapshot-*-0.050.pkl"),
        ("model-7.pt", 7, "milestone", "model-*.pt"),
        ("epoch=2-step=300.ckpt", 300, "step", "epoch=*-step=*.ckpt"),
        ("epoch=2-step=300-v1.ckpt", 300, "step", "epoch=*-step=*.ckpt"),
        ("ddpm-epoch=02-val_loss=0.32-step=300.ckpt", 300, "step", "ddpm-epoch=*-step=*.ckpt"),
        ("epoch=02-val_loss=0.32.ckpt", 3, "epoch", "epoch=*.ckpt"),
        ("epoch3_step1200.pt", 1200, "step", "epoch*_step*.pt"),
        ("my-lora_epoch_03-step_001200.safetensors", 1200, "step", "my-lora_epoch_*-step_*.safetensors"),
        ("net_step1200_epoch3.pth", 1200, "step", "net_step*_epoch*.pth"),
        ("net_step1200.pth", 1200, "step", "net_step*.pth"),
        ("net-epoch_3.pt", 3, "epoch", "net-epoch_*.pt"),
        ("00000128.safetensors", 128, "step", "*.safetensors"),
        ("weights-128.pt", 128, "step", "weights-*.pt"),
        ("checkpoint_0", 1, "milestone", "checkpoint_*"),
    ],
)
def test_names_of_trainers_as_they_are(name, number, unit, series):
    found = read_name(name)
    assert (found.number, found.unit, found.series) == (number, unit, series)


@pytest.mark.parametrize(
    "name",
    ["optimizer.pt", "opt010000.pt", "training-state-010000.pt", "my-lora-step00000100-state", "last.ckpt", "logs",
     "model.safetensors", ".checkpoint-5", "checkpoint-5.tmp", "README.md", "random_states_0.pkl"],
)  # fmt: skip
def test_what_lies_beside_checkpoints_is_none(name):
    assert read_name(name) is None


def test_a_pattern_of_ones_own_says_what_it_counts():
    found = read_name("net.12.weights.pt", compiled(r"net[.](?P<epoch>\d+)"))
    assert (found.number, found.unit) == (12, "epoch")
    assert read_name("other.12.pt", compiled(r"net[.](?P<epoch>\d+)")) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("(", "is no regular expression"), (r"\d+", "has no number"), (r"(?P<step>\d+)(?P<kimg>\d+)", "kimg and step")],
)
def test_a_pattern_without_a_number_is_refused(pattern, words):
    with pytest.raises(ConfigError, match=words):
        compiled(pattern)


def named(*names):
    return [read_name(name) for name in names]


def test_several_models_are_refused_with_what_to_say_and_chosen_by_it():
    names = named("model000100.pt", "model000200.pt", "ema_0.9999_000100.pt", "ema_0.9999_000200.pt")
    with pytest.raises(ConfigError, match=r"ema_0\.9999_\*\.pt \(2, by step.*model\*\.pt \(2.*--only 'model\*\.pt'"):
        one_series(names)
    assert [name.name for name in one_series(names, "ema_0.9999_*.pt")] == [
        "ema_0.9999_000100.pt",
        "ema_0.9999_000200.pt",
    ]
    with pytest.raises(ConfigError, match="no checkpoint is called so"):
        one_series(names, "lora-*")


def test_epochs_and_steps_of_one_run_are_told_apart():
    names = named("cat-000001.safetensors", "cat-000002.safetensors", "cat-step00000100.safetensors")
    with pytest.raises(ConfigError, match=r"by epoch.*by step"):
        one_series(names)
    assert [name.number for name in one_series(names, "cat-*.safetensors")] == [1, 2]  # the series, not the wildcard


def test_two_checkpoints_of_one_step_are_refused():
    with pytest.raises(ConfigError, match=r"two checkpoints of step 300: epoch=2-step=300-v1\.ckpt and"):
        one_series(named("epoch=2-step=300.ckpt", "epoch=2-step=300-v1.ckpt"))


@pytest.mark.parametrize("pattern", [r"net_(?P<step>.*)\.pt", r"net_(?P<step>\d+)?"])
def test_a_name_in_which_a_pattern_finds_no_number_is_none(pattern):
    assert read_name("net_best.pt", compiled(pattern)) is None
    assert read_name("net_7.pt", compiled(pattern)).number == 7
