"""What a run takes of the memory: what is counted, against counts by hand, and refusals before anything is trained."""

import importlib.util
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import TINY, tiny
from torch import nn

from taumem.diffusion import GaussianDiffusion
from taumem.errors import ConfigError, TaumemWarning
from taumem.lab import RunPlan, make_study
from taumem.lab.memory import OVERHEAD, SLACK, HalfProducts, Memory, predicted

UNET = {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}
OF_IMAGES = {"data": {"source": "fashion-mnist", "size": 8, "n_heldout": 8}, "model": UNET, "twins": False}


class Scaled(nn.Module):
    """x0_hat = (w x) * c: the activations of a step can be counted by hand."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, xt, t):
        return self.w * xt


def asked(**changes):
    options = {"item_shape": (3, 32, 32), "tokens": False, "batch_size": 64, "look": 1} | changes
    return predicted(Scaled, GaussianDiffusion(weighting="x0"), **options)


def test_activations_grow_with_the_batch_by_what_is_alive_at_once():
    one, two = asked(), asked(batch_size=128)
    batch = 64 * 3 * 32 * 32 * 4
    # x0, its noise, xt, the prediction and its error with the square of it, and their gradients one after the other.
    assert 4 * batch < (two.activations - one.activations) / SLACK < 9 * batch
    assert asked(look=640).activations > two.activations


@pytest.mark.parametrize(
    ("optimizer", "momentum", "numbers"), [("adamw", None, 2), ("adam", None, 2), ("rmsprop", None, 1), ("sgd", 0, 0)]
)
def test_each_parameter_counts_with_its_gradient_moments_and_average(optimizer, momentum, numbers):
    memory = asked(optimizer=optimizer, momentum=momentum, averaged=optimizer != "sgd")
    assert (memory.n_parameters, memory.weights, memory.gradients) == (3, 12, 12)
    assert memory.moments == 12 * numbers
    assert memory.average == (0 if optimizer == "sgd" else 12)
    assert memory.total == 24 + memory.moments + memory.average + memory.activations + OVERHEAD


@pytest.mark.slow
def test_a_checkpointed_network_takes_less_and_its_weights_as_much():
    def of(again):
        training = {"batch_size": 64, "checkpoint_activations": again}
        experiment = tiny(**OF_IMAGES | {"model": UNET | {"blocks": 3}, "training": training})
        return RunPlan(experiment, 8, 0, None).prepare().memory()

    memories = [of(again) for again in (False, True)]
    assert memories[0].weights == memories[1].weights
    assert memories[1].activations < memories[0].activations / 2


def test_a_network_that_wants_numbers_is_not_predicted():
    class Numbers(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            float(self.weight.sum())

    with pytest.raises((NotImplementedError, RuntimeError)):
        predicted(Numbers, GaussianDiffusion(), item_shape=(2,), tokens=False, batch_size=2, look=2)


def test_a_run_that_does_not_fit_is_refused_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("taumem.lab.memory.memory_of_machine", lambda: 100 * 10**6)
    with pytest.raises(ConfigError, match=r"model: the run takes \d+ MB at the peak .*this machine has 100 MB") as said:
        make_study(tiny(**OF_IMAGES), tmp_path / "out", workers=1)
    assert "\n" not in str(said.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_on_a_gpu_it_is_a_warning_and_the_data_set_of_the_machine_does_not_count(monkeypatch):
    prepared = RunPlan(tiny(**OF_IMAGES), 8, 0, None).prepare()
    there = replace(prepared, plan=replace(prepared.plan, device="cuda"))
    assert prepared.memory().data - there.memory().data == prepared.domain.n_bytes
    monkeypatch.setattr("taumem.lab.prepared.memory_of_device", lambda device: (100 * 10**6, f"the device {device}"))
    with pytest.warns(TaumemWarning, match=r"the device cuda has 100 MB.* It is tried all the same\."):
        there.refuse_if_it_does_not_fit()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")
def test_of_adapters_what_is_trained_counts():
    start = {"data": TINY["data"], "n_train": 64, "steps": 5}

    def of(rank):
        training = TINY["training"] | {"lora_rank": rank}
        experiment = tiny(pretraining=start, model={"kind": "mlp", "width": 512, "depth": 1}, training=training)
        return RunPlan(experiment, 8, 0, None).prepare().memory()

    assert of(0).gradients == of(0).weights
    assert of(2).gradients < of(0).gradients / 20
    assert of(2).moments == 2 * of(2).gradients


def test_images_that_are_chosen_from_a_file_count_as_all_that_is_read(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 255, (200, 8, 8), dtype=np.uint8))
    data = {"source": "images", "path": str(tmp_path / "a.npy"), "n_heldout": 8}
    n_bytes = [tiny(**OF_IMAGES | {"data": data | more}).data.open().n_bytes for more in ({}, {"limit": 100})]
    assert n_bytes == [200 * 64] * 2


def test_the_largest_run_is_told_once_before_it_begins(tmp_path, monkeypatch):
    foretold, told = [], []
    monkeypatch.setattr(
        "taumem.lab.prepared.predicted", lambda *a, **k: foretold.append(predicted(*a, **k)) or foretold[-1]
    )
    training = TINY["training"] | {"min_steps": 8}
    make_study(tiny(twins=False, training=training), tmp_path / "out", workers=1, on_memory=told.append)
    assert foretold == told
    assert len(told) == 1


def test_sizes_are_shown_in_units_that_are_read():
    memory = Memory(10**9, 10**9, 2 * 10**9, 10**9, 5 * 10**8, 0, 10**8, 250_000_000)
    assert str(memory).startswith("5.6 GB at the peak (weights 1.0 GB, ")
    memory.refuse_if_more_than(6 * 10**9, "this machine")


def saved(network, x, mode):
    """Bytes that a step keeps for its way back, but for the parameters and what stands for them."""
    kept = {}

    def pack(tensor):
        kept[id(tensor.untyped_storage())] = (tensor.untyped_storage(), tensor.numel() * tensor.element_size())
        return tensor

    with mode, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(x).square().mean()
    del loss
    own = {id(p.untyped_storage()) for p in network.parameters()}
    return sum(n_bytes for key, (_, n_bytes) in kept.items() if key not in own)


def test_what_half_precision_keeps_is_what_autocast_keeps():
    layers = (nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(6272, 4))
    network, x = nn.Sequential(*layers), torch.zeros(16, 3, 32, 32)
    here = saved(network, x, torch.autocast("cpu", torch.bfloat16))
    there = saved(network.to("meta"), x.to("meta"), HalfProducts(torch.bfloat16))
    assert there == pytest.approx(here, rel=0.02)
    assert there < 0.8 * saved(network, x.to("meta"), nullcontext())


@pytest.mark.slow
def test_a_step_in_half_precision_takes_less_than_one_in_single():
    def of(precision):
        training = {"batch_size": 64, "precision": precision}
        experiment = tiny(**OF_IMAGES | {"model": UNET | {"channels": 16}, "training": training})
        return RunPlan(experiment, 8, 0, None).prepare().memory()

    single, half = of("fp32"), of("bf16")
    assert (half.weights, half.gradients, half.moments) == (single.weights, single.gradients, single.moments)
    assert 0.4 * single.activations < half.activations < 0.9 * single.activations
