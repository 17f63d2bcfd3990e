"""Effective time and heat, against closed forms and against a reading at every step."""

import json
import math
from itertools import islice

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from taumem.diffusion import GaussianDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, Preconditioned
from taumem.record import RateSchedule
from taumem.training import EffectiveTime, Learner, Member, OptimizerState, load_checkpoint, save_checkpoint, train
from taumem.training.ensemble import train_together
from taumem.training.pace import RAREST, rate_of

DIFFUSION = GaussianDiffusion()


def vectors(n: int = 20) -> torch.Tensor:
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(n))


def mlp(seed: int = 0) -> nn.Module:
    return Preconditioned(MLP((3,), width=16, depth=2, generator=torch.Generator().manual_seed(seed)), DIFFUSION)


class Lion(Optimizer):
    """An optimizer of another's: it has betas, and no second moment."""

    def __init__(self, parameters) -> None:
        super().__init__(parameters, {"lr": 1e-3, "betas": (0.9, 0.99)})

    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.data -= group["lr"] * p.grad.sign()


def under_a_lasting_gradient(make, n_steps: int = 30, gradient: float = 0.25):
    """The time of an optimizer of ten weights whose gradient is always the same, and the weights' way."""
    p = nn.Parameter(torch.zeros(10))
    optimizer, time = make([p]), EffectiveTime()
    for step in range(1, n_steps + 1):
        p.grad = torch.full_like(p, gradient)
        optimizer.step()
        time.after(optimizer, step)
    return time, optimizer, float(-p.detach().mean())


LASTING = {
    "SGD": (lambda p: SGD(p, lr=0.02), 30 * 0.02),
    "SGD with momentum": (lambda p: SGD(p, lr=0.02, momentum=0.9), 30 * 0.2),
    "SGD with dampening": (lambda p: SGD(p, lr=0.02, momentum=0.9, dampening=0.9), 30 * 0.02),
    "SGD with Nesterov's": (lambda p: SGD(p, lr=0.02, momentum=0.5, nesterov=True), 30 * 0.04),
    "Adam": (lambda p: Adam(p, lr=0.02, eps=0.05), 30 * 0.02 / 0.30),
    "Adam, the largest v": (lambda p: Adam(p, lr=0.02, amsgrad=True), 30 * 0.02 / 0.25),
    "AdamW": (lambda p: AdamW(p, lr=0.02, weight_decay=0.0, fused=True), 30 * 0.02 / 0.25),
    "RMSprop": (
        lambda p: RMSprop(p, lr=0.02, alpha=0.9, eps=0.0),
        sum(0.02 / (0.25 * math.sqrt(1 - 0.9**k)) for k in range(1, 31)),
    ),
    "RMSprop with momentum": (
        lambda p: RMSprop(p, lr=0.02, alpha=0.9, eps=0.0, momentum=0.5),
        2 * sum(0.02 / (0.25 * math.sqrt(1 - 0.9**k)) for k in range(1, 31)),
    ),
}


@pytest.mark.parametrize(("make", "expected"), LASTING.values(), ids=LASTING)
def test_the_time_of_a_lasting_gradient_has_a_closed_form(make, expected):
    time, _, _ = under_a_lasting_gradient(make)
    assert time.value == pytest.approx(expected, rel=1e-4)
    assert time.step == 30


@pytest.mark.parametrize("make", [LASTING[name][0] for name in ("SGD", "Adam", "AdamW", "Adam, the largest v")])
def test_a_lasting_gradient_moves_weights_by_it_times_the_time(make):
    time, _, way = under_a_lasting_gradient(make)
    assert way == pytest.approx(0.25 * time.value, rel=1e-3)


def test_the_heat_is_half_of_mobility_times_square_added_up_over_the_weights():
    for make, mobility in ((LASTING["SGD with momentum"][0], 0.2), (LASTING["AdamW"][0], 0.02 / 0.25)):
        time, _, _ = under_a_lasting_gradient(make)
        assert time.heat == pytest.approx(10 * mobility * 0.25**2 / 2, rel=1e-4)


def test_of_adam_each_weight_has_a_mobility_of_its_own():
    p = nn.Parameter(torch.zeros(4))
    optimizer, time = AdamW([p], lr=0.1, weight_decay=0.0, eps=0.0), EffectiveTime()
    p.grad = torch.tensor([1.0, 2.0, 3.0, 6.0])
    optimizer.step()
    time.after(optimizer, 1)
    assert time.value == pytest.approx(0.1 / 3)
    assert time.heat == pytest.approx(sum(0.1 / g * g**2 / 2 for g in (1, 2, 3, 6)))


