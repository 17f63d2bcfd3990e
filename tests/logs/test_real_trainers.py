"""Logs that the trainers themselves wrote."""

import pytest
import torch

from taumem.logs import read_logs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class Net(torch.nn.Module):
    """Fits a line, and says its loss as Transformers wants it."""

    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 1)

    def forward(self, x, labels):
        predicted = self.line(x)
        return {"loss": (predicted - labels).square().mean(), "logits": predicted}


def items(n):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(n))
    return [{"x": row, "labels": row.sum()[None]} for row in x]


def test_the_trainer_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=60, eval_strategy="steps", eval_steps=5, logging_steps=2,
        save_steps=20, per_device_train_batch_size=4, report_to=["tensorboard"], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(Net(), arguments, train_dataset=items(32), eval_dataset=items(16))
    trainer.train()
    trainer.save_state()
    logged = {row["step"]: row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row}
    (log,) = read_logs(tmp_path)
    assert (log.heldout_tag, log.axis) == ("eval_loss", "steps")
    assert dict(zip(log.heldout.steps.tolist(), log.heldout.values.tolist(), strict=True)) == pytest.approx(logged)
    assert len(logged) == 12


def test_the_csv_logger_of_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.seen = Net(), {}

        def training_step(self, batch, index):
            loss = self.net(**batch)["loss"]
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", self.net(**batch)["loss"])

        def on_validation_epoch_end(self):
            self.seen[self.global_step] = self.trainer.callback_metrics["val_loss"].item()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-2)

    logger = lightning.loggers.CSVLogger(tmp_path)
    module = Module()
    lightning.Trainer(
        max_epochs=12, logger=logger, accelerator="cpu", log_every_n_steps=2, num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    ).fit(
        module,
        torch.utils.data.DataLoader(items(32), batch_size=8),
        torch.utils.data.DataLoader(items(16), batch_size=16),
    )  # fmt: skip
    (log,) = read_logs(tmp_path)
    assert (log.heldout_tag, log.axis, log.format) == ("val_loss", "steps", "CSV")
    assert len(log.heldout) == 12
    assert log.heldout.values.tolist() == pytest.approx(list(module.seen.values()), rel=1e-5)
