import copy
import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from loops import (
    HELDOUT,
    TRAIN,
    Net,
    loss,
    loss_of_global_torch,
    loss_of_numpy,
    loss_of_python,
    matched,
    same,
    state_of,
    train,
)
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset

import taumem
from taumem.analysis import Interval
from taumem.errors import ConfigError, DataError, RecordError, TaumemWarning

pytestmark = pytest.mark.filterwarnings("ignore:.*on_onset='stop' would:taumem.errors.TaumemWarning")


def guarded(train=TRAIN, heldout=HELDOUT, loss=loss, **options):
    options.setdefault("budget", None)
    return taumem.Guard(loss, train=train, heldout=heldout, **options)


def sampled(model, generator):
    noise = torch.randn(16, 6, generator=generator)
    return noise - model(noise, torch.ones(16))


# --- the training is as if nobody had looked --------------------------------------------------------------------------


class Swapped:
    """An average that is swapped in and out, as in diffusers."""

    def store(self, parameters):
        self.stored = [p.detach().clone() for p in parameters]

    def copy_to(self, parameters):
        for p in parameters:
            p.data.mul_(0.9)

    def restore(self, parameters):
        for p, was in zip(parameters, self.stored, strict=True):
            p.data.copy_(was)


LOSSES = [loss, loss_of_global_torch, loss_of_numpy, loss_of_python]


@pytest.mark.parametrize("own_loss", LOSSES, ids=lambda f: f.__name__)
def test_a_guarded_run_is_bit_identical_to_an_unguarded_one(own_loss):
    alone, _ = train(loss=own_loss if own_loss is not loss else loss_of_global_torch)
    watched_loss = own_loss
    guard = guarded(
        loss=watched_loss,
        ema=Swapped(),
        weights="both",
        sampler=sampled,
        metrics={"weight": lambda m: random.random() + float(torch.rand(())) + np.random.rand()},  # noqa: NPY002
    )
    watched, _ = train(guard, loss=own_loss if own_loss is not loss else loss_of_global_torch)
    assert len(guard.record.steps) >= 8
    assert same(state_of(alone), state_of(watched))


def test_under_autocast_too_where_casts_are_cached():
    def run(guard):
        torch.manual_seed(0)
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        with torch.autocast("cpu", torch.bfloat16):
            for step in range(1, 30):
                if guard is not None:  # before the step: its casts must not be found by the forward pass
                    guard(model, step)
                error = loss_of_global_torch(model, TRAIN[:8], None).mean()
                optimizer.zero_grad()
                error.backward()
                optimizer.step()
        return state_of(model)

    assert same(run(None), run(guarded(loss=loss_of_global_torch)))


@pytest.mark.parametrize("raises", [False, True])
def test_everything_is_put_back_also_when_the_loss_raises(raises):
    class Meter:
        def __init__(self):
            self.seen = [1]

    meter = Meter()
    inner = meter.seen
    model = torch.nn.ModuleDict({"net": Net(), "frozen": torch.nn.Dropout()})
    model["frozen"].eval()
    model["net"].register_buffer("calls", torch.zeros(()))

    def loss_that_touches(model, x0, generator):
        model["net"].train()
        model["net"].calls += 1
        meter.seen.append(2)
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", True)
        random.random()
        np.random.rand()  # noqa: NPY002
        if raises:
            raise RuntimeError("no reason")
        return matched(model["net"].eval(), x0, torch.rand(len(x0)), torch.randn(x0.shape))

    guard = guarded(loss=loss_that_touches, restores=[meter])
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), state_of(model))  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in (1, 8):
            guard(model, step)
    after = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), state_of(model))  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]
    assert same(before[3], after[3])
    assert model["net"].training
    assert not model["frozen"].training
    assert torch.is_grad_enabled()
    assert not torch.is_autocast_enabled("cpu")
    assert meter.seen == [1]
    assert meter.seen is inner


def test_a_model_of_several_parts_is_handed_on_as_it_is():
    parts = {"a": Net(), "b": torch.nn.Linear(6, 6)}

    def of_parts(model, x0, generator):
        assert not model["a"].training
        t = torch.rand(len(x0), generator=generator)
        return matched(lambda xt, at: model["b"](model["a"](xt, at)), x0, t, torch.randn(x0.shape, generator=generator))

    guard = guarded(loss=of_parts, strict=True)
    assert guard(parts, 8) is False
    assert guard.record.steps == [8]
    assert parts["a"].training