def test_of_sgd_the_squared_gradients_are_averaged_over_the_steps():
    p = nn.Parameter(torch.zeros(1))
    optimizer, time = SGD([p], lr=0.1), EffectiveTime()
    for step in range(1, 901):
        p.grad = torch.randn(1, generator=torch.Generator().manual_seed(step))
        optimizer.step()
        time.after(optimizer, step)
    assert time.heat == pytest.approx(0.1 * 1.0 / 2, rel=0.35)  # of some 60 readings


def test_each_group_counts_by_how_many_parameters_it_has():
    one, three = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(3))
    optimizer = SGD([{"params": [one], "lr": 0.4}, {"params": [three], "lr": 0.0, "momentum": 0.5}])
    assert rate_of(optimizer) == pytest.approx(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "rmsprop"])
def test_rare_readings_are_near_those_of_every_step(optimizer, monkeypatch):
    def trained(**options):
        learner = Learner.start(mlp(), learning_rate=1e-3, optimizer=optimizer, effective_time=True, **options)
        list(islice(train(learner, DIFFUSION, vectors(), batch_size=4, seed=0), 2 * RAREST))
        return learner.time

    rare = trained()
    monkeypatch.setattr(EffectiveTime, "reads", staticmethod(lambda step: True))
    dense = trained()
    assert rare.value == pytest.approx(dense.value, rel=0.01)
    assert rare.heat == pytest.approx(dense.heat, rel=0.3 if optimizer == "sgd" else 0.05)


@pytest.mark.parametrize("decay", ["constant", "cosine", "linear"])
def test_the_time_carries_the_schedule(decay):
    schedule = RateSchedule(decay, warmup=10, steps=50)
    learner = Learner.start(mlp(), learning_rate=0.01, optimizer="sgd", momentum=0.5, effective_time=True)
    list(islice(train(learner, DIFFUSION, vectors(), batch_size=4, seed=0, schedule=schedule), 60))
    assert learner.time.value == pytest.approx(0.02 * sum(schedule.at(step) for step in range(1, 61)))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_members_of_an_ensemble_count_the_time_that_they_would_alone(optimizer):
    options = {"learning_rate": 1e-3, "optimizer": optimizer, "effective_time": True}
    members = [Member(Learner.start(mlp(k), **options), vectors(9 + k), seed=k) for k in range(3)]
    list(islice(train_together(members, DIFFUSION, batch_size=4), 150))
    for k, member in enumerate(members):
        alone = Learner.start(mlp(k), **options)
        list(islice(train(alone, DIFFUSION, vectors(9 + k), batch_size=4, seed=k), 150))
        assert member.learner.time.value == pytest.approx(alone.time.value, rel=1e-4)
        assert member.learner.time.heat == pytest.approx(alone.time.heat, rel=1e-3)


def test_a_resumed_training_counts_on_and_one_whose_time_was_not_counted_knows_none(tmp_path):
    def started(**options):
        return Learner.start(mlp(), **options)

    whole, broken, on = (started(effective_time=True) for _ in range(3))
    list(islice(train(whole, DIFFUSION, vectors(), batch_size=4, seed=0), 90))
    list(islice(train(broken, DIFFUSION, vectors(), batch_size=4, seed=0), 70))
    save_checkpoint(broken, tmp_path / "a.safetensors")
    load_checkpoint(on, tmp_path / "a.safetensors")
    list(islice(train(on, DIFFUSION, vectors(), batch_size=4, seed=0), 20))
    assert on.time.state() == whole.time.state()

    uncounted, later = started(), started(effective_time=True)
    list(islice(train(uncounted, DIFFUSION, vectors(), batch_size=4, seed=0), 3))
    save_checkpoint(uncounted, tmp_path / "b.safetensors")
    load_checkpoint(later, tmp_path / "b.safetensors")
    assert math.isnan(later.time.value)


def test_counting_changes_nothing_about_the_training():
    plain, counted = Learner.start(mlp()), Learner.start(mlp(), effective_time=True)
    for learner in (plain, counted):
        list(islice(train(learner, DIFFUSION, vectors(), batch_size=4, seed=0), 20))
    assert plain.time is None
    for one, other in zip(plain.denoiser.parameters(), counted.denoiser.parameters(), strict=True):
        assert torch.equal(one, other)


