"""Many runs in one batched program, against each of them trained alone."""

import copy
from itertools import islice

import pytest
import torch
from torch import nn

from taumem.diffusion import GaussianDiffusion, LinearBetas, MaskedDiffusion, UniformDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, Categorical, OneHot, Preconditioned, TreeUNet, UNet
from taumem.record import RateSchedule
from taumem.training import Augmentation, Learner, Member, load_checkpoint, save_checkpoint, train, train_together
from taumem.training.side_by_side import can_stand_side_by_side

MASKED, UNIFORM, GAUSSIAN = MaskedDiffusion(4, weighting="x0"), UniformDiffusion(4, LinearBetas()), GaussianDiffusion()
SIZES = (5, 16, 40)


@pytest.fixture(autouse=True)
def _in_double_precision():
    """So that what must be equal is equal to ten digits: both ways add in another order."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strings(n: int) -> torch.Tensor:
    return torch.randint(4, (n, 8), generator=seeded(n))


def vectors(n: int) -> torch.Tensor:
    return torch.randn((n, 3), generator=seeded(n))


def tree_masked(seed: int) -> nn.Module:
    return Categorical(TreeUNet(2, 3, 4, [5, 6, 7], generator=seeded(seed)), MASKED)


def tree_uniform(seed: int) -> nn.Module:
    return Categorical(TreeUNet(2, 3, 4, 6, symbols=4, time_features=3, generator=seeded(seed)), UNIFORM)


def mlp_tokens(seed: int) -> nn.Module:
    return Categorical(OneHot(MLP((8, 5), width=8, depth=1, generator=seeded(seed)), MASKED), MASKED)


def mlp(seed: int) -> nn.Module:
    return Preconditioned(MLP((3,), width=8, depth=1, generator=seeded(seed)), GAUSSIAN)


def pictures(n: int) -> torch.Tensor:
    return torch.rand((n, 1, 8, 8), generator=seeded(n)) * 2 - 1


def unet(seed: int) -> nn.Module:
    """With attention, a pixel-unshuffle, and last layers that are not zero, as they are once it has been trained."""
    network = UNet((1, 8, 8), channels=4, multipliers=(1, 2), attention=(2,), head_channels=4, patch=2)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=seeded(seed))
    return Preconditioned(network, GAUSSIAN)


class Strange(nn.Module):
    """None of ours: it convolves with a weight that it has made of its parameter, and adds a number to each row."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((1, 1, 3, 3), generator=seeded(seed)))
        self.rows = nn.Parameter(torch.randn((8, 1), generator=seeded(seed + 9)))

    def forward(self, xt, t):
        kernel = self.weight / self.weight.norm()
        return nn.functional.conv2d(xt, kernel, padding=1) + self.rows * t[:, None, None, None]


class Denormalized(UNet):
    """A U-Net that does something else with its items: nobody here knows what."""

    def forward(self, xt, t):
        return super().forward(xt - xt.mean(dim=0), t)


def denormalized(seed: int) -> nn.Module:
    network = Denormalized((1, 8, 8), channels=4, multipliers=(1,), blocks=1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3, generator=seeded(seed))
    return Preconditioned(network, GAUSSIAN)


CASES = {
    "tree, masked": (MASKED, tree_masked, strings, {}, {}),
    "tree, masked, averaged": (MASKED, tree_masked, strings, {"ema_window": 0.2}, {"schedule": RateSchedule(warmup=7)}),
    "tree, uniform": (UNIFORM, tree_uniform, strings, {"weight_decay": 0.1}, {"clip": 0.3}),
    "MLP, tokens": (MASKED, mlp_tokens, strings, {"ema_window": 0.1}, {"clip": 1e6}),
    "MLP, SGD": (GAUSSIAN, mlp, vectors, {"optimizer": "sgd", "effective_time": True}, {}),
    "MLP, RMSprop": (GAUSSIAN, mlp, vectors, {"optimizer": "rmsprop", "effective_time": True}, {"clip": 0.3}),
    "MLP, Adam": (GAUSSIAN, mlp, vectors, {"optimizer": "adam", "weight_decay": 0.1, "effective_time": True}, {}),
    "MLP, all options": (
        GAUSSIAN,
        mlp,
        vectors,
        {"weight_decay": 0.1, "ema_window": 0.1},
        {"clip": 0.3, "schedule": RateSchedule(warmup=12)},
    ),
    "U-Net": (GAUSSIAN, unet, pictures, {}, {}),
    "U-Net, all options": (
        GAUSSIAN,
        unet,
        pictures,
        {"weight_decay": 0.1, "ema_window": 0.1, "effective_time": True},
        {"clip": 0.3, "schedule": RateSchedule(warmup=12), "augmentation": Augmentation(flips=True, shifts=1)},
    ),
    "U-Net, SGD": (GAUSSIAN, unet, pictures, {"optimizer": "sgd", "effective_time": True}, {"clip": 1e6}),
    "U-Net of others": (GAUSSIAN, denormalized, pictures, {"ema_window": 0.1}, {"clip": 0.3}),
    "none of ours": (GAUSSIAN, Strange, pictures, {"ema_window": 0.1}, {"clip": 0.3}),
}
BOTH_WAYS = ["MLP, all options", "U-Net, all options"]
"""By vmap, and side by side."""


