"""The adapter in real engines of Ignite and MONAI: run by test_for_real.py, in a process of its own."""

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from loops import HELDOUT, TRAIN, Net, loss, same, state_of
from torch.utils.data import DataLoader

import taumem
from taumem.integrations import IgniteGuard

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    # The batches after a checkpoint are others than those of the run that was killed.
    "ignore:.*when it was measured first:taumem.errors.TaumemWarning",
)
STOP_AT = taumem.Interval(33.5, 33.5, 40.0, confidence=0.5)  # the first step after it is 34


def made(folder, **options):
    named = {"rule": ["balanced", "forecast"], "forecast": STOP_AT, "on_onset": "stop", "budget": None} | options
    return taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=folder, batch_size=8, strict=True, **named)


class Loop:
    """An engine that trains; 3 iterations are an epoch."""

    def __init__(self, guard=None, *, output=None, n_saved=None, saves=10):
        torch.manual_seed(0)
        self.model = Net()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        self.engine = Engine(self.update)
        held = {"model": self.model, "optimizer": self.optimizer, "engine": self.engine}
        if guard is not None:
            self.guarded = IgniteGuard(guard, self.model)
            self.guarded.attach(self.engine)
            held["guard"] = self.guarded
        self.held = held
        if output is not None:
            checkpoint = Checkpoint(held, DiskSaver(output, require_empty=False), n_saved=n_saved)
            self.guarded.follow(self.engine, Events.ITERATION_COMPLETED(every=saves), checkpoint)

    def update(self, engine, x0):
        self.optimizer.zero_grad()
        error = loss(self.model.train(), x0, None).mean()
        error.backward()
        self.optimizer.step()
        return error.item()

    def run(self, epochs):
        self.engine.run(DataLoader(TRAIN, batch_size=8, shuffle=True), max_epochs=epochs)
        return self


def test_a_guarded_run_is_bit_identical_and_looks_when_looks_are_due(tmp_path):
    alone = Loop().run(11)
    guard = made(tmp_path, on_onset="warn", rule="balanced", forecast=None)
    watched = Loop(guard).run(11)
    assert same(state_of(alone.model), state_of(watched.model))
    assert guard.record.steps == [8, 10, 11, 13, 16, 19, 23, 27, 32]


def test_it_terminates_the_engine_inside_an_epoch(tmp_path):
    loop = Loop(made(tmp_path)).run(100)
    assert loop.engine.state.iteration == 34


def test_steps_are_updates_where_ignite_accumulates_gradients(tmp_path):
    model = torch.nn.Linear(6, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    taken = []
    optimizer.register_step_post_hook(lambda *given: taken.append(trainer.state.iteration))
    trainer = create_supervised_trainer(model, optimizer, torch.nn.functional.mse_loss, gradient_accumulation_steps=4)

    def of_linear(model, items, generator):
        noise = torch.randn(items.shape, generator=generator)
        return (model(noise) - items).square().mean(dim=1)

    guard = taumem.Guard(of_linear, train=TRAIN, heldout=HELDOUT, budget=None, strict=True)
    guarded = IgniteGuard(guard, model, accumulation=4)
    guarded.attach(trainer)
    trainer.run([(TRAIN[:8], TRAIN[:8])] * 10, max_epochs=5)
    assert len(taken) == 12
    assert guard.state_dict()["step"] >= 8
    assert guard.record.steps == [8, 10, 11]


def test_a_killed_run_goes_on_with_the_guard_where_it_was(tmp_path):
    first = made(tmp_path / "run")
    Loop(first, output=tmp_path / "out").run(8)  # 24 updates, checkpoints at 10 and 20
    first.close()
    path = tmp_path / "out" / "checkpoint_20.pt"
    second, unbroken = made(tmp_path / "run"), made(tmp_path / "unbroken")
    resumed = Loop(second)
    held = torch.load(path, weights_only=True)
    Checkpoint.load_objects(resumed.held, held)
    resumed.engine.state.epoch = resumed.engine.state.iteration // 3
    resumed.run(100)
    Loop(unbroken).run(100)
    assert resumed.engine.state.iteration == 34
    assert second.record.steps == unbroken.record.steps


def test_the_checkpoint_to_keep_outlives_n_saved(tmp_path):
    guard = made(tmp_path / "run", rule="quality", forecast=None, on_onset="warn")
    Loop(guard, output=tmp_path / "out", n_saved=1, saves=5).run(20)
    best = guard.verdict.checkpoint
    assert best is not None
    assert Path(best.path).is_file()
    assert [path.name for path in (tmp_path / "out").glob("*.pt")] == ["checkpoint_60.pt"]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_it_is_a_train_handler_of_monai(tmp_path, accumulation):
    from monai.engines import SupervisedTrainer

    torch.manual_seed(0)

    class Denoises(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x0):
            return loss(self.net, x0, None)

    def of_net(model, items, generator):
        return loss(model.net, items, generator)

    model, taken = Denoises(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    optimizer.register_step_post_hook(lambda *given: taken.append(1))
    named = {"rule": "forecast", "forecast": STOP_AT, "on_onset": "stop"}
    guard = taumem.Guard(of_net, train=TRAIN, heldout=HELDOUT, budget=None, strict=True, folder=tmp_path, **named)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=100,
        train_data_loader=DataLoader([{"image": x0, "label": x0} for x0 in TRAIN], batch_size=8, shuffle=True),
        network=model,
        optimizer=optimizer,
        loss_function=lambda losses, target: losses,
        train_handlers=[IgniteGuard(guard)],
        decollate=False,
        **({"accumulation_steps": accumulation} if accumulation > 1 else {}),
    )
    trainer.run()
    assert len(taken) == 34
    assert guard.record.steps == [8, 10, 11, 13, 16, 19, 23, 27, 32]
