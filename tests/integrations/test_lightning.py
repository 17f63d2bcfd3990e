"""With a stand-in for the Trainer; real_lightning.py has the real one."""

import importlib
import sys
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import pytest
from loops import loss
from stand_ins import ToldGuard, Training, guard
from torch import nn

from taumem.analysis.stopping import Reason

NAMES = ("lightning", "lightning.pytorch", "pytorch_lightning")


class Callback:
    pass


class OtherCallback:
    pass


@pytest.fixture
def load(monkeypatch):
    def load(**installed):
        for name in (*NAMES, "taumem.integrations.lightning"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        for name, callback in installed.items():
            module = ModuleType(name)
            module.Callback = callback
            monkeypatch.setitem(sys.modules, name.replace("__", "."), module)
        return importlib.import_module("taumem.integrations.lightning").LightningGuard

    yield load
    sys.modules.pop("taumem.integrations.lightning", None)


class Trainer:
    def __init__(self, *savers):
        self.global_step, self.should_stop, self.ckpt_path = 0, False, None
        self.precision_plugin = SimpleNamespace(forward_context=nullcontext)
        self.checkpoint_callbacks = list(savers)
        self.logged = []
        self.loggers = [SimpleNamespace(log_metrics=lambda numbers, step: self.logged.append((step, numbers)))]


class Module(nn.Module):
    def __init__(self, model=None):
        super().__init__()
        self.model, self.logged = model, []

    def log_dict(self, numbers, **how):
        self.logged.append((numbers, how))


def batches(callback, trainer, module, steps, accumulate=1, update=lambda: None):
    callback.on_train_start(trainer, module)
    for micro in range(1, steps * accumulate + 1):
        if micro % accumulate == 0:
            update()
            trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, None, micro - 1)


@pytest.mark.parametrize(
    "names", [["lightning__pytorch"], ["pytorch_lightning"], ["lightning__pytorch", "pytorch_lightning"]]
)
def test_it_is_a_callback_of_whichever_package_is_in_use(load, names):
    kinds = dict(zip(names, (Callback, OtherCallback), strict=False))
    adapter = load(**kinds)
    assert all(issubclass(adapter, kind) for kind in kinds.values())


def test_it_stops_the_trainer_and_says_why(load):
    adapter, told, trainer = load(lightning__pytorch=Callback), ToldGuard(stop_at=3), Trainer()
    callback = adapter(told)
    batches(callback, trainer, Module(), 2)
    assert not trainer.should_stop
    assert (callback.stopping_reason, callback.stopping_reason_message) == (Reason.NO_ONSET, None)
    trainer.global_step = 3
    callback.on_train_batch_end(trainer, Module(), None, None, 2)
    assert trainer.should_stop
    assert (callback.stopping_reason, callback.stopping_reason_message) == (Reason.GAP_OPENED, "The gap opened.")


def test_nothing_is_asked_while_gradients_accumulate(load):
    told = ToldGuard()
    batches(load(lightning__pytorch=Callback)(told), Trainer(), Module(), 3, accumulate=4)
    assert told.steps == [1, 2, 3]


def test_its_numbers_reach_loggers_at_their_step_and_other_callbacks(load, tmp_path):
    def of_module(module, items, generator):
        return loss(module.model, items, generator)

    training, trainer = Training(), Trainer()
    module, watched = Module(training.model), guard(tmp_path, loss=of_module)
    batches(load(lightning__pytorch=Callback)(watched), trainer, module, 10, update=training.update)
    assert [step for step, _ in trainer.logged] == [8, 10]
    assert [how for _, how in module.logged] == [{"on_step": True, "on_epoch": False, "logger": False}] * 2
    assert trainer.logged[0][1]["taumem/gap"] == watched.record.curve("gap").values[0]
    watched.close()
    # Resumed, the last look is told again at its own step: callbacks that watch it have forgotten it.
    again = Trainer()
    batches(load(lightning__pytorch=Callback)(guard(tmp_path, loss=of_module)), again, module, 1)
    assert [step for step, _ in again.logged] == [10]


def test_checkpoints_are_found_at_the_step_at_which_they_were_made(load, tmp_path):
    saver = SimpleNamespace(best_k_models={}, best_model_path="", last_model_path="")
    told, trainer = ToldGuard(best=2), Trainer(saver)
    callback = load(lightning__pytorch=Callback)(told)
    former = None
    for step in range(1, 7):
        trainer.global_step = step
        callback.on_train_batch_end(trainer, Module(), None, None, step)
        if step % 2 == 0:  # as ModelCheckpoint does with save_top_k=1: after all other callbacks
            callback.on_save_checkpoint(trainer, Module(), {})
            saver.best_model_path = str(tmp_path / f"step={step}.ckpt")
            (tmp_path / f"step={step}.ckpt").write_text("weights")
            if former:
                (tmp_path / f"step={former}.ckpt").unlink()
            former = step
    callback.on_train_end(trainer, Module())
    assert told.checkpoints == {
        2: str(tmp_path / "_taumem-kept" / "step-2" / "step=2.ckpt"),
        6: str(tmp_path / "step=6.ckpt"),
    }


def test_its_state_is_that_of_the_guard_and_it_knows_what_it_goes_on_from(load, tmp_path):
    adapter = load(lightning__pytorch=Callback)
    first, second, trainer = adapter(ToldGuard()), adapter(ToldGuard()), Trainer()
    second.load_state_dict(first.state_dict())
    assert second.guard.loaded == first.guard.state_dict()
    assert first.state_key == "LightningGuard[told]"
    trainer.global_step, trainer.ckpt_path = 40, str(tmp_path / "step=40.ckpt")
    second.on_train_start(trainer, Module())
    assert second.guard.checkpoints == {40: str(tmp_path / "step=40.ckpt")}
