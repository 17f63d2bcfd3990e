"""The training loop: which items it takes, what it changes, and that it learns."""

import copy
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from taumem.data import GaussianMixture
from taumem.diffusion import GaussianDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, EmpiricalDenoiser, MixtureDenoiser, Preconditioned
from taumem.record import RateSchedule
from taumem.training import Learner, train
from taumem.training.loop import batch_positions

DIFFUSION = GaussianDiffusion()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(n: int = 10, dimensions: int = 3) -> torch.Tensor:
    return torch.randn((n, dimensions), generator=seeded(3))


def denoiser(dimensions: int = 3, width: int = 16) -> Preconditioned:
    return Preconditioned(MLP((dimensions,), width=width, depth=1), DIFFUSION)


def weights(learner: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in learner.denoiser.parameters()])


@given(n=st.integers(1, 25), batch_size=st.integers(1, 60), steps=st.integers(1, 30), seed=st.integers(0, 100))
def test_every_item_is_seen_equally_often_to_within_one_at_any_step(n, batch_size, steps, seed):
    counts = torch.zeros(n, dtype=torch.long)
    for index in range(1, steps + 1):
        positions = batch_positions(n, batch_size, index, seed)
        assert positions.shape == (batch_size,)
        counts += torch.bincount(positions, minlength=n)
        assert counts.max() - counts.min() <= 1
    assert counts.sum() == steps * batch_size


@given(n=st.integers(1, 12), batch_size=st.integers(1, 30))
def test_the_batches_stand_in_one_row_of_passes_whatever_the_batch_size(n, batch_size):
    row = torch.cat([batch_positions(n, batch_size, index, 0) for index in range(1, 8)])
    assert torch.equal(row, torch.cat([batch_positions(n, 1, index, 0) for index in range(1, 7 * batch_size + 1)]))
    for one_pass in row.split(n):
        assert len(set(one_pass.tolist())) == len(one_pass)


def test_each_pass_is_a_fresh_and_fair_shuffle():
    passes = [tuple(batch_positions(3, 3, index, 0).tolist()) for index in range(1, 3001)]
    counts = [passes.count(order) for order in sorted(set(passes))]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_caller_sees_every_step_once_from_one_on():
    learner = Learner.start(denoiser())
    steps = list(islice(train(learner, DIFFUSION, data(), batch_size=4, seed=0), 5))
    assert [step.index for step in steps] == [1, 2, 3, 4, 5]
    assert [step.examples for step in steps] == [4, 8, 12, 16, 20]
    assert (learner.step, learner.examples) == (5, 20)
    assert all(step.loss.shape == () and not step.loss.requires_grad for step in steps)


def test_a_second_loop_goes_on_where_the_first_was_left():
    broken, whole = Learner.start(denoiser()), Learner.start(denoiser())
    indices = [
        step.index for _ in range(2) for step in islice(train(broken, DIFFUSION, data(), batch_size=4, seed=0), 3)
    ]
    list(islice(train(whole, DIFFUSION, data(), batch_size=4, seed=0), 6))
    assert indices == [1, 2, 3, 4, 5, 6]
    assert torch.equal(weights(broken), weights(whole))


def test_a_step_is_yielded_after_its_update_with_the_loss_before_it():
    learner = Learner.start(denoiser())
    before = copy.deepcopy(learner.denoiser)
    step = next(train(learner, DIFFUSION, data(), batch_size=10, seed=0))
    assert not torch.equal(weights(learner), torch.cat([p.flatten() for p in before.parameters()]))
    first = next(train(Learner.start(before), DIFFUSION, data(), batch_size=10, seed=0))
    assert torch.equal(step.loss, first.loss)


def test_a_seed_fixes_the_run_and_another_seed_is_another_run():
    runs = []
    for seed in (0, 0, 1):
        learner = Learner.start(denoiser())
        list(islice(train(learner, DIFFUSION, data(), batch_size=4, seed=seed), 5))
        runs.append(weights(learner))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_dropout_too_depends_on_the_seed_and_the_step_alone():
    def run(global_seed: int) -> torch.Tensor:
        learner = Learner.start(WithDropout())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            list(islice(train(learner, DIFFUSION, data(), batch_size=4, seed=0), 5))
        return weights(learner)

    assert torch.equal(run(1), run(2))


def test_dropout_leaves_the_global_random_state_to_the_caller():
    learner = Learner.start(WithDropout())
    before = torch.get_rng_state()
    list(islice(train(learner, DIFFUSION, data(), batch_size=4, seed=0), 2))
    assert torch.equal(torch.get_rng_state(), before)


