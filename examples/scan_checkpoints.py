"""Which checkpoint of a LoRA to keep: a run that saved 20 of them, and the file that a scan, a guard and an audit read.

Plain torch, so that it runs anywhere: a base network that knows other images, and adapters of rank 16 that learn 24 new
ones. Run: python examples/scan_checkpoints.py. It is a probe file too: after the training that it does,

    taumem scan lora-run --with examples/scan_checkpoints.py
"""

import tempfile
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import taumem

images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)  # yours: taumem.load_images("folder")
train, heldout = images[:24], images[5000:5064]  # what the LoRA was trained on, and others of their kind


def loss(model, x0, generator=None):
    """The training's own loss, one number per item."""
    t = torch.rand(len(x0), 1, generator=generator)
    noise = torch.randn(x0.shape, generator=generator).flatten(1)
    clean = model(torch.cat([(1 - t) * x0.flatten(1) + t * noise, t], dim=1))
    return (clean - x0.flatten(1)).square().mean(dim=1)


@cache
def base():
    """The model that all checkpoints adapt, loaded once; only when it is needed, so that a guard may read this file."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(257, 384), nn.SiLU(), nn.Linear(384, 384), nn.SiLU(), nn.Linear(384, 256))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(600):
        optimizer.zero_grad()
        upside_down = images[1000 + torch.randint(2000, (32,))].flip(2)  # it knows something else
        loss(model, upside_down).mean().backward()
        optimizer.step()
    return model.requires_grad_(False)


class Adapted(nn.Module):
    """A linear layer of the base, with a low-rank correction."""

    def __init__(self, layer, rank=16):
        super().__init__()
        self.layer = layer
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x):
        return self.layer(x) + x @ self.down.T @ self.up.T


def adapted():
    return nn.Sequential(*(Adapted(part) if isinstance(part, nn.Linear) else part for part in base()))


def load(path):
    model = adapted()
    missing, unknown = model.load_state_dict(taumem.load_weights(path), strict=False)  # the adapters alone are saved
    assert not unknown  # which strict=False would hide: nothing would be loaded
    assert all(".layer." in name for name in missing)
    return model


def sample(model, n, generator):
    x = torch.randn(n, 256, generator=generator)
    for t in torch.linspace(1, 0.05, 20):
        clean = model(torch.cat([x, t.expand(n, 1)], dim=1))
        x = x + 0.05 / t * (clean - x)
    return x.view(n, 1, 16, 16)


def train_and_save(folder, steps=640, every=32):
    """A trainer as others are: a checkpoint now and then, and no question asked."""
    model = adapted()
    torch.manual_seed(1)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss(model, train[torch.randint(len(train), (8,))]).mean().backward()
        optimizer.step()
        if step % every == 0:
            weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
            (folder / f"checkpoint-{step}").mkdir(parents=True)
            save_file(weights, folder / f"checkpoint-{step}" / "adapters.safetensors")


def main(folder):
    train_and_save(folder / "lora-run")
    found = taumem.scan(folder / "lora-run", __file__, folder=folder / "scan")
    print(found)
    return found


if __name__ == "__main__":
    main(Path(tempfile.mkdtemp(prefix="scan-")))