def test_steps_that_move_nothing_count_nothing():
    time, _, _ = under_a_lasting_gradient(lambda p: AdamW(p, lr=0.1), gradient=0.0)
    assert (time.value, time.heat) == (0.0, 0.0)


def test_an_optimizer_without_a_second_moment_says_so_in_the_record():
    time, optimizer, _ = under_a_lasting_gradient(Lion)
    assert math.isnan(time.value)
    state = OptimizerState(optimizer, time)
    assert state.settings == {"optimizer": "Lion"}
    assert [estimate.quantity for estimate in state.measure(None).estimates] == ["learning_rate"]


def test_what_is_measured_of_adam():
    time, optimizer, _ = under_a_lasting_gradient(LASTING["AdamW"][0])
    told = {estimate.quantity: estimate.value for estimate in OptimizerState(optimizer, time).measure(None).estimates}
    assert told == pytest.approx(
        {"learning_rate": 0.02, "root_second_moment": 0.25, "effective_time": 2.4, "heat": 0.025}, rel=1e-4
    )


def test_an_optimizer_built_in_another_way_costs_the_time_and_nothing_else():
    time = EffectiveTime()
    time.after(type("Odd", (), {"param_groups": [{"params": [nn.Parameter(torch.ones(2))]}], "state": {}})(), 1)
    assert math.isnan(time.value)


def test_a_loop_that_calls_rarely_counts_what_was_passed_over_and_one_that_goes_back_counts_no_more():
    p = nn.Parameter(torch.zeros(10))
    optimizer, time = SGD([p], lr=0.5), EffectiveTime()
    for step in (50, 100, 100):
        time.after(optimizer, step)
    assert time.value == pytest.approx(50.0)
    assert math.isnan(time.heat)  # the gradients were gone
    time.after(optimizer, 20)
    assert math.isnan(time.value)


def test_the_state_is_of_plain_types_and_goes_on_only_from_its_own_step():
    time, _, _ = under_a_lasting_gradient(LASTING["SGD"][0])
    state = json.loads(json.dumps(time.state()))
    same, other = EffectiveTime(), EffectiveTime()
    same.load(state, 30)
    other.load(state, 31)
    assert same.state() == state
    assert math.isnan(other.value)
    assert other.state() == {}


def test_of_a_spread_tensor_what_is_here_is_read():
    class Spread(torch.Tensor):
        def to_local(self):
            return torch.full((5,), 0.04)

    p = nn.Parameter(torch.zeros(10))
    optimizer = AdamW([p], lr=0.01)
    optimizer.state[p] = {"exp_avg_sq": torch.zeros(10).as_subclass(Spread), "step": torch.tensor(1e9)}
    time = EffectiveTime()
    time.after(optimizer, 1)
    assert time.value == pytest.approx(0.01 / 0.2)


def test_frozen_weights_have_no_heat_and_adadelta_no_effective_time():
    moving, frozen = nn.Parameter(torch.zeros(10)), nn.Parameter(torch.zeros(990), requires_grad=False)
    heats = []
    for parameters in ([moving], [moving, frozen]):
        optimizer, time = AdamW(parameters, lr=0.02, weight_decay=0.0), EffectiveTime()
        moving.grad = torch.full_like(moving, 0.25)
        optimizer.step()
        time.after(optimizer, 1)
        heats.append(time.heat)
    assert heats[0] == pytest.approx(heats[1])
    time, _, _ = under_a_lasting_gradient(lambda p: torch.optim.Adadelta(p))
    assert math.isnan(time.value)


def test_an_optimizer_that_raises_costs_the_time_and_its_heat_alone():
    p = nn.Parameter(torch.zeros(3))
    optimizer, time = SGD([p], lr=0.1, momentum=0.5), EffectiveTime()
    p.grad = torch.ones(3)
    optimizer.step()
    time.after(optimizer, 1)
    assert time.heat > 0
    optimizer.param_groups[0]["momentum"] = 1.0
    time.after(optimizer, 2)
    assert math.isnan(time.value)
    assert math.isnan(time.heat)


def test_gradients_that_were_set_to_zero_say_nothing_of_heat():
    p = nn.Parameter(torch.zeros(3))
    optimizer, time = SGD([p], lr=0.1), EffectiveTime()
    p.grad = torch.zeros(3)
    time.after(optimizer, 1)
    assert time.value == pytest.approx(0.1)
    assert math.isnan(time.heat)


@pytest.mark.parametrize("state", [[1.0], {"step": "a"}, {"step": 3, "value": "much"}])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ConfigError, match="not the state of an effective time"):
        EffectiveTime().load(state)