def start(case: str = "MLP, all options", sizes=SIZES) -> list[Member]:
    _, network, items, options, _ = CASES[case]
    return [
        Member(Learner.start(network(k).double(), learning_rate=3e-3, **options), items(n), seed=10 + k)
        for k, n in enumerate(sizes)
    ]


def together(members: list[Member], case: str = "MLP, all options"):
    return train_together(members, CASES[case][0], batch_size=8, **CASES[case][4])


def alone(member: Member, case: str = "MLP, all options"):
    return train(member.learner, CASES[case][0], member.data, batch_size=8, seed=member.seed, **CASES[case][4])


def advance(steps, n: int) -> list:
    return list(islice(steps, n))


def state(learner: Learner) -> dict[str, torch.Tensor]:
    """A copy of everything that training changes, by name."""
    found = {f"denoiser.{name}": value for name, value in learner.denoiser.state_dict().items()}
    if learner.average is not None:
        found |= {f"average.{name}": value for name, value in learner.average.state_dict().items()}
    for index, slots in learner.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    found |= {name: torch.tensor(float(getattr(learner, name))) for name in ("step", "examples")}
    if learner.time is not None:
        found |= {f"time.{name}": torch.tensor(float(number)) for name, number in learner.time.state().items()}
    found["lr"] = torch.tensor(learner.optimizer.param_groups[0]["lr"])
    return {name: value.clone() for name, value in found.items()}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-10) -> None:
    assert one.keys() == other.keys()
    for name in one:
        # Effective time adds up in single precision.
        limit = max(tolerance, 1e-5) if tolerance and name.startswith("time.") else tolerance
        torch.testing.assert_close(one[name], other[name], rtol=limit, atol=limit, msg=f"{name} differs")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_each_member_is_trained_as_it_would_be_alone(case):
    members, apart = start(case), start(case)
    losses = torch.tensor([[step.loss for step in steps] for steps in advance(together(members, case), 20)])
    for k, one in enumerate(apart):
        torch.testing.assert_close(losses[:, k], torch.stack([s.loss for s in advance(alone(one, case), 20)]))
        assert_same(state(members[k].learner), state(one.learner))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["tree, masked", "U-Net"])
def test_in_single_precision_too_to_within_its_rounding(case):
    torch.set_default_dtype(torch.float32)
    _, network, items, *_ = CASES[case]
    members, apart = ([Member(Learner.start(network(k)), items(9), seed=k) for k in range(3)] for _ in range(2))
    losses = torch.tensor([[step.loss for step in steps] for steps in advance(together(members, case), 20)])
    for k, (one, other) in enumerate(zip(members, apart, strict=True)):
        torch.testing.assert_close(losses[:, k], torch.stack([s.loss for s in advance(alone(other, case), 20)]))
        # What they predict, not the weights: a bias before a normalization has only rounding for a gradient.
        asked = items(5), torch.rand(5, generator=seeded())
        with torch.no_grad():
            predicted, expected = one.learner.denoiser(*asked), other.learner.denoiser(*asked)
        torch.testing.assert_close(predicted, expected, rtol=1e-4, atol=1e-4)


def test_u_nets_stand_side_by_side_and_what_is_not_known_does_not():
    assert can_stand_side_by_side(unet(0))
    assert can_stand_side_by_side(unet(0).network)
    for other in (denormalized(0), Strange(0), mlp(0), tree_masked(0)):
        assert not can_stand_side_by_side(other)
    changed = unet(0)
    nn.utils.parametrizations.weight_norm(changed.network.enter)
    assert not can_stand_side_by_side(changed)


def test_the_steps_count_on_in_the_members_order():
    members = start()
    for index, steps in enumerate(islice(together(members), 3), start=1):
        assert [(step.index, step.examples, step.loss.shape) for step in steps] == [(index, 8 * index, ())] * 3
        assert [(m.learner.step, m.learner.examples) for m in members] == [(index, 8 * index)] * 3
        assert not any(step.loss.requires_grad for step in steps)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["tree, masked, averaged", *BOTH_WAYS])
