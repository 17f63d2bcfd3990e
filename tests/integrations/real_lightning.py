"""The adapter in real Lightning Trainers: run by test_for_real.py, in a process of its own."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from loops import HELDOUT, TRAIN, Net, loss, same, state_of
from torch.utils.data import DataLoader, TensorDataset

import taumem
from taumem.integrations import LightningGuard

pytestmark = pytest.mark.filterwarnings("ignore")
STOP_AT = taumem.Interval(33.5, 33.5, 40.0, confidence=0.5)  # the first step after it is 34


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, xt, t):
        return self.net(xt, t)

    def training_step(self, batch, index):
        return loss(self, batch[0], None).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def made(folder, **options):
    named = {"rule": ["balanced", "forecast"], "forecast": STOP_AT, "on_onset": "stop", "budget": None} | options
    return taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=folder, batch_size=8, strict=True, **named)


def fit(folder, *callbacks, max_steps=60, ckpt_path=None, module=None, **options):
    torch.manual_seed(0)
    module = module or Module()
    loader = DataLoader(TensorDataset(TRAIN), batch_size=8, shuffle=True)
    named = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False} | options
    named.setdefault("enable_checkpointing", any(isinstance(one, ModelCheckpoint) for one in callbacks))
    trainer = Trainer(
        max_steps=max_steps,
        max_epochs=-1,
        default_root_dir=folder,
        accelerator="cpu",
        callbacks=list(callbacks),
        **named,
    )
    trainer.fit(module, loader, ckpt_path=ckpt_path)
    return trainer, module


def test_a_guarded_run_is_bit_identical_and_looks_when_looks_are_due(tmp_path):
    _, alone = fit(tmp_path, max_steps=33)
    guard = made(tmp_path / "run", on_onset="warn", rule="balanced", forecast=None)
    _, watched = fit(tmp_path, LightningGuard(guard), max_steps=33)
    assert same(state_of(alone), state_of(watched))
    assert guard.record.steps == [8, 10, 11, 13, 16, 19, 23, 27, 32]


def test_it_stops_inside_an_epoch_and_says_why(tmp_path):
    callback = LightningGuard(made(tmp_path / "run"))
    trainer, _ = fit(tmp_path, callback)
    assert trainer.global_step == 34
    assert callback.stopping_reason == taumem.Reason.FORECAST
    assert callback.stopping_reason_message == callback.guard.verdict.message


def test_steps_are_updates_where_gradients_accumulate(tmp_path):
    guard = made(tmp_path / "run")
    trainer, _ = fit(tmp_path, LightningGuard(guard), accumulate_grad_batches=3)
    assert trainer.global_step == 34
    assert guard.record.steps[:3] == [8, 10, 11]


def test_a_stock_early_stopping_and_a_model_checkpoint_watch_the_numbers_of_the_guard(tmp_path):
    guard = made(tmp_path / "run", on_onset="warn", rule="balanced", forecast=None)
    stopping = EarlyStopping(monitor="taumem/gap", strict=False, patience=2, mode="max", check_on_train_epoch_end=True)
    saving = ModelCheckpoint(
        tmp_path / "kept", monitor="taumem/heldout_loss", every_n_train_steps=3, save_top_k=2,
        filename="{step}-{taumem/heldout_loss:.3f}",
    )  # fmt: skip
    fit(tmp_path, LightningGuard(guard), stopping, saving, max_steps=45)
    curve = guard.record.curve("heldout_loss")
    assert float(stopping.best_score) in [pytest.approx(gap) for gap in guard.record.curve("gap").values]
    assert float(saving.best_model_score) in [pytest.approx(loss) for loss in curve.values]


def test_loggers_get_every_look_though_the_trainer_logs_every_fiftieth_step(tmp_path):
    guard = made(tmp_path / "run", rule="balanced", forecast=None)
    logger = CSVLogger(tmp_path, name="logs", version="")
    fit(tmp_path, LightningGuard(guard), max_steps=20, logger=logger)
    rows = [line.split(",") for line in (tmp_path / "logs" / "metrics.csv").read_text().splitlines()]
    place, gap = rows[0].index("step"), rows[0].index("taumem/gap")
    assert [int(row[place]) for row in rows[1:] if row[gap]] == [8, 10, 11, 13, 16, 19]


def test_a_run_goes_on_from_a_checkpoint_that_loads_with_weights_only(tmp_path):
    unbroken = made(tmp_path / "unbroken")
    fit(tmp_path, LightningGuard(unbroken))
    first = made(tmp_path / "run")
    saving = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=10, save_top_k=-1, filename="{step}")
    fit(tmp_path, LightningGuard(first), saving, max_steps=25)
    first.close()
    path = str(tmp_path / "kept" / "step=20.ckpt")
    held = torch.load(path, weights_only=True)["callbacks"]["LightningGuard[guard]"]
    assert held["version"] == 1
    second = made(tmp_path / "run")
    trainer, _ = fit(tmp_path, LightningGuard(second), ckpt_path=path)
    assert trainer.global_step == 34
    assert second.record.steps == unbroken.record.steps
    assert second.state_dict()["checkpoints"]["20"] == path


def test_the_checkpoint_to_keep_outlives_save_top_k(tmp_path):
    guard = made(tmp_path / "run", rule="quality", forecast=None, on_onset="warn")
    saving = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=5, filename="{step}")  # keeps the last alone
    fit(tmp_path, LightningGuard(guard), saving, max_steps=60)
    best = guard.verdict.checkpoint
    assert best is not None
    assert Path(best.path).is_file()
    assert torch.load(best.path, weights_only=True)["global_step"] == best.step
    assert [path.name for path in (tmp_path / "kept").glob("*.ckpt")] == ["step=60.ckpt"]


def test_a_last_checkpoint_that_is_written_again_in_place_is_told_apart(tmp_path):
    guard = made(tmp_path / "run", rule="quality", forecast=None, on_onset="warn")
    saving = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=10, save_top_k=0, save_last=True)
    fit(tmp_path, LightningGuard(guard, copies=False), saving, max_steps=35)
    told = guard.state_dict()["checkpoints"]
    assert all(torch.load(path, weights_only=True)["global_step"] == int(step) for step, path in told.items())


def test_in_half_precision_the_loss_is_asked_as_it_is_trained(tmp_path):
    dtypes = []
    module = Module()
    module.net.layers[0].register_forward_hook(lambda layer, given, out: dtypes.append((layer.training, out.dtype)))
    guard = made(tmp_path / "run", rule="balanced", forecast=None)
    fit(tmp_path, LightningGuard(guard), max_steps=8, module=module, precision="bf16-mixed")
    assert set(dtypes) == {(True, torch.bfloat16), (False, torch.bfloat16)}


def test_two_processes_stop_at_the_same_step(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], env=environment, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "stopped-0").read_text() == (tmp_path / "stopped-1").read_text() == "34"


def test_the_other_name_of_the_package_works_too(tmp_path):
    script = f"""
