"""The examples of diffusers with tiny random models of the same classes, offline: run by test_for_real.py."""

from pathlib import Path
from types import SimpleNamespace

import diffusers_lora
import pytest
import tiny_pipelines as tiny
import torch
import train_unconditional
from diffusers import DiffusionPipeline, FluxPipeline
from safetensors.torch import load_file
from torch.utils.data import default_collate

import taumem
from taumem.data.images import read_images

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    tiny.save_images(folder / "photos", n=24)
    for kind in tiny.MAKERS:
        tiny.save_pipeline(kind, folder / kind)
    return folder


def network_of(pipe):
    return pipe.transformer if isinstance(pipe, FluxPipeline) else pipe.unet


@pytest.fixture(params=tiny.MAKERS)
def kind(request):
    return request.param


@pytest.fixture
def made(home, kind):
    """A pipeline, its loss, and some items."""
    pipe = DiffusionPipeline.from_pretrained(home / kind)
    images, names, _ = read_images(home / "photos", crop=True, size=16)
    captions = diffusers_lora.captions(home / "photos", names, "a photo")
    items = [diffusers_lora.encoded(pipe, *pair, torch.float32) for pair in zip(images, captions, strict=True)][:8]
    return pipe, diffusers_lora.loss_of(pipe), items


def test_captions_come_from_the_table_or_from_beside_the_image_or_from_the_prompt(home):
    names = ["000.png", "001.png", "004.png"]
    found = list(diffusers_lora.captions(home / "photos", names, "a prompt"))
    assert found == ["from the table", "a b photo", "a prompt"]


def test_a_loss_has_one_number_per_item_which_depends_on_its_own_time_and_caption_alone(made):
    pipe, loss, items = made
    with torch.no_grad():
        ask = {"t": torch.full((8,), 0.5)}
        batch = default_collate(items)
        losses = loss(network_of(pipe), batch, torch.Generator().manual_seed(0), **ask)
        again = loss(network_of(pipe), batch, torch.Generator().manual_seed(0), **ask)
        early = loss(network_of(pipe), batch, torch.Generator().manual_seed(0), t=torch.tensor([0.1] + 7 * [0.5]))
        batch["prompt_embeds"] = torch.cat([batch["prompt_embeds"][:1] + 1, batch["prompt_embeds"][1:]])
        other = loss(network_of(pipe), batch, torch.Generator().manual_seed(0), **ask)
    assert losses.shape == (8,)
    assert torch.equal(losses, again)
    for changed in (early, other):
        differ = (losses - changed).abs() > 1e-5
        assert differ.tolist() == [True] + 7 * [False]


def test_the_latents_of_items_are_those_that_the_pipeline_decodes(made):
    pipe, _, items = made
    latent = items[0]["latent"][None]
    code = latent / pipe.vae.config.scaling_factor + (pipe.vae.config.shift_factor or 0)
    assert next(iter(items[0])) == "latent"
    assert pipe.vae.decode(code).sample.shape == (1, 3, 16, 16)


def trained(made, guard):
    pipe, loss, items = made
    args = SimpleNamespace(rank=2, rate=1e-2, batch=4, accumulate=2, precision="no", steps=3)
    torch.manual_seed(0)
    diffusers_lora.train_on(items, guard, pipe=pipe, loss=loss, args=args)
    return {name: weight.clone() for name, weight in network_of(pipe).named_parameters()}


def test_each_pilot_trains_a_fresh_lora_and_leaves_the_model_itself(made):
    pipe = made[0]
    before = {name: weight.clone() for name, weight in network_of(pipe).named_parameters()}
    first, second = (trained(made, lambda model, step: False) for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(bool(weight.any()) for name, weight in first.items() if "lora_B" in name)
    kept = {name.replace(".base_layer", ""): weight for name, weight in first.items()}
    assert all(torch.equal(kept[name], weight) for name, weight in before.items())


@pytest.mark.parametrize("kind", ["sd"])
def test_training_ends_at_the_update_at_which_the_guard_says_stop(made):
    updates = []
    trained(made, lambda model, step: updates.append(step) or step == 2)
    assert updates == [1, 2]


def test_a_guarded_training_ends_in_the_weights_of_one_without_a_guard(made):
    alone = trained(made, lambda model, step: False)
    cadence = taumem.LogCadence(1, 2)
    with taumem.Guard(
        made[1], train=made[2][:4], heldout=made[2][4:], times=(0.3, 0.6), cadence=cadence, budget=None, strict=True
    ) as guard:
        watched = trained(made, guard)
        assert guard.record.steps == [1, 2, 3]
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


def test_a_lora_is_trained_and_the_one_to_keep_can_be_loaded(home, kind, tmp_path):
    given = ["--folder", home / "photos", "--model", home / kind, "--output", tmp_path, "--size", 16, "--steps", 8]
    given += ["--rank", 2, "--heldout", 0.5, "--guidance", 3.5, "--samples", 8, "--inference-steps", 2, "--budget", 1]
    verdict = diffusers_lora.main([str(word) for word in given])
    assert (verdict.step, verdict.keep) == (8, 8)
    assert not any("copies" in told.lower() and "no sampler" in told for told in verdict.not_checked)
    pipe = DiffusionPipeline.from_pretrained(home / kind)
    pipe.load_lora_weights(Path(verdict.checkpoint.path))
    weights = [weight for name, weight in network_of(pipe).named_parameters() if "lora_B" in name]
    assert weights
    assert all(bool(weight.any()) for weight in weights)


@pytest.mark.parametrize("kind", ["sd"])
def test_samples_are_latents_in_the_form_of_the_items(made, home):
    pipe, _, items = made
    empty = diffusers_lora.text_of(pipe, "")
    args = SimpleNamespace(samples=3, inference_steps=2, guidance=5.0)
    sample = diffusers_lora.sampler_of(pipe, items, empty, args)
    pipe.set_progress_bar_config(disable=True)
    one, two = (sample(pipe.unet, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert one.shape == (3, *items[0]["latent"].shape)
    assert not torch.equal(one, two)


def unconditional(home, output, epochs, *more):
    given = ["--folder", home / "photos", "--output", output, "--epochs", epochs, "--heldout", 0.5, "--size", 16]
    given += ["--batch", 6, "--accumulate", 1, "--checkpointing-steps", 4, "--budget", 1, *more]
    return train_unconditional.main([str(word) for word in given])


def test_a_resumed_unconditional_training_ends_as_an_unbroken_one(home, tmp_path):
    unconditional(home, tmp_path / "whole", 6)
    unconditional(home, tmp_path / "broken", 4)
    assert [path.name for path in train_unconditional.checkpoints(tmp_path / "broken")] == ["checkpoint-8"]
    verdict = unconditional(home, tmp_path / "broken", 6, "--resume")
    whole, broken = (load_file(tmp_path / name / "checkpoint-12" / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert Path(verdict.checkpoint.path).exists()  # though only one checkpoint is kept
