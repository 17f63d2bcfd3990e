"""A training loop of your own, and the three lines that stop it in time.

Plain torch but for the lines that say guard: a network, a loss, a loop. Run: python examples/guard_your_loop.py
"""

import torch
from torch import nn

import taumem

images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32).flatten(1)  # yours: any tensor [n, ...]
train_items, heldout_items = images[:32], images[5000:5256]


def loss(model, x0, generator=None):
    """Flow matching: one number per item."""
    t = torch.rand(len(x0), 1, generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    velocity = model(torch.cat([(1 - t) * x0 + t * noise, t], dim=1))
    return (velocity - (noise - x0)).square().mean(dim=1)


def main(steps=4000, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(257, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 256))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    # So short a run may look as often as it likes; a long one keeps to budget=0.02 of its time.
    guard = taumem.Guard(loss, train=train_items, heldout=heldout_items, on_onset="stop", batch_size=16, budget=None)
    for step in range(1, steps + 1):
        x0 = train_items[torch.randint(len(train_items), (16,))]
        error = loss(model, x0).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        if guard(model, step):
            break
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main()
