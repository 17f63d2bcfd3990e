"""A training loop that knows nothing of taumem, for the tests of its guard."""

import random

import numpy as np
import torch
from torch import nn

TRAIN = torch.randn(24, 6, generator=torch.Generator().manual_seed(1))
HELDOUT = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))


class Net(nn.Module):
    """A network with dropout, and with a buffer that evaluation does not change."""

    def __init__(self, width=32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(7, width), nn.BatchNorm1d(width), nn.SiLU(), nn.Dropout(0.1), nn.Linear(width, 6)
        )

    def forward(self, xt, t):
        return self.layers(torch.cat([xt, t[:, None]], dim=1))


class Plain(nn.Module):
    """A network without dropout, that memorizes in some hundred steps."""

    def __init__(self, width=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(7, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 6)
        )

    def forward(self, xt, t):
        return self.layers(torch.cat([xt, t[:, None]], dim=1))


def matched(model, x0, t, noise):
    """A flow-matching loss, one number per item."""
    xt = (1 - t[:, None]) * x0 + t[:, None] * noise
    return (model(xt, t) - (noise - x0)).square().mean(dim=1)


def loss(model, x0, generator):
    t = torch.rand(len(x0), generator=generator, device=x0.device)
    return matched(model, x0, t, torch.randn(x0.shape, generator=generator, device=x0.device))


def loss_of_global_torch(model, x0, generator):
    return matched(model, x0, torch.rand(len(x0)), torch.randn(x0.shape))


def loss_of_numpy(model, x0, generator):
    noise = torch.from_numpy(np.random.standard_normal(x0.shape)).float()  # noqa: NPY002
    return matched(model, x0, torch.rand(len(x0)), noise)


def loss_of_python(model, x0, generator):
    t = torch.tensor([random.random() for _ in x0])
    return matched(model, x0, t, torch.randn(x0.shape))


def train(guard=None, *, steps=60, seed=0, loss=loss, train=TRAIN, each=1, model=None, start=1, optimizer=None):
    """Train as people do: everything from the global random state. Gives the model and where it stopped."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    model = model or Net()
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(start, steps + 1):
        x0 = train[torch.randperm(len(train))[:8]]
        error = loss(model, x0, None).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        if guard is not None and step % each == 0 and guard(model, step):
            return model, step
    return model, steps


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)
