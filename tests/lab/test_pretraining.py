"""Runs that start from a pretrained network: with all weights, with adapters, in latents."""

import importlib.util
import json
import sys

import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY, tiny

from taumem.errors import ConfigError, DataError, RecordError
from taumem.lab import load_experiment, make_study
from taumem.lab.items import isolation_of
from taumem.lab.plan import opened, plans_of
from taumem.lab.pretrained import Pretrained, pretrain
from taumem.models.recomputation import InStages
from taumem.record import RunRecord
from taumem.training import Engine, train

OTHER = {"source": "mixture", "dimensions": 4, "n_items": 300, "n_heldout": 8}
PRETRAINING = {"data": OTHER, "n_train": 64, "steps": 50, "batch_size": 8}
needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


def of_vectors(**changes):
    return tiny(**{"n_train": [8], "twins": False, "pretraining": PRETRAINING} | changes)


def with_adapters(rank=2):
    return of_vectors(training={**TINY["training"], "lora_rank": rank})


def of_latents(**changes):
    data = {"source": "fashion-mnist", "size": 8, "n_heldout": 16}
    start = {"data": data | {"classes": [0, 1]}, "n_train": 32, "steps": 10, "batch_size": 8}
    named = {"data": data | {"classes": [7]}, "latents": {"channels": 2, "width": 4, "steps": 20, "batch_size": 8}}
    return tiny(**{"n_train": [8], "pretraining": start, **named, **changes})


def loss_at(record: RunRecord, step: int, quantity: str = "heldout_loss") -> list[float]:
    return [m.value for m in record.measurements if (m.step, m.quantity) == (step, quantity)]


@pytest.mark.slow
def test_all_runs_start_from_one_network_that_is_looked_at_before_the_first_step(tmp_path):
    records = make_study(of_vectors(n_train=[8, 16], seeds=[0, 1]), tmp_path, workers=1)
    network = load_file(tmp_path / "pretrained" / "network.safetensors")
    for record in records:
        assert record.steps[0] == 0
        assert loss_at(record, 0) != loss_at(record, record.last_step)
    started = plans_of(of_vectors(), pretrained=Pretrained(tmp_path / "pretrained"))[0].prepare().learner()
    assert all(torch.equal(started.denoiser.state_dict()[name], tensor) for name, tensor in network.items())
    same_seed = [record for record in records if record.header.seed == 0]
    assert loss_at(same_seed[0], 0) == loss_at(same_seed[1], 0)  # held-out items and network are the same for all sizes


def test_it_is_better_at_the_start_than_fresh_weights(tmp_path):
    (pretrained,) = make_study(of_vectors(), tmp_path / "a", workers=1)
    (fresh,) = make_study(of_vectors(pretraining=None), tmp_path / "b", workers=1)
    assert 0 not in fresh.steps
    assert sum(loss_at(pretrained, 0)) < sum(loss_at(fresh, fresh.steps[0]))


def test_an_interrupted_pretraining_goes_on_and_ends_as_an_unbroken_one(tmp_path):
    experiment, domain = of_vectors(), opened(of_vectors().pretraining.data)

    def stop(step):
        if step == 20:
            raise KeyboardInterrupt

    pretrain(experiment, domain, tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        pretrain(experiment, domain, tmp_path / "broken", on_step=stop)
    seen = []
    pretrain(experiment, domain, tmp_path / "broken", on_step=seen.append)
    assert seen[0] == 21
    files = [load_file(tmp_path / name / "network.safetensors") for name in ("broken", "unbroken")]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0] | files[1])
    assert sorted(file.name for file in (tmp_path / "broken").iterdir()) == ["network.safetensors"]


def test_its_steps_are_computed_as_those_of_the_runs_are(tmp_path, monkeypatch):
    images = {"source": "fashion-mnist", "size": 8, "n_heldout": 16}
    unet = {"kind": "unet", "channels": 4, "multipliers": [1, 2], "blocks": 1}
    start = {"data": images, "n_train": 32, "steps": 4, "batch_size": 8}
    made = []

    def seen(learner, *args, **options):
        made.append((options["engine"], [m.recomputes for m in learner.denoiser.modules() if isinstance(m, InStages)]))
        return train(learner, *args, **options)

    monkeypatch.setattr("taumem.lab.pretrained.train", seen)
    ways = {"accumulate": 16, "checkpoint_activations": True, "channels_last": True}
    for name, way in (("plain", {}), ("asked", ways)):
        experiment = of_vectors(data=images, model=unet, pretraining=start, training=TINY["training"] | way)
        pretrain(experiment, opened(experiment.pretraining.data), tmp_path / name)
    assert made == [(Engine(), [False]), (Engine(accumulate=8, channels_last=True), [True])]  # of 8 in a batch
    plain, asked = (load_file(tmp_path / name / "network.safetensors") for name in ("plain", "asked"))
    weights = [name for name in plain if plain[name].ndim > 1]  # of a bias before a norm the gradient is rounding alone
    assert all(torch.allclose(plain[name], asked[name], atol=1e-3) for name in weights)