# --- what it measures -------------------------------------------------------------------------------------------------


def test_the_losses_are_those_that_the_loop_would_see():
    model = Net().eval()

    def without_noise(model, x0, generator):
        return matched(model, x0, torch.full((len(x0),), 0.5), torch.zeros_like(x0))

    guard = guarded(loss=without_noise, deterministic=True, strict=True)
    guard.look(model, 1)
    with torch.no_grad():
        expected = without_noise(model, TRAIN, None), without_noise(model, HELDOUT, None)
    for name, losses in zip(("train_loss", "heldout_loss"), expected, strict=True):
        curve = guard.record.curve(name)
        assert curve.values[0] == pytest.approx(float(losses.double().mean()), rel=1e-6)
        np.testing.assert_allclose(curve.items[0], losses.numpy(), rtol=1e-5)
    gap = 1 - float(expected[0].mean() / expected[1].mean())
    assert guard.record.curve("gap").values[0] == pytest.approx(gap, abs=1e-5)


HOLDERS = {
    "array": lambda x: x.numpy(),
    "dict": lambda x: {"x0": x, "place": torch.arange(len(x))},
    "tuple": lambda x: (x, torch.arange(len(x))),
    "list": list,
    "Dataset": TensorDataset,
    "DataLoader": lambda x: DataLoader(TensorDataset(x), batch_size=3, shuffle=True),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_items_give_the_same_numbers_whatever_holds_them(holder):
    def of_any(model, items, generator):
        x0 = items["x0"] if isinstance(items, dict) else items[0] if isinstance(items, list | tuple) else items
        return loss(model, x0, generator)

    torch.manual_seed(0)
    model = Net()
    found = []
    for hold in (lambda x: x, HOLDERS[holder]):
        guard = taumem.Guard(of_any, train=hold(TRAIN), heldout=hold(HELDOUT), strict=True)
        guard.look(model, 3)
        found.append([(m.key, m.value) for m in guard.record.measurements])
    assert found[0] == found[1]


def test_the_same_items_meet_the_same_noise_at_every_look_and_in_both_sets():
    model = Net()
    guard = guarded(train=TRAIN, heldout=torch.cat([TRAIN[:12] + 1e-6, HELDOUT[:12]]), strict=True)
    guard.look(model, 1)
    guard.look(model, 2)
    train_items, heldout_items = guard.record.curve("train_loss").items, guard.record.curve("heldout_loss").items
    assert (train_items[0] == train_items[1]).all()
    np.testing.assert_allclose(train_items[0][:12], heldout_items[0][:12], rtol=1e-3)


@pytest.mark.parametrize("timesteps", [None, 1000])
def test_times_give_losses_and_gaps_per_noise_level(timesteps):
    seen = set()

    def at_times(model, x0, generator, t):
        seen.update(t.tolist())
        t = t if timesteps is None else (t + 0.5) / timesteps
        return matched(model, x0, t, torch.randn(x0.shape, generator=generator))

    guard = guarded(loss=at_times, times=(0.2, 0.6), timesteps=timesteps, strict=True)
    guard.look(Net(), 1)
    assert seen == ({200, 600} if timesteps else set(torch.tensor([0.2, 0.6]).tolist()))
    by_time = [guard.record.curve("train_loss", t).values[0] for t in (0.2, 0.6)]
    assert guard.record.curve("train_loss").values[0] == pytest.approx(np.mean(by_time))
    assert {m.t for m in guard.record.measurements if m.quantity == "gap"} == {None, 0.2, 0.6}


def test_the_average_is_asked_however_it_is_held():
    torch.manual_seed(0)
    model = Net()
    average = AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    for p in average.module.parameters():
        p.data.mul_(0.9)
    values = {}
    for name, options in {
        "raw": {},
        "module": {"ema": average},
        "swapped": {"ema": Swapped()},
        "both": {"ema": Swapped(), "weights": "both"},
    }.items():
        before = state_of(model)
        guard = guarded(strict=True, **options)
        guard.look(model, 1)
        assert same(before, state_of(model))
        values[name] = guard.record.curve("train_loss").values[0]
        assert guard.record.header.weights == ("raw" if name == "raw" else "ema")
    assert values["module"] == pytest.approx(values["swapped"], rel=1e-5)
    assert values["both"] == values["swapped"] != values["raw"]


def test_optimizer_and_metrics_are_recorded():
    guard = guarded(
        optimizer=None, metrics={"reward": lambda model: 3.0, "score": lambda model: torch.tensor([1.0, 3])}
    )
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.99))
    guard = guarded(
        optimizer=optimizer, metrics={"reward": lambda model: 3.0, "score": lambda m: torch.tensor([1.0, 3])}
    )
    train(guard, model=model, optimizer=optimizer, steps=9)
    record = guard.record
    assert record.curve("learning_rate").values[0] == pytest.approx(2e-3)
    assert record.curve("reward").values.tolist() == [3.0]
    assert record.curve("score").values.tolist() == [2.0]
    roots = [(optimizer.state[p]["exp_avg_sq"] / (1 - 0.99**9)).sqrt().flatten() for p in model.parameters()]
    guard.look(model, 9)
    assert record.curve("root_second_moment").values[-1] == pytest.approx(float(torch.cat(roots).mean()), rel=1e-5)


