"""How a step is computed changes what it costs, not what it is: parts, precision, processes, layout, programs."""

import copy
import shutil
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from taumem.diffusion import GaussianDiffusion, MaskedDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, Categorical, Preconditioned, Transformer, UNet
from taumem.training import Engine, Learner, load_checkpoint, save_checkpoint, train
from taumem.training.loop import Draws

DIFFUSION = GaussianDiffusion()
IMAGES = torch.randn((24, 3, 8, 8), generator=torch.Generator().manual_seed(1))


def vectors(n: int = 12) -> torch.Tensor:
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(3))


def mlp() -> Preconditioned:
    return Preconditioned(MLP((3,), width=16, depth=1), DIFFUSION)


def unet() -> Preconditioned:
    network = UNet((3, 8, 8), channels=8, multipliers=(1, 2), blocks=(1, 0))
    nn.init.normal_(network.leave[-1].weight, std=0.1, generator=torch.Generator().manual_seed(5))
    return Preconditioned(network, DIFFUSION)


def gradients(denoiser: nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in denoiser.parameters() if p.grad is not None])


def losses(learner: Learner, data: torch.Tensor, engine: Engine, n: int = 6, **options) -> torch.Tensor:
    steps = train(learner, DIFFUSION, data, batch_size=8, seed=0, engine=engine, **options)
    return torch.stack([step.loss for step in islice(steps, n)])


@given(batch_size=st.integers(1, 30), data=st.data())
def test_the_gradient_of_a_batch_is_the_sum_of_its_parts_however_it_is_cut(batch_size, data):
    accumulate = data.draw(st.integers(1, batch_size))
    batch = Draws(DIFFUSION, vectors(), batch_size, seed=4).at(1)
    whole, cut = mlp(), mlp()
    expected = DIFFUSION.loss(whole, *batch).mean()
    expected.backward()
    engine = Engine(accumulate=accumulate)
    loss = engine.backward(engine.losses(cut, DIFFUSION), batch)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradients(cut), gradients(whole), rtol=1e-4, atol=1e-6)


def test_a_batch_that_is_not_cut_has_the_very_loss_and_gradient_of_its_formula():
    for batch_size in (7, 49):  # 7 * (1 / 7) is 1; 49 * (1 / 49) is not
        batch = Draws(DIFFUSION, vectors(), batch_size, seed=4).at(1)
        whole, by_engine, engine = mlp(), mlp(), Engine()
        expected = DIFFUSION.loss(whole, *batch).mean()
        expected.backward()
        assert torch.equal(engine.backward(engine.losses(by_engine, DIFFUSION), batch), expected.detach())
        assert torch.equal(gradients(by_engine), gradients(whole))


def test_a_step_is_one_update_however_many_parts_it_has():
    one, several = Learner.start(mlp(), ema_window=0.1), Learner.start(mlp(), ema_window=0.1)
    torch.testing.assert_close(
        losses(one, vectors(), Engine()), losses(several, vectors(), Engine(accumulate=3)), rtol=1e-4, atol=1e-6
    )
    assert (several.step, several.examples, int(several.average.n_averaged)) == (6, 48, 6)