@pytest.mark.slow
@needs_peft
def test_adapters_alone_are_trained_and_do_nothing_at_first(tmp_path):
    (full,) = make_study(of_vectors(), tmp_path / "full", workers=1)
    (lora,) = make_study(with_adapters(), tmp_path / "lora", workers=1)
    assert loss_at(lora, 0) == loss_at(full, 0)
    assert loss_at(lora, 60) != loss_at(lora, 0)
    network = load_file(tmp_path / "lora" / "pretrained" / "network.safetensors")
    trained = load_file(tmp_path / "lora" / lora.path.name / "checkpoints" / "00000060.safetensors")
    frozen = {name: t for name, t in trained.items() if name.startswith("denoiser.") and "lora" not in name}
    assert len(frozen) == len(network)
    for name, tensor in network.items():
        wrapped = next(t for key, t in frozen.items() if key.replace(".base_layer", "") == f"denoiser.{name}")
        assert torch.equal(wrapped, tensor)
    ranks = {len(t) for key, t in trained.items() if key.startswith("denoiser.") and "lora_A" in key}
    assert ranks == {2}


@needs_peft
def test_adapters_are_drawn_from_the_seed_and_from_nothing_else(tmp_path):
    make_study(with_adapters(), tmp_path, workers=1)
    (plan,) = plans_of(with_adapters(), pretrained=Pretrained(tmp_path / "pretrained"))
    before = torch.get_rng_state()
    one = plan.prepare().learner().denoiser.state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)
    other = plan.prepare().learner().denoiser.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one | other)


def test_without_peft_a_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"needs peft, .*pip install 'taumem\[diffusers\]'"):
        make_study(with_adapters(), tmp_path, workers=1)


def test_in_latents_losses_are_of_latents_and_samples_are_images(tmp_path):
    experiment = of_latents(training=TINY["training"] | {"min_steps": 12})
    a, b = make_study(experiment, tmp_path, workers=1)
    assert a.header.data.item_shape == (1, 8, 8)
    assert a.arrays(0)["samples"].shape[1:] == (1, 8, 8)
    pretrained = Pretrained(tmp_path / "pretrained")
    prepared = plans_of(experiment, pretrained=pretrained)[0].prepare()
    assert prepared.split.item_shape == (2, 2, 2)
    assert prepared.twin_items.shape[1:] == (2, 2, 2)
    again = pretrained.load_autoencoder(experiment.latents, (1, 8, 8)).encode(prepared.data.train)
    assert torch.equal(again, prepared.split.train)
    assert b.header.data.fingerprint != a.header.data.fingerprint
    with pytest.raises(RecordError, match=r"monitor\.items = true"):  # not how isolated the images are
        isolation_of(a)


def test_an_autoencoder_alone_leaves_fresh_weights(tmp_path):
    start = of_latents().pretraining.model_dump() | {"steps": 0}
    training = TINY["training"] | {"min_steps": 12}
    make_study(of_latents(pretraining=start, twins=False, training=training), tmp_path, workers=1)
    assert [file.name for file in (tmp_path / "pretrained").iterdir()] == ["autoencoder.safetensors"]


@pytest.mark.slow
def test_a_damaged_network_is_named_and_its_removal_has_it_made_again(tmp_path):
    experiment = of_vectors()
    make_study(experiment, tmp_path, workers=1)
    file = tmp_path / "pretrained" / "network.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RecordError, match=r"network\.safetensors: these pretrained weights cannot be taken"):
        make_study(of_vectors(seeds=[1]), tmp_path, workers=1)
    file.unlink()
    make_study(of_vectors(seeds=[1]), tmp_path, workers=1)


def test_too_few_items_to_pretrain_on_are_told(tmp_path):
    with pytest.raises(DataError, match="P = 9999"):
        make_study(of_vectors(pretraining=PRETRAINING | {"n_train": 9999}), tmp_path, workers=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["training.lora_rank=4"], r"training.lora_rank needs a section \[pretraining\]"),
        (["latents.steps=5"], r"latents needs a section \[pretraining\]"),
        (["pretraining.n_train=8"], r"'pretraining.data' is missing|'pretraining.steps' is missing"),
        (
            ["pretraining.n_train=8", "pretraining.steps=0", "pretraining.data.source=mixture", "training.lora_rank=4"],
            "pretraining.steps is 0",
        ),
        (
            ["pretraining.n_train=8", "pretraining.steps=9", "pretraining.data.source=mixture", "latents.steps=5"],
            r"\[latents\] are those of images",
        ),
        (
            ["pretraining.n_train=8", "pretraining.steps=9", "pretraining.data.source=text"],
            r"pretraining.data.source 'text' does not take diffusion.kind 'gaussian'",
        ),
        (
            ["pretraining.n_train=8", "pretraining.steps=9", "pretraining.data.source=mixture", "training.lora_rank=4",
             "training.together=true"],
            "trains whole networks",
        ),
        (["training.lora_rank=-1"], "lora_rank: expected a number above 0, or 0 for none; got -1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(tmp_path, changes, words):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(TINY))
    with pytest.raises(ConfigError, match=words):
        load_experiment(file, changes)


def test_a_network_too_deep_for_the_latents_is_refused_before_anything_is_trained(tmp_path):
    experiment = of_latents(
        latents={"channels": 2, "width": 4, "halvings": 3, "steps": 20, "batch_size": 8},
        model={"kind": "unet", "channels": 4, "multipliers": [1, 2], "blocks": [1, 1]},
    )
    with pytest.raises(ConfigError, match="cannot be halved"):
        make_study(experiment, tmp_path, workers=1)
    assert not (tmp_path / "pretrained").exists()