def test_effective_time_is_counted_at_every_call_and_goes_on_where_it_was_saved(tmp_path):
    def run(first: int, last: int, model, optimizer, guard) -> None:
        for step in range(first, last + 1):
            optimizer.zero_grad()
            loss(model, TRAIN[:4], torch.Generator().manual_seed(step)).mean().backward()
            optimizer.step()
            guard(model, step)

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    with guarded(optimizer=optimizer, folder=tmp_path) as guard:
        run(1, 21, model, optimizer, guard)
    time = guard.record.curve("effective_time")
    assert time.values == pytest.approx(0.02 * time.steps)
    again = guarded(optimizer=optimizer, folder=tmp_path)
    again.load_state_dict(json.loads(json.dumps(guard.state_dict())))  # step 21 needed no look
    run(22, 40, model, optimizer, again)
    time = again.record.curve("effective_time")
    assert time.values == pytest.approx(0.02 * time.steps)


def test_of_a_run_that_goes_on_without_its_state_no_effective_time_is_known(tmp_path):
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    with guarded(optimizer=optimizer, folder=tmp_path) as guard:
        train(guard, model=model, optimizer=optimizer, steps=16)
        known = len(guard.record.curve("effective_time"))
    with guarded(optimizer=optimizer, folder=tmp_path) as guard:
        guard.look(model, 17)
        assert len(guard.record.curve("effective_time")) == known


def test_twins_have_a_gap_of_their_own_without_held_out_items():
    model, twin = Net(), Net()
    guard = guarded(heldout=None, twin=(twin, HELDOUT), rule="balanced", strict=True)
    guard.look(model, 1)
    other = taumem.Guard(loss, train=HELDOUT, twin=(model, TRAIN), rule="balanced", strict=True)
    other.look(twin, 1)
    gaps = [g.record.curve("gap_sym").values[0] for g in (guard, other)]
    assert gaps[0] == pytest.approx(gaps[1], abs=1e-9)
    assert twin.training


def test_copies_are_counted_where_there_is_a_sampler():
    def copying(model, generator):
        return TRAIN[:16] + 1e-4 * torch.randn(16, 6, generator=generator)

    guard = guarded(sampler=copying, strict=True)
    guard.look(Net(), 64)
    assert guard.record.curve("copy_fraction").values.tolist() == [1.0]
    assert guard.record.curve("copy_fraction_chance").values[0] < 0.5


