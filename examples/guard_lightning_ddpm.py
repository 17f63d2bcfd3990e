"""A DDPM as a LightningModule, under a guard that stops the Trainer.

Needs: pip install 'taumem[lightning]'. Run: python examples/guard_lightning_ddpm.py
"""

import tempfile
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

import taumem
from taumem.integrations import LightningGuard

images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
train_items, heldout_items = images[:16], images[5000:5256]
alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), dim=0)  # the linear schedule of Ho et al., 2020


class DDPM(LightningModule):
    """Predicts the velocity (Salimans and Ho, 2022) at one of 1,000 timesteps."""

    def __init__(self, width=512):
        super().__init__()
        self.time = nn.Embedding(1000, 32)
        self.net = nn.Sequential(
            nn.Linear(256 + 32, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 256)
        )

    def forward(self, xt, timesteps):
        return self.net(torch.cat([xt.flatten(1), self.time(timesteps)], dim=1)).view_as(xt)

    def losses(self, x0, generator=None, timesteps=None):
        """One number per image."""
        if timesteps is None:
            timesteps = torch.randint(0, 1000, (len(x0),), generator=generator, device=x0.device)
        noise = torch.randn(x0.shape, generator=generator, device=x0.device)
        signal = alpha_bar[timesteps].view(-1, 1, 1, 1)
        xt = signal.sqrt() * x0 + (1 - signal).sqrt() * noise
        velocity = signal.sqrt() * noise - (1 - signal).sqrt() * x0
        return (self(xt, timesteps) - velocity).square().flatten(1).mean(dim=1)

    def training_step(self, batch, index):
        return self.losses(batch).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(output, max_steps=4000):
    torch.manual_seed(0)
    guard = taumem.Guard(
        lambda module, x0, generator, timesteps: module.losses(x0, generator, timesteps),
        train=train_items,
        heldout=heldout_items,
        folder=output / "guard",
        on_onset="stop",
        timesteps=1000,
        batch_size=16,
        budget=None,  # so short a run may look as often as it likes
    )
    # The Trainer keeps the last checkpoint alone; the one to keep outlives that.
    saving = ModelCheckpoint(output, every_n_train_steps=100, filename="{step}")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu", max_steps=max_steps, max_epochs=-1, callbacks=[LightningGuard(guard), saving], **quiet
    )
    trainer.fit(DDPM(), DataLoader(train_items, batch_size=16, shuffle=True))
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main(Path(tempfile.mkdtemp(prefix="guard-lightning-")))
