"""Flow matching under a guard: gaps per diffusion time, copies among samples, averaged weights. Plain torch.

Run: python examples/guard_flow_matching.py
"""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import taumem

images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
train_items, heldout_items = images[:16], images[5000:5256]


class Net(nn.Module):
    """From images at time t to their velocity; t is a plane of its own."""

    def __init__(self, width=32):
        super().__init__()
        self.enter = nn.Conv2d(2, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.deep = nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1)
        self.rise = nn.ConvTranspose2d(2 * width, 2 * width, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4 * width, width, 4, stride=2, padding=1)
        self.leave = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, xt, t):
        plane = t[:, None, None, None].expand(-1, 1, *xt.shape[2:])
        high = nn.functional.silu(self.enter(torch.cat([xt, plane], dim=1)))
        middle = nn.functional.silu(self.down(high))
        low = nn.functional.silu(self.rise(nn.functional.silu(self.deep(middle))))
        return self.leave(torch.cat([nn.functional.silu(self.up(torch.cat([low, middle], dim=1))), high], dim=1))


def loss(model, x0, generator=None, t=None):
    """The squared error of the velocity along a straight line from data (t = 0) to noise (t = 1)."""
    t = torch.rand(len(x0), generator=generator) if t is None else t
    noise = torch.randn(x0.shape, generator=generator)
    at = t[:, None, None, None]
    return (model((1 - at) * x0 + at * noise, t) - (noise - x0)).square().flatten(1).mean(dim=1)


def sample(model, generator, n=64, steps=16):
    """Follow the velocity from noise to data."""
    x = torch.randn(n, 1, 16, 16, generator=generator)
    for k in range(steps, 0, -1):
        x = x - model(x, torch.full((n,), k / steps)) / steps
    return x


def main(steps=1500):
    torch.manual_seed(0)
    model = Net()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    guard = taumem.Guard(
        loss,
        train=train_items,
        heldout=heldout_items,
        rule=["balanced", "no_copies"],
        on_onset="stop",
        times=(0.15, 0.35, 0.55),
        sampler=sample,
        ema=average,
        batch_size=16,
        budget=None,  # so short a run may look as often as it likes
    )
    for step in range(1, steps + 1):
        x0 = train_items[torch.randint(len(train_items), (16,))]
        optimizer.zero_grad()
        loss(model, x0).mean().backward()
        optimizer.step()
        average.update_parameters(model)
        if guard(model, step):
            break
    for t in (0.15, 0.35, 0.55):
        gap = guard.record.curve("gap", t)
        print(f"gap at t = {t:.2f}: {gap.values[-1]:+.2f} ± {gap.se[-1]:.2f}")
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main()