# --- when it looks ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hook_that_fires_every_k_steps_loses_no_look():
    each = guarded()
    train(each, steps=80)
    some = guarded()
    train(some, steps=80, each=5)
    assert len(each.record.steps) == len(taumem.LogCadence().steps(80))
    due = {5 * -(-step // 5) for step in taumem.LogCadence().steps(80)}
    assert some.record.steps == sorted(step for step in due if step <= 80)


def test_nothing_is_asked_where_nothing_is_due():
    asked = []

    def counted(model, x0, generator):
        asked.append(1)
        return loss(model, x0, generator)

    guard = guarded(loss=counted, cadence=taumem.LogCadence(first=1000))
    train(guard, steps=50)
    assert 0 < len(asked) < 10  # the loss is tried once
    assert guard.record.steps == []
    assert guard.verdict.stop is False


def test_an_endless_number_of_steps_costs_no_memory_of_them():
    guard = guarded(cadence=taumem.LogCadence(first=10, per_doubling=1))
    model = Net()
    for step in (1, 10, 20, 40, 10**12):
        guard(model, step)
    assert guard.record.steps == [10, 20, 40, 10**12]


# --- what it says -----------------------------------------------------------------------------------------------------


ONSET = Interval(20.5, 20.5, 30.0, confidence=0.5)


@pytest.mark.parametrize("on_onset", ["warn", "stop", "checkpoint"])
def test_what_is_done_at_the_onset(on_onset, tmp_path):
    guard = guarded(heldout=None, forecast=ONSET, on_onset=on_onset, folder=tmp_path)
    if on_onset == "stop":
        _, stopped = train(guard, steps=40)
        assert stopped == 21
        assert guard(Net(), 22) is True
    else:
        with pytest.warns(TaumemWarning, match=r"step 21") as told:
            _, stopped = train(guard, steps=40)
        assert stopped == 40
        assert len([w for w in told if issubclass(w.category, TaumemWarning)]) == 1
    assert guard.should_stop
    assert guard.verdict.stop
    assert guard.verdict.since == pytest.approx(20, abs=1)


def test_all_items_may_train_where_the_law_says_when_to_stop():
    guard = taumem.Guard(loss, train=TRAIN, forecast=ONSET, on_onset="stop", batch_size=8)
    assert train(guard, steps=40)[1] == 21
    assert "no held-out items" in " ".join(guard.verdict.not_checked)
    assert guard.verdict.examples == guard.verdict.step * 8


def test_the_verdict_names_a_checkpoint_that_exists_and_that_is_to_be_left():
    guard = guarded(rule="quality")
    model = Net()
    for step in range(1, 60):
        guard(model, step)
        if step % 10 == 0:
            guard.saved(step, f"checkpoint-{step}")
    best = guard.verdict.checkpoint
    assert best is not None
    assert best.path == f"checkpoint-{best.step}"
    assert guard.keeps(best.step)
    assert not guard.keeps(best.step + 10)
    guard.deleted(best.step)
    assert guard.verdict.checkpoint.step != best.step


def test_sinks_are_told_under_names_that_trackers_know():
    told = []

    class Tracker:
        def log(self, numbers, step):
            told.append((step, numbers))

    guard = guarded(sinks=[lambda numbers, step: told.append((step, numbers)), Tracker()], batch_size=8)
    train(guard, steps=12)
    assert [step for step, _ in told] == [8, 8, 10, 10, 11, 11]
    numbers = told[0][1]
    assert {"taumem/train_loss", "taumem/heldout_loss", "taumem/gap", "taumem/gap_se"} <= numbers.keys()
    assert numbers["taumem/samples_seen"] == 64


# --- interrupted ------------------------------------------------------------------------------------------------------


def test_a_run_that_was_killed_goes_on_without_gap_or_duplicate(tmp_path):
    whole = guarded(folder=tmp_path / "whole")
    train(whole, steps=60)

    first = guarded(folder=tmp_path / "killed")
    model, _ = train(first, steps=40)
    saved = json.loads(json.dumps(first.state_dict()))
    kept = copy.deepcopy(state_of(model))
    first.close()

    second = guarded(folder=tmp_path / "killed")
    second.load_state_dict(saved)
    again = Net()
    again.load_state_dict(kept)
    for step in range(41, 61):
        second(again, step)
    assert second.record.steps == whole.record.steps
    lines = (tmp_path / "killed" / "measurements.jsonl").read_text().splitlines()
    keys = [(m["step"], m["quantity"], m.get("t")) for m in map(json.loads, lines)]
    assert len(keys) == len(set(keys))


def test_a_metric_that_fails_leaves_out_its_number_alone():
    answers = iter([float("nan"), 2.0])

    def moody(model):
        answer = next(answers, None)
        if answer is None:
            raise OSError("no simulator")
        return answer

    guard = guarded(metrics={"reward": moody})
    with pytest.warns(TaumemWarning, match="reward.*no finite number"):
        guard(Net(), 8)
    guard(Net(), 10)
    with pytest.warns(TaumemWarning, match="reward.*no simulator"):
        guard(Net(), 11)
    assert guard.record.curve("reward").steps.tolist() == [10]
    assert guard.record.curve("gap").steps.tolist() == [8, 10, 11]


def test_a_sink_that_fails_is_told_and_looks_go_on():
    def lost(numbers, step):
        raise ConnectionError("gone")

    guard = guarded(sinks=[lost])
    with pytest.warns(TaumemWarning, match="a sink could not be told of step 8: gone"):
        guard(Net(), 8)
    assert guard.record.steps == [8]


def test_a_run_that_goes_on_without_its_record_is_told():
    guard = guarded()
    train(guard, steps=20)
    with pytest.warns(TaumemWarning, match="has no look before it"):
        guarded().load_state_dict(guard.state_dict())


def test_weights_are_put_back_also_when_the_average_cannot():
    class Broken(Swapped):
        def restore(self, parameters):
            raise MemoryError("no room")

    model = Net()
    before = state_of(model)
    guard = guarded(ema=Broken())
    with pytest.warns(TaumemWarning, match="no room"):
        guard(model, 8)
    assert same(before, state_of(model))


def test_the_average_of_a_part_of_the_model_is_asked_of_that_part():
    class OfOne(Swapped):
        def __init__(self, parameters):
            self.shadow_params = [p.detach().clone() * 0.5 for p in parameters]

        def copy_to(self, parameters):
            for p, shadow in zip(parameters, self.shadow_params, strict=False):
                p.data.copy_(shadow)

    first, second = torch.nn.Linear(6, 6), Net()
    seen = {}

    def of_both(models, x0, generator):
        seen["first"] = models[0].weight.clone()
        seen["second"] = models[1].layers[0].weight.clone()
        return loss(models[1], x0, generator)

    guard = guarded(loss=of_both, ema=OfOne(second.parameters()), strict=True)
    guard.look((first, second), 1)
    assert torch.equal(seen["first"], first.weight)
    assert torch.equal(seen["second"], second.layers[0].weight * 0.5)
    with pytest.raises(ConfigError, match="ema averages"):
        guarded(loss=of_both, ema=OfOne([torch.zeros(2)]), strict=True).look((first, second), 1)


def test_a_run_that_is_started_again_in_its_folder_is_the_same_run(tmp_path):
    for _ in range(2):
        guard = guarded(folder=tmp_path)
        train(guard, steps=30)
        guard.close()
    assert guard.record.steps == taumem.LogCadence().steps(30)


def test_looks_that_are_made_again_with_other_numbers_are_no_new_facts_and_no_news(tmp_path):
    first = guarded(folder=tmp_path)
    train(first, steps=40)
    before = [(m.key, m.value) for m in first.record.measurements]
    first.close()
    again = guarded(folder=tmp_path)
    train(again, steps=40, seed=1)  # as on a GPU, where resumed training is not the same to the bit
    assert [(m.key, m.value) for m in again.record.measurements] == before


def test_the_state_is_of_plain_types():
    guard = guarded()
    guard.saved(3, Path("somewhere"))
    train(guard, steps=20)
    state = guard.state_dict()
    assert json.loads(json.dumps(state)) == state
    with pytest.raises(ConfigError, match="not the state of a guard"):
        guard.load_state_dict({"version": 1})


def test_an_onset_is_remembered_by_the_record(tmp_path):
    guard = guarded(folder=tmp_path, forecast=ONSET, heldout=HELDOUT, rule="forecast", on_onset="stop")
    train(guard, steps=40)
    state = guard.state_dict()
    guard.close()
    again = guarded(folder=tmp_path, forecast=ONSET, heldout=HELDOUT, rule="forecast", on_onset="stop")
    assert not again.should_stop
    again.load_state_dict(state)
    assert again.should_stop


# --- what is wrong is said --------------------------------------------------------------------------------------------


def seeded_by_itself(model, x0, generator):
    return loss(model, x0, torch.Generator().manual_seed(0))


def drawn_elsewhere(model, x0, generator, source=np.random.default_rng()):  # noqa: B008
    return matched(model, x0, torch.rand(len(x0)), torch.from_numpy(source.standard_normal(x0.shape)).float())


WRONG = {
    "a mean": (lambda m, x, g: loss(m, x, g).mean(), "a mean or sum over the batch"),
    "not one number per item": (lambda m, x, g: torch.rand(len(x), 6), "not one number per item"),
    "a float": (lambda m, x, g: 3.0, "returned float"),
    "not finite": (lambda m, x, g: loss(m, x, g) / 0, "is not finite"),
    "an own source": (drawn_elsewhere, "asked twice"),
    "an own seed": (seeded_by_itself, "deterministic=True"),
    "raises": (lambda m, x, g: x.image, r"raised AttributeError.* float32\[8, 6\] on cpu"),
    "other arguments": (lambda m, x: x, "raised TypeError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_loss_that_cannot_be_used_is_told_once_and_training_goes_on(name):
    wrong, told = WRONG[name]
    guard = guarded(loss=wrong)
    with pytest.warns(TaumemWarning, match=f"the guard is off from step 1 on.*{told}") as warned:
        train(guard, loss=loss_of_global_torch, steps=20)
    assert len([w for w in warned if issubclass(w.category, TaumemWarning)]) == 1
    assert not guard.should_stop
    assert str(guard.verdict).startswith("The guard is off since step 1")
    with pytest.raises(ConfigError, match=told):
        guarded(loss=wrong, strict=True)(Net(), 1)


def test_a_loss_that_ignores_its_time_is_refused():
    guard = guarded(loss=lambda m, x, g, t: loss(m, x, g), times=(0.2, 0.6), strict=True)
    with pytest.raises(ConfigError, match="ignores the t"):
        guard(Net(), 1)


def test_a_loss_with_noise_that_is_said_to_have_none_is_refused():
    with pytest.raises(ConfigError, match="has noise"):
        guarded(deterministic=True, strict=True)(Net(), 1)


def test_a_network_whose_output_is_still_zero_is_no_fault_of_the_loss():
    class Zero(Net):
        def forward(self, xt, t):
            return 0 * super().forward(xt, t)

    def of_data(model, x0, generator):  # a network that says nothing is asked under noise all the same
        noise = torch.randn(x0.shape, generator=generator)
        return (model(x0 + noise, torch.rand(len(x0), generator=generator)) - x0).square().mean(1)

    assert guarded(loss=of_data, strict=True)(Zero(), 1) is False


def test_a_loss_below_zero_has_no_relative_gap_and_says_so():
    guard = guarded(loss=lambda m, x, g: loss(m, x, g) - 100)
    with pytest.warns(TaumemWarning, match="below 0"):
        train(guard, loss=loss_of_global_torch, steps=10)
    assert guard.record.curve_or_none("gap") is None
    assert guard.record.curve("heldout_loss").values[0] < 0


def test_training_that_diverges_loses_its_looks_and_no_more():
    def diverging(model, x0, generator):
        return loss(model, x0, generator) * (float("nan") if model.bad else 1)

    model = Net()
    model.bad = False
    guard = guarded(loss=diverging)
    guard(model, 8)
    model.bad = True
    with pytest.warns(TaumemWarning, match="look at step 10 is lost"):
        guard(model, 10)
    model.bad = False
    guard(model, 11)
    assert guard.record.steps == [8, 11]


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"heldout": None}, ConfigError, "nothing to judge by"),
        ({"heldout": TRAIN}, DataError, "all 24 held-out items are training items"),
        ({"heldout": TRAIN[:5].clone()}, DataError, "all 5 held-out items are training items"),
        ({"train": TRAIN[:0]}, DataError, "training items: none"),
        ({"heldout": HELDOUT[:0]}, DataError, "held-out items: none"),
        ({"heldout": None, "rule": "forecast"}, ConfigError, "needs a forecast"),
        ({"heldout": None, "forecast": 3}, ConfigError, "a Study of pilots"),
        ({"rule": "balance"}, ConfigError, "balanced"),
        ({"rule": []}, ConfigError, "a rule is"),
        ({"on_onset": "halt"}, ConfigError, "on_onset"),
        ({"on_onset": "checkpoint"}, ConfigError, "folder"),
        ({"weights": "ema"}, ConfigError, "ema="),
        ({"ema": 3}, ConfigError, "copy_to"),
        ({"batch_size": 0}, ConfigError, "batch_size"),
        ({"n_train": 0}, ConfigError, "n_train"),
        ({"n_items": 2.5}, ConfigError, "n_items"),
        ({"sinks": 3}, ConfigError, "sinks"),
        ({"metrics": [len]}, ConfigError, "metrics"),
        ({"metrics": {"gap_se": len}}, ConfigError, "name of its own"),
        ({"twin": Net()}, ConfigError, "twin"),
        ({"times": 0.5}, ConfigError, "times"),
        ({"rule": taumem.GapOpened}, ConfigError, "a rule is"),
        ({"rule": "no_copies"}, ConfigError, "needs a sampler"),
        ({"heldout": None, "rule": "quality"}, ConfigError, "needs held-out items"),
        ({"heldout": HELDOUT[:, :3]}, DataError, "must agree"),
        ({"heldout": HELDOUT.double()}, DataError, "must agree"),
        ({"train": "data/images"}, DataError, "the path 'data/images': load them"),
        ({"budget": 2}, ConfigError, "budget"),
        ({"times": (0.2, 1.5)}, ConfigError, "between 0 and 1"),
        ({"timesteps": 1}, ConfigError, "timesteps"),
        ({"n_items": 0}, ConfigError, "n_items = 0"),
        ({"optimizer": 3}, ConfigError, "optimizer"),
        ({"metrics": {"train_loss": len}}, ConfigError, "name of its own"),
        ({"heldout": None, "sampler": sampled, "forecast": ONSET}, ConfigError, "copies are counted"),
        ({"loss": 3}, ConfigError, "a loss is called"),
    ],
    ids=lambda x: str(x)[:40] if isinstance(x, str) else "",
)
def test_what_cannot_be_used_is_refused_at_once(options, kind, told):
    with pytest.raises(kind, match=told):
        guarded(**options)