def test_channels_last_is_the_same_training():
    engine = Engine(channels_last=True)
    learner = Learner.start(engine.placed(unet()))
    assert learner.denoiser.network.enter.weight.is_contiguous(memory_format=torch.channels_last)
    there = losses(learner, IMAGES, engine)
    torch.testing.assert_close(there, losses(Learner.start(unet()), IMAGES, Engine()), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_computes_coarsely_and_keeps_weights_and_moments_whole(precision):
    learner = Learner.start(unet(), ema_window=0.1)
    coarse = losses(learner, IMAGES, Engine(precision))
    whole = losses(Learner.start(unet()), IMAGES, Engine())
    assert not torch.equal(coarse, whole)
    torch.testing.assert_close(coarse, whole, rtol=0.02, atol=1e-3)
    state = [value for slots in learner.optimizer.state.values() for value in slots.values()]
    kept = [*learner.denoiser.parameters(), *learner.averaged.parameters(), *state]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_half_precision_takes_tokens_too():
    diffusion = MaskedDiffusion(5)
    denoiser = Categorical(Transformer(8, 5, symbols=diffusion.symbols, width=16, depth=1, heads=2, stem=3), diffusion)
    items = torch.randint(5, (10, 8), generator=torch.Generator().manual_seed(0))
    steps = train(Learner.start(denoiser), diffusion, items, batch_size=4, seed=0, engine=Engine("bf16"))
    assert all(torch.isfinite(step.loss) for step in islice(steps, 3))


def test_fp16_leaves_out_an_update_that_overflowed_and_goes_on_with_a_smaller_scale():
    learner = Learner.start(mlp())
    before = copy.deepcopy(learner.denoiser.state_dict())
    steps = train(learner, DIFFUSION, vectors() * 1e30, batch_size=4, seed=0, engine=Engine("fp16"), clip=1.0)
    next(steps)
    scale = learner.scaler.get_scale()
    assert all(torch.equal(before[name], now) for name, now in learner.denoiser.state_dict().items())
    next(steps)
    assert learner.scaler.get_scale() < max(scale, 65536.0)
    assert learner.step == 2


def test_a_run_in_fp16_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(tmp_path):
    whole, broken = Learner.start(mlp()), Learner.start(mlp())
    expected = losses(whole, vectors(), Engine("fp16"), 8, clip=1.0)
    first = losses(broken, vectors(), Engine("fp16"), 4, clip=1.0)
    save_checkpoint(broken, tmp_path / "a.safetensors")
    resumed = Learner.start(mlp())
    load_checkpoint(resumed, tmp_path / "a.safetensors")
    assert resumed.scaler.state_dict() == broken.scaler.state_dict()
    assert torch.equal(torch.cat([first, losses(resumed, vectors(), Engine("fp16"), 4, clip=1.0)]), expected)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_run_with_channels_last_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(tmp_path, optimizer):
    engine = Engine(channels_last=True)

    def started() -> Learner:
        return Learner.start(engine.placed(unet()), ema_window=0.1, optimizer=optimizer)

    whole, broken, resumed = started(), started(), started()
    expected = losses(whole, IMAGES, engine, 6)
    first = losses(broken, IMAGES, engine, 3)
    save_checkpoint(broken, tmp_path / "a.safetensors")
    load_checkpoint(resumed, tmp_path / "a.safetensors")
    assert torch.equal(torch.cat([first, losses(resumed, IMAGES, engine, 3)]), expected)


def test_effective_time_does_not_count_an_update_that_was_left_out():
    learner = Learner.start(mlp(), optimizer="rmsprop", effective_time=True)
    learner.scaler = Engine("fp16").scaler(torch.device("cpu"))
    learner.scaler._init_scale = 2.0**60  # overflows until it has been halved often enough
    steps = train(learner, DIFFUSION, vectors(), batch_size=4, seed=0, engine=Engine("fp16"))
    before = next(steps) and learner.time.value
    for _ in range(60):
        next(steps)
    assert (before, learner.time.step) == (0.0, 61)
    assert 0 < learner.time.value < float("inf")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_program_is_the_same_training():
    compiled = losses(Learner.start(mlp()), vectors(), Engine(compiled=True))
    torch.testing.assert_close(compiled, losses(Learner.start(mlp()), vectors(), Engine()), rtol=1e-3, atol=1e-5)


def test_what_cannot_be_is_refused_before_anything_changes():
    with pytest.raises(ConfigError, match="precision is one of fp32, bf16, fp16; got 'half'"):
        Engine("half")
    with pytest.raises(ConfigError, match="at least 1 part; got 0"):
        Engine(accumulate=0)
    learner = Learner.start(mlp())
    with pytest.raises(ConfigError, match="a batch of 2 cannot be cut into 3 parts"):
        next(train(learner, DIFFUSION, vectors(), batch_size=2, seed=0, engine=Engine(accumulate=3)))
    assert learner.step == 0
