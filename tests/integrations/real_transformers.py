"""The adapter in real Trainers of Transformers: run by test_for_real.py, in a process of its own."""

import sys
from pathlib import Path

import pytest
import torch
from loops import HELDOUT, TRAIN, Net, loss, same, state_of
from stand_ins import leave, stopped_in_two_processes
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ExportableState

import taumem
from taumem.integrations import TransformersGuard

STOP_AT = taumem.Interval(33.5, 33.5, 40.0, confidence=0.5)  # the first step after it is 34


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x0, labels=None):
        losses = loss(self.net, x0, None)
        return {"loss": losses.mean(), "losses": losses}


def loss_of_model(model, x0, generator):
    return loss(model.net, x0, generator)


def made(folder, **options):
    named = {"rule": ["balanced", "forecast"], "forecast": STOP_AT, "on_onset": "stop", "budget": None} | options
    return taumem.Guard(loss_of_model, train=TRAIN, heldout=HELDOUT, folder=folder, batch_size=8, strict=True, **named)


def trained(folder, *callbacks, resume=None, model=Model, **options):
    named = {"max_steps": 60, "save_steps": 10, "report_to": "none", "use_cpu": True, "disable_tqdm": True} | options
    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=8, learning_rate=3e-3, seed=0, logging_steps=10, **named
    )
    torch.manual_seed(0)
    trainer = Trainer(model(), arguments, train_dataset=[{"x0": x0} for x0 in TRAIN], callbacks=list(callbacks))
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_a_guarded_run_is_bit_identical_and_looks_when_looks_are_due(tmp_path):
    alone = trained(tmp_path / "a", max_steps=33)
    guard = made(tmp_path / "run", on_onset="warn", rule="balanced", forecast=None)
    watched = trained(tmp_path / "b", TransformersGuard(guard), max_steps=33)
    assert same(state_of(alone.model), state_of(watched.model))
    assert guard.record.steps == [8, 10, 11, 13, 16, 19, 23, 27, 32]


def test_it_stops_the_trainer(tmp_path):
    trainer = trained(tmp_path / "out", TransformersGuard(made(tmp_path / "run")))
    assert trainer.state.global_step == 34


def test_steps_are_updates_where_gradients_accumulate(tmp_path):
    guard = made(tmp_path / "run")
    trainer = trained(tmp_path / "out", TransformersGuard(guard), gradient_accumulation_steps=3)
    assert trainer.state.global_step == 34
    assert guard.record.steps[:3] == [8, 10, 11]


@pytest.mark.parametrize("restores", [False, True])
def test_a_killed_run_goes_on_with_the_guard_where_it_was_whatever_the_trainer_does_with_callbacks(tmp_path, restores):
    first = made(tmp_path / "run")
    trained(tmp_path / "out", TransformersGuard(first), max_steps=25)
    first.close()
    second, unbroken = made(tmp_path / "run"), made(tmp_path / "unbroken")
    callback = TransformersGuard(second)
    trainer = trained(tmp_path / "out", callback, resume=True, restore_callback_states_from_checkpoint=restores)
    trained(tmp_path / "out2", TransformersGuard(unbroken))
    assert trainer.state.global_step == 34
    assert callback in trainer.callback_handler.callbacks  # and not another one, built of old arguments
    assert second.record.steps == unbroken.record.steps
    assert second.state_dict()["checkpoints"].keys() == {"10", "20", "25", "30"}


def test_what_the_trainer_itself_would_do_with_the_state_of_a_callback(tmp_path):
    class Counting(TrainerCallback, ExportableState):
        def __init__(self, every=1):
            self.every, self.n = every, 0

        def on_step_end(self, *given, **named):
            self.n += 1

        def state(self):
            return {"args": {"every": self.every}, "attributes": {"n": self.n}}

    trained(tmp_path / "out", Counting(every=1), max_steps=20)
    lost = Counting(every=5)
    trained(tmp_path / "out", lost, max_steps=25, resume=True)
    assert lost.n == 5  # 20 are lost
    old = Counting(every=5)
    options = {"max_steps": 25, "resume": str(tmp_path / "out" / "checkpoint-20")}
    trainer = trained(tmp_path / "out", old, restore_callback_states_from_checkpoint=True, **options)
    (instead,) = [one for one in trainer.callback_handler.callbacks if isinstance(one, Counting)]
    assert instead is not old
    assert instead.every == 1  # the old setting


def test_the_checkpoint_to_keep_outlives_save_total_limit_and_can_be_gone_on_from(tmp_path):
    guard = made(tmp_path / "run", rule="quality", forecast=None, on_onset="warn")
    trained(tmp_path / "out", TransformersGuard(guard), save_steps=5, save_total_limit=1)
    best = guard.verdict.checkpoint
    assert Path(best.path).is_dir()
    assert len(list((tmp_path / "out").glob("checkpoint-*"))) == 1
    guard.close()
    if Path(best.path).parent != tmp_path / "out":
        again = made(tmp_path / "run", rule="quality", forecast=None, on_onset="warn")
        trainer = trained(tmp_path / "out", TransformersGuard(again), max_steps=best.step + 1, resume=best.path)
        assert trainer.state.global_step == best.step + 1


def test_numbers_go_where_those_of_the_trainer_go(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = None
    sinks = [lambda numbers, step: trainer.log(numbers)]
    guard = made(tmp_path / "run", rule="balanced", forecast=None, sinks=sinks)
    arguments = TrainingArguments(
        str(tmp_path / "out"), per_device_train_batch_size=8, max_steps=12, report_to="tensorboard", use_cpu=True,
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    trainer = Trainer(
        Model(), arguments, train_dataset=[{"x0": x0} for x0 in TRAIN], callbacks=[TransformersGuard(guard)]
    )
    trainer.train()
    told = [entry["step"] for entry in trainer.state.log_history if "taumem/gap" in entry]
    assert told == [8, 10, 11]
    folder = next(tmp_path.rglob("events.*")).parent
    tags = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert any("taumem/gap" in tag for tag in tags), tags


def test_meters_of_the_trainer_that_the_loss_writes_into_are_put_back(tmp_path):
    class Meter:
        def __init__(self):
            self.total = 0.0

    meter = Meter()

    class Metered(Model):
        def forward(self, x0, labels=None):
            out = super().forward(x0)
            meter.total += float(out["loss"].detach())
            return out

    def of_model(model, x0, generator):
        return model(x0)["losses"]

    trained(tmp_path / "a", max_steps=12, model=Metered, save_strategy="no")
    alone, meter.total = meter.total, 0.0
    guard = taumem.Guard(of_model, train=TRAIN, heldout=HELDOUT, budget=None, strict=True, restores=[meter])
    trained(tmp_path / "b", TransformersGuard(guard), max_steps=12, model=Metered, save_strategy="no")
    assert guard.record.steps == [8, 10, 11]
    assert meter.total == alone


def test_two_processes_stop_at_the_same_step(tmp_path):
    assert stopped_in_two_processes(__file__, tmp_path) == ["34", "34"]


if __name__ == "__main__":  # one of two processes
    folder = Path(sys.argv[1])
    guard = made(folder / "run")  # before the processes have met
    trainer = trained(folder / "out", TransformersGuard(guard), save_total_limit=1)
    (folder / f"stopped-{trainer.args.process_index}").write_text(str(trainer.state.global_step))
    leave()