def test_held_out_items_that_are_training_items_too_are_left_out():
    with pytest.warns(TaumemWarning, match="2 of 42 held-out items are training items too"):
        guard = guarded(heldout=torch.cat([HELDOUT, TRAIN[:2]]))
    assert guard.record.header.data.n_heldout == 40


def test_a_folder_of_another_run_is_refused(tmp_path):
    guarded(folder=tmp_path).close()
    with pytest.raises(RecordError, match="another"):
        guarded(folder=tmp_path, train=TRAIN[:20])


def test_a_step_that_goes_back_is_told():
    guard = guarded()
    model = Net()
    for step in (8, 10, 11, 16):
        guard(model, step)
    with pytest.warns(TaumemWarning, match="step 9 comes after step 16"):
        guard(model, 9)
    guard(model, 10)
    assert guard.record.steps == [8, 10, 11, 16]


@pytest.mark.parametrize("step", [1.5, "3", -1, None])
def test_what_is_no_step_is_told(step):
    with pytest.raises((ConfigError, TypeError)):
        guarded(strict=True)(Net(), step)


def test_a_model_without_parameters_is_told():
    guard = guarded(loss=lambda m, x, g: matched(lambda xt, t: xt, x, torch.rand(len(x)), torch.randn(x.shape)))
    with pytest.warns(TaumemWarning, match="has no parameters"):
        guard(lambda xt, t: xt, 1)


def test_a_closed_guard_looks_no_more_and_can_be_read():
    with guarded() as guard:
        train(guard, steps=20)
    assert guard(Net(), 100) is False
    assert len(guard.record.steps) == len(taumem.LogCadence().steps(20))


def test_a_guard_of_a_pretrained_model_shows_it_before_the_first_step_and_says_so(tmp_path):
    guard = taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=tmp_path, budget=None, pretrained=True, strict=True)
    model = Net()
    guard.look(model, 0)
    for step in range(1, 40):
        guard(model, step)
    record = guard.record
    assert record.header.pretrained
    assert record.steps[:2] == [0, 8]
    assert any(o.clock == "tau_gap_base[0.1]" for o in taumem.find_onsets([record]))
