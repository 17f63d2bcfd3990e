"""A run that saved checkpoints, under a guard that looked as often, and the probe files of its user."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import taumem

IMAGES = taumem.resize(taumem.load_fashion_mnist(), 8, pad_to=32).flatten(1)
TRAIN, HELDOUT = IMAGES[:16], IMAGES[5000:5048]


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 64))


def loss(model, x0, generator):
    t = 0.2 + 0.4 * torch.rand(len(x0), 1, generator=generator)
    return (model((1 - t) * x0 + t * torch.randn(x0.shape, generator=generator)) - x0).square().mean(dim=1)


PROBE = f"""
import sys

sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
import taumem
from scanned_runs import HELDOUT as heldout, TRAIN as train, Net, loss


def load(path):
    model = Net()
    model.load_state_dict(taumem.load_weights(path))
    return model
"""
SAMPLE = """

def sample(model, n, generator):
    return model(torch.randn(n, 64, generator=generator))
"""


def saved_run(folder, guard_folder):
    """Train, save 20 checkpoints, and look at the same steps; gives the guard."""
    guard = taumem.Guard(loss, train=TRAIN, heldout=HELDOUT, folder=guard_folder, budget=None, on_onset="stop")
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(1, 201):
        optimizer.zero_grad()
        loss(model, TRAIN[torch.randint(16, (16,))], None).mean().backward()
        optimizer.step()
        if step % 10 == 0:
            (folder / f"checkpoint-{step}").mkdir(parents=True)
            save_file(dict(model.state_dict()), folder / f"checkpoint-{step}" / "model.safetensors")
            guard.look(model, step)
    return guard


def probe_file(folder, text=PROBE, name="probe.py"):
    file = folder / name
    file.write_text(text)
    return file


def perturbed(folder, n, *, name="checkpoint-{step}.safetensors", every=10):
    """Checkpoints of a network that changes a little from one to the next."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = Net()
    for k in range(1, n + 1):
        with torch.no_grad():
            for p in model.parameters():
                p += 0.02 * torch.randn_like(p)
        save_file(dict(model.state_dict()), folder / name.format(step=k * every))
