"""Train on everything, and stop in time: pilots on subsets say when.

No item is given up: what is left out of a pilot is its held-out set, and in the run that counts all of them train.
Run: python examples/guard_without_heldout.py
"""

import itertools
from pathlib import Path

import torch

import taumem
from taumem.models import MLP


def loss(model, x0, generator):
    """A flow-matching loss, one number per item: taumem never needs to know what you train."""
    t = torch.rand(len(x0), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    xt = (1 - t[:, None]) * x0 + t[:, None] * noise
    return (model(xt, t) - (noise - x0)).square().mean(dim=1)


def train_on(items, guard):
    """Your training, on whatever it is given: a fresh model each time, by other draws."""
    model = MLP(tuple(items.shape[1:]), width=128)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in itertools.count(1):
        x0 = items[torch.randint(len(items), (16,))]
        optimizer.zero_grad()
        loss(model, x0, None).mean().backward()
        optimizer.step()
        if guard(model, step):
            return


def main(folder: Path = Path("guarded"), sizes=(32, 64), n_items=128) -> taumem.Verdict:
    torch.manual_seed(0)
    items = taumem.GaussianMixture.two_modes(8).sample(n_items, torch.Generator().manual_seed(0))
    study = taumem.pilot(train_on, items, loss=loss, sizes=sizes, folder=folder / "pilots", batch_size=16, n_draws=16)
    guard = taumem.Guard(
        loss, train=items, forecast=study, folder=folder / "all", batch_size=16, on_onset="stop", name="all"
    )
    train_on(items, guard)
    print(guard.verdict)
    return guard.verdict


if __name__ == "__main__":
    main()