def test_at_every_step_each_learner_stands_where_it_would_stand_alone(case):
    members, apart = start(case), start(case)
    runs = [alone(one, case) for one in apart]
    for _ in islice(together(members, case), 4):
        for member, one, run in zip(members, apart, runs, strict=True):
            next(run)
            assert_same(state(member.learner), state(one.learner))


@pytest.mark.slow
@pytest.mark.parametrize("case", BOTH_WAYS)
def test_a_leaver_stays_as_it_was_and_the_others_go_on_unchanged(case):
    members, unbroken = start(case), start(case)
    first, second, third = members
    steps = together(members, case)
    advance(steps, 5)
    members.remove(second)
    left = state(second.learner)
    assert [len(s) for s in advance(steps, 6)] == [2] * 6
    members.remove(first)
    advance(steps, 3)
    members.clear()
    assert next(steps, None) is None
    assert_same(state(second.learner), left, tolerance=0)
    for member, one, n in zip((first, second, third), unbroken, (11, 5, 14), strict=True):
        advance(alone(one, case), n)
        assert_same(state(member.learner), state(one.learner))


def tensors(learner: Learner) -> list[torch.Tensor]:
    """All tensors that a learner holds."""
    slots = [value for of_one in learner.optimizer.state.values() for value in of_one.values()]
    return [p.data for p in (*learner.denoiser.parameters(), *learner.average.parameters())] + slots


@pytest.mark.slow
@pytest.mark.parametrize("case", BOTH_WAYS)
def test_a_leaver_owns_its_tensors_and_is_trained_further_alone(case):
    members, unbroken = start(case), start(case)
    leaver = members[1]
    steps = together(members, case)
    advance(steps, 5)
    members.remove(leaver)
    advance(steps, 1)
    assert all(t.untyped_storage().nbytes() == t.nbytes and t.is_contiguous() for t in tensors(leaver.learner))
    advance(alone(leaver, case), 5)
    advance(steps, 4)
    for member, one in zip((members[0], leaver, members[1]), unbroken, strict=True):
        advance(alone(one, case), 10)
        assert_same(state(member.learner), state(one.learner))


@pytest.mark.parametrize("end", ["closed", "failed"])
def test_when_the_loop_ends_early_every_learner_owns_its_tensors(end):
    members = start()
    steps = together(members)
    advance(steps, 2)
    if end == "closed":
        steps.close()
    else:
        members.append(start()[0])  # at another step than they are
        with pytest.raises(ConfigError):
            next(steps)
        members.pop()
    before = [state(member.learner) for member in members]
    for member, kept in zip(members, before, strict=True):
        assert all(t.untyped_storage().nbytes() == t.nbytes for t in tensors(member.learner))
        assert_same(state(member.learner), kept, tolerance=0)
    step = members[1].learner.optimizer.state[next(iter(members[1].learner.denoiser.parameters()))]["step"]
    advance(alone(members[0]), 1)
    assert int(step) == 2


@pytest.mark.slow
@pytest.mark.parametrize("case", BOTH_WAYS)
def test_a_run_may_join_at_the_step_where_the_others_stand(case):
    members, unbroken = start(case), start(case)
    late = members.pop()
    advance(alone(late, case), 3)
    steps = together(members, case)
    advance(steps, 3)
    members.append(late)
    advance(steps, 3)
    for member, one in zip(members, unbroken, strict=True):
        advance(alone(one, case), 6)
        assert_same(state(member.learner), state(one.learner))


@pytest.mark.slow
@pytest.mark.parametrize("case", BOTH_WAYS)
def test_a_checkpoint_from_the_middle_is_trained_on_alone_or_together(case, tmp_path):
    unbroken, broken, apart, resumed = start(case), start(case), start(case), start(case)
    advance(together(unbroken, case), 12)
    for _ in islice(together(broken, case), 7):
        for k, member in enumerate(broken):
            save_checkpoint(member.learner, tmp_path / str(k))
    for k, (one, other) in enumerate(zip(apart, resumed, strict=True)):
        load_checkpoint(one.learner, tmp_path / str(k))
        load_checkpoint(other.learner, tmp_path / str(k))
        advance(alone(one, case), 5)
    advance(together(resumed, case), 5)
    for whole, one, other in zip(unbroken, apart, resumed, strict=True):
        assert_same(state(whole.learner), state(one.learner))
        assert_same(state(whole.learner), state(other.learner), tolerance=0)


@pytest.mark.slow
@pytest.mark.parametrize("case", BOTH_WAYS)
def test_looking_at_a_member_changes_nothing(case):
    watched, plain = start(case), start(case)
    for _ in islice(together(watched, case), 6):
        for member in watched:
            with torch.no_grad():
                member.learner.averaged.eval()(member.data[:5], torch.rand(5, generator=seeded()))
                member.learner.denoiser.eval()(member.data[:5], torch.rand(5, generator=seeded()))
    advance(together(plain, case), 6)
    for one, other in zip(watched, plain, strict=True):
        assert_same(state(one.learner), state(other.learner), tolerance=0)


