"""Checkpoints: a resumed run is the unbroken one, and a damaged file says so."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from taumem.diffusion import GaussianDiffusion
from taumem.errors import RecordError
from taumem.models import MLP, Preconditioned, UNet
from taumem.record import RateSchedule
from taumem.training import Learner, load_checkpoint, save_checkpoint, train
from taumem.training import checkpoint as checkpoint_module

DIFFUSION = GaussianDiffusion()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mlp(seed: int, **options) -> Learner:
    network = MLP((1, 4, 4), width=options.pop("width", 16), depth=1, generator=seeded(seed))
    return Learner.start(Preconditioned(network, DIFFUSION), **options)


def unet(seed: int, **options) -> Learner:
    network = UNet((1, 4, 4), channels=4, dropout=options.pop("dropout", 0.0), generator=seeded(seed))
    return Learner.start(Preconditioned(network, DIFFUSION), **options)


def steps(learner: Learner, n: int, **options) -> list[float]:
    data = torch.randn((10, 1, 4, 4), generator=seeded(3))
    return [float(step.loss) for step in islice(train(learner, DIFFUSION, data, batch_size=4, seed=0, **options), n)]


def state(learner: Learner) -> dict[str, torch.Tensor]:
    """Everything that training changes, as tensors by name."""
    found = {f"denoiser.{name}": value for name, value in learner.denoiser.state_dict().items()}
    if learner.average is not None:
        found |= {f"average.{name}": value for name, value in learner.average.state_dict().items()}
    for index, slots in learner.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
    return found


def assert_identical(one: Learner, other: Learner) -> None:
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert (one.step, one.examples) == (other.step, other.examples)
    assert one.optimizer.param_groups[0]["lr"] == other.optimizer.param_groups[0]["lr"]


RUNS = {
    "MLP": (mlp, {}, {}),
    "MLP averaged": (mlp, {"ema_window": 0.1}, {}),
    "MLP with weight decay, clipping and warm-up": (
        mlp,
        {"weight_decay": 0.1},
        {"clip": 0.1, "schedule": RateSchedule(warmup=12)},
    ),
    "U-Net averaged": (unet, {"ema_window": 0.2}, {"schedule": RateSchedule("cosine", warmup=3, steps=40)}),
    "U-Net with dropout": (unet, {"ema_window": 0.1, "dropout": 0.3}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("start", "options", "how"), RUNS.values(), ids=RUNS.keys())
def test_a_resumed_run_is_bit_identical_to_an_unbroken_one(start, options, how, tmp_path):
    unbroken, broken, resumed = (start(seed, **options) for seed in (1, 1, 2))
    expected = steps(unbroken, 16, **how)
    before = steps(broken, 7, **how)
    save_checkpoint(broken, tmp_path / "here")
    load_checkpoint(resumed, tmp_path / "here")
    assert_identical(resumed, broken)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)  # another process has another global state
        assert before + steps(resumed, 9, **how) == expected
    assert_identical(resumed, unbroken)


def test_saving_changes_nothing_about_the_run(tmp_path):
    watched, plain = mlp(1, ema_window=0.1), mlp(1, ema_window=0.1)
    for _ in range(3):
        steps(watched, 2)
        save_checkpoint(watched, tmp_path / "here")
    steps(plain, 6)
    assert_identical(watched, plain)


def test_a_run_that_has_not_begun_can_be_saved(tmp_path):
    fresh, other = mlp(1, ema_window=0.1), mlp(2, ema_window=0.1)
    save_checkpoint(fresh, tmp_path / "here")
    load_checkpoint(other, tmp_path / "here")
    assert_identical(fresh, other)
    assert steps(fresh, 3) == steps(other, 3)


def test_weights_that_are_tied_are_saved_and_tied_again(tmp_path):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.ones(1, 4, 4))
            self.b = self.a

        def forward(self, xt, t):
            return self.a * xt + self.b

    first, second = Learner.start(Tied()), Learner.start(Tied())
    steps(first, 3)
    save_checkpoint(first, tmp_path / "here")
    load_checkpoint(second, tmp_path / "here")
    assert second.denoiser.a is second.denoiser.b
    assert_identical(first, second)


def test_an_optimizer_of_ones_own_is_saved_too(tmp_path):
    def start(seed: int) -> Learner:
        model = mlp(seed).denoiser
        return Learner(model, torch.optim.SGD(model.parameters(), lr=0.01))

    first, second = start(1), start(2)
    steps(first, 3)
    save_checkpoint(first, tmp_path / "here")
    load_checkpoint(second, tmp_path / "here")
    assert steps(first, 3) == steps(second, 3)


def saved(tmp_path: Path, **options) -> Path:
    learner = mlp(1, **options)
    steps(learner, 2)
    save_checkpoint(learner, tmp_path / "checkpoint.safetensors")
    return tmp_path / "checkpoint.safetensors"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x00" * 1000, b"\xff" * 1000])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "here").write_bytes(content)
    with pytest.raises(RecordError, match="here: not a checkpoint"):
        load_checkpoint(mlp(1), tmp_path / "here")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_half_a_file_is_refused(kept, tmp_path):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(RecordError, match="not a checkpoint"):
        load_checkpoint(mlp(1), path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecordError, match="nowhere"):
        load_checkpoint(mlp(1), tmp_path / "nowhere")


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"taumem": "{"}, {"taumem": "[]"}, {"taumem": "{}"}, {"taumem": json.dumps({"step": 1})}],
)
def test_a_safetensors_file_of_another_program_is_refused(metadata, tmp_path):
    path = saved(tmp_path)
    save_file(load_file(path), path, metadata)
    with pytest.raises(RecordError, match="not a checkpoint"):
        load_checkpoint(mlp(1), path)


@pytest.mark.parametrize("other", [lambda: mlp(1, width=32), lambda: unet(1)])
def test_a_checkpoint_of_another_model_is_refused(other, tmp_path):
    with pytest.raises(RecordError, match="another model"):
        load_checkpoint(other(), saved(tmp_path))


@pytest.mark.parametrize(("had", "wants"), [(None, 0.1), (0.1, None)])
def test_a_checkpoint_with_and_one_without_an_average_are_not_confused(had, wants, tmp_path):
    with pytest.raises(RecordError, match="average"):
        load_checkpoint(mlp(1, ema_window=wants), saved(tmp_path, ema_window=had))


def test_a_refused_checkpoint_leaves_the_learner_as_it_was(tmp_path):
    path = saved(tmp_path)
    learner, twin = mlp(2, ema_window=0.1), mlp(2, ema_window=0.1)
    with pytest.raises(RecordError):
        load_checkpoint(learner, path)
    assert_identical(learner, twin)


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = saved(tmp_path)
    old = path.read_bytes()

    def interrupted(tensors, file, metadata):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_module, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(mlp(2), path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_checkpoint_can_be_overwritten(tmp_path):
    learner = mlp(1)
    for _ in range(2):
        steps(learner, 2)
        save_checkpoint(learner, tmp_path / "folder" / "here")
    other = mlp(2)
    load_checkpoint(other, tmp_path / "folder" / "here")
    assert other.step == 4