import pytorch_lightning as pl, torch
from loops import HELDOUT, TRAIN, Net, loss
import taumem
from taumem.integrations import LightningGuard
class Module(pl.LightningModule):
    def __init__(self):
        super().__init__(); self.net = Net()
    def forward(self, xt, t): return self.net(xt, t)
    def training_step(self, batch, index): return loss(self, batch[0], None).mean()
    def configure_optimizers(self): return torch.optim.Adam(self.parameters())
guard = taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, budget=None, strict=True)
saving = pl.callbacks.ModelCheckpoint({str(tmp_path)!r}, every_n_train_steps=8)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(TRAIN), batch_size=8)
both = [LightningGuard(guard), saving]
trainer = pl.Trainer(max_steps=12, max_epochs=-1, logger=False, callbacks=both, accelerator="cpu")
trainer.fit(Module(), loader)
assert guard.record.steps == [8, 10, 11], guard.record.steps
assert "LightningGuard[guard]" in torch.load(saving.best_model_path, weights_only=True)["callbacks"]
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=300)


if __name__ == "__main__":  # the first of two processes: Lightning starts the other one by the same command
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    guard = made(folder / "run")
    trainer, _ = fit(folder, LightningGuard(guard), devices=2, strategy="ddp")
    (folder / f"stopped-{trainer.global_rank}").write_text(str(trainer.global_step))