def test_the_global_random_state_is_not_touched():
    before = torch.get_rng_state()
    advance(together(start()), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_frozen_and_tied_parameters_are_as_they_are_alone():
    class Tied(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.a = nn.Parameter(torch.randn(3, generator=seeded(seed)))
            self.b = self.a
            self.scale = nn.Parameter(torch.tensor(1.0))
            self.frozen = nn.Parameter(torch.full((3,), 2.0), requires_grad=False)
            self.register_buffer("shift", torch.ones(3))

        def forward(self, xt, t):
            return self.scale * self.a * xt + self.b * self.frozen + self.shift

    members, apart = (
        [Member(Learner.start(Tied(k), weight_decay=0.1, ema_window=0.1), vectors(9), k) for k in range(2)]
        for _ in range(2)
    )
    advance(together(members), 5)
    for one, other in zip(members, apart, strict=True):
        advance(alone(other), 5)
        assert_same(state(one.learner), state(other.learner))
        assert one.learner.denoiser.a is one.learner.denoiser.b


def changed(**options) -> list[Member]:
    """Members of which the last one's learner began with other options."""
    last = Learner.start(mlp(2).double(), **({"learning_rate": 3e-3, "weight_decay": 0.1, "ema_window": 0.1} | options))
    return [*start()[:2], Member(last, vectors(9), 0)]


def with_last(learner: Learner, data: torch.Tensor | None = None) -> list[Member]:
    return [*start()[:2], Member(learner, vectors(9) if data is None else data, 0)]


def at_another_step() -> list[Member]:
    members = start()
    advance(alone(members[2]), 1)
    return members


def with_one_learner_twice() -> list[Member]:
    members = start()
    return [*members, copy.copy(members[0])]


def of_rprop() -> list[Member]:
    models = [mlp(k) for k in range(2)]
    return [Member(Learner(m, torch.optim.Rprop(m.parameters(), lr=0.1)), vectors(9), 0) for m in models]


def with_dropout() -> list[Member]:
    return [Member(Learner.start(Preconditioned(UNet((1, 4, 4), channels=4, dropout=0.1), GAUSSIAN)), vectors(9), 0)]


def averaged_otherwise() -> list[Member]:
    members = [Member(Learner.start(mlp(0)), vectors(9), 0)]
    members[0].learner.average = torch.optim.swa_utils.AveragedModel(members[0].learner.denoiser)
    return members


def wider() -> nn.Module:
    return Preconditioned(MLP((3,), width=10, depth=1), GAUSSIAN)


BAD = {
    "none": (list, {}, "got none"),
    "other shapes": (lambda: with_last(Learner.start(wider())), {}, r"parameter .*\(10, "),
    "other names": (lambda: with_last(Learner.start(mlp(0).network)), {}, "member 2 has"),
    "other precision": (lambda: with_last(Learner.start(mlp(0).float())), {}, "float64.*float32"),
    "other steps": (at_another_step, {}, "step differs: member 0 has 0, member 2 has 1"),
    "other learning rates": (lambda: changed(learning_rate=1e-3), {}, "base_lr differs.*0.003.*0.001"),
    "other weight decay": (lambda: changed(weight_decay=0.0), {}, "weight_decay differs"),
    "some with averages": (lambda: changed(ema_window=None), {}, "average differs.*None"),
    "other windows": (lambda: changed(ema_window=0.2), {}, "average differs"),
    "other averages": (averaged_otherwise, {}, "power_average"),
    "other items": (lambda: with_last(start()[2].learner, strings(9)), {}, "items.*differ"),
    "one learner twice": (with_one_learner_twice, {}, "share a learner"),
    "another optimizer": (of_rprop, {}, "Learner.start.*Rprop"),
    "dropout": (with_dropout, {}, "dropout"),
    "no data": (lambda: with_last(start()[2].learner, vectors(0)), {}, "0 items"),
    "no batch": (start, {"batch_size": 0}, "batch size 0"),
    "no clip": (start, {"clip": 0.0}, "clip.*0"),
}


@pytest.mark.parametrize(("members", "options", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_trained_together_is_refused_before_anything_changes(members, options, message):
    members = members()
    before = [state(member.learner) for member in members]
    with pytest.raises(ConfigError, match=message):
        next(train_together(members, GAUSSIAN, **{"batch_size": 8, **options}))
    for member, kept in zip(members, before, strict=True):
        assert_same(state(member.learner), kept, tolerance=0)