class WithDropout(nn.Module):
    """A scale for each coordinate behind a dropout, different at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.seen = []

    def forward(self, xt, t):
        kept = nn.functional.dropout(torch.ones(64), 0.5, self.training)
        self.seen.append(kept)
        return xt * self.scale * kept[:3]


def test_dropout_differs_from_step_to_step():
    model = WithDropout()
    list(islice(train(Learner.start(model), DIFFUSION, data(), batch_size=4, seed=0), 3))
    assert not torch.equal(model.seen[0], model.seen[1])
    assert not torch.equal(model.seen[1], model.seen[2])


def test_the_first_step_is_adams():
    # Adam's first step is the learning rate times the sign of the gradient.
    learner = Learner.start(denoiser(), learning_rate=1e-3)
    before = weights(learner)
    next(train(learner, DIFFUSION, data(), batch_size=10, seed=0))
    gradient = torch.cat([p.grad.flatten() for p in learner.denoiser.parameters()])
    clear = gradient.abs() > 1e-4
    torch.testing.assert_close((weights(learner) - before)[clear], -1e-3 * gradient.sign()[clear], rtol=1e-2, atol=1e-6)


def test_weight_decay_is_decoupled_from_the_gradient():
    plain, decayed = (Learner.start(denoiser(), learning_rate=1e-2, weight_decay=w) for w in (0.0, 0.5))
    before = weights(plain)
    for learner in (plain, decayed):
        next(train(learner, DIFFUSION, data(), batch_size=4, seed=0))
    torch.testing.assert_close(weights(decayed) - weights(plain), -1e-2 * 0.5 * before, rtol=1e-3, atol=1e-7)


def test_frozen_parameters_stay():
    model = denoiser()
    model.network.enter.weight.requires_grad_(False)
    before = model.network.enter.weight.clone()
    list(islice(train(Learner.start(model, weight_decay=0.1), DIFFUSION, data(), batch_size=4, seed=0), 3))
    assert torch.equal(model.network.enter.weight, before)


@pytest.mark.parametrize(("warmup", "expected"), [(4, [0.25, 0.5, 0.75, 1, 1, 1]), (1, [1] * 6), (0, [1] * 6)])
def test_the_learning_rate_rises_linearly_over_the_warmup_and_then_stays(warmup, expected):
    learner = Learner.start(denoiser(), learning_rate=2e-3)
    steps = islice(train(learner, DIFFUSION, data(), batch_size=4, seed=0, schedule=RateSchedule(warmup=warmup)), 6)
    rates = [learner.optimizer.param_groups[0]["lr"] for _ in steps]
    assert rates == pytest.approx([2e-3 * share for share in expected])


def test_the_gradient_is_clipped_to_its_largest_norm():
    def norms(clip: float | None) -> list[float]:
        learner = Learner.start(denoiser())
        steps = islice(train(learner, DIFFUSION, data(), batch_size=4, seed=0, clip=clip), 5)
        return [
            float(torch.cat([p.grad.flatten() for p in learner.denoiser.parameters()]).norm().detach()) for _ in steps
        ]

    free = norms(None)
    assert min(free) > 0.05
    assert max(norms(0.05)) <= 0.05 * (1 + 1e-5)
    assert norms(1e6) == pytest.approx(free, rel=1e-4)


def test_probes_look_at_the_average_where_there_is_one():
    plain, averaging = Learner.start(denoiser()), Learner.start(denoiser(), ema_window=0.1)
    assert plain.averaged is plain.denoiser
    list(islice(train(averaging, DIFFUSION, data(), batch_size=4, seed=0), 5))
    assert averaging.averaged is averaging.average.module
    mean = torch.cat([p.flatten() for p in averaging.averaged.parameters()])
    assert 0 < (mean - weights(averaging)).abs().max() < 0.1


def test_an_average_changes_nothing_about_the_training():
    plain, averaging = Learner.start(denoiser()), Learner.start(denoiser(), ema_window=0.1)
    for learner in (plain, averaging):
        list(islice(train(learner, DIFFUSION, data(), batch_size=4, seed=0), 5))
    assert torch.equal(weights(plain), weights(averaging))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": -3}, "batch size -3"),
        ({"data": data(0)}, "0 items"),
        ({"clip": 0.0}, "clip.*0"),
        ({"clip": -1.0}, "clip.*-1"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_changes(options, message):
    learner = Learner.start(denoiser())
    before = weights(learner)
    with pytest.raises(ConfigError, match=message):
        next(train(learner, DIFFUSION, **{"data": data(), "batch_size": 4, "seed": 0, **options}))
    assert torch.equal(weights(learner), before)
    assert learner.step == 0


@pytest.mark.slow
def test_a_tiny_data_set_is_learned_by_heart():
    train_items = data(4)
    learner = Learner.start(denoiser(width=64), learning_rate=3e-3)
    x0, t = train_items.repeat(250, 1), torch.linspace(0.02, 0.98, 1000)
    eps = DIFFUSION.noise(x0, seeded(1))

    def loss(denoiser) -> float:
        with torch.no_grad():
            return float(DIFFUSION.loss(denoiser, x0, t, eps).mean())

    least, before = loss(EmpiricalDenoiser(DIFFUSION, train_items)), loss(learner.denoiser)
    losses = [float(step.loss) for step in islice(train(learner, DIFFUSION, train_items, batch_size=32, seed=0), 600)]
    assert np.mean(losses[-50:]) < 0.8 * np.mean(losses[:50])
    assert least < loss(learner.denoiser) < least + (before - least) / 3


@pytest.mark.slow
def test_on_endless_data_a_network_approaches_the_exact_denoiser_and_not_the_empirical_one():
    mixture = GaussianMixture.two_modes(4)
    generator = seeded(5)
    items, fresh = mixture.sample(20_000, generator), mixture.sample(4000, generator)
    eps, t = DIFFUSION.noise(fresh, generator), torch.linspace(0.02, 0.98, 4000)
    model = Preconditioned(MLP((4,), width=64, depth=2), DIFFUSION)
    learner = Learner.start(model, learning_rate=3e-3, ema_window=0.1)
    list(islice(train(learner, DIFFUSION, items, batch_size=256, seed=0), 700))
    with torch.no_grad():
        learned = DIFFUSION.loss(learner.averaged, fresh, t, eps).mean()
        least = DIFFUSION.loss(MixtureDenoiser(DIFFUSION, mixture), fresh, t, eps).mean()
        by_heart = DIFFUSION.loss(EmpiricalDenoiser(DIFFUSION, items[:1000]), fresh, t, eps).mean()
    assert learned < 1.03 * least
    assert by_heart > 1.2 * least
