"""Watch a training loop of your own, and stop it once the held-out loss has turned.

Everything here is plain torch but for the monitor: its probe is given the loss that you train with, and asks it about
fixed training items and fixed held-out items under the same fixed noise. Run: python examples/watch_your_loop.py
"""

from pathlib import Path

import torch

import taumem
from taumem.analysis import LossTurned
from taumem.models import MLP


def your_loss(model, x0, t, noise):
    """A flow-matching loss, one number per item: taumem never needs to know what you train."""
    xt = (1 - t[:, None]) * x0 + t[:, None] * noise
    return (model(xt, t) - (noise - x0)).square().mean(dim=1)


def main(folder: Path = Path("watched"), steps: int = 1500) -> int:
    items = taumem.GaussianMixture.two_modes(8).sample(1024, torch.Generator().manual_seed(0))
    split = taumem.Split.make("mixture", items, n_heldout=512).first(32)
    model = MLP(split.item_shape, width=128)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    noise_source = taumem.GaussianDiffusion()  # the probe draws its fixed noise from it
    probe = taumem.LossGap(noise_source, {"train": split.train, "heldout": split.heldout}, loss=your_loss)
    rule = LossTurned()

    header = taumem.RunHeader(name="watched", data=split.facts, seed=0, batch_size=16, steps=steps)
    generator = torch.Generator().manual_seed(1)
    with taumem.RunRecord.open(folder, header) as record:
        monitor = taumem.Monitor(record, [probe])
        for step in range(1, steps + 1):
            x0 = split.train[torch.randint(len(split), (16,), generator=generator)]
            t, noise = torch.rand(16, generator=generator), torch.randn(x0.shape, generator=generator)
            loss = your_loss(model, x0, t, noise).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

            if step % 50 == 0:
                found = {m.quantity: m for m in monitor.look(model, step, examples=16 * step) if m.t is None}
                gap, heldout = found["gap"], found["heldout_loss"]
                print(f"step {step:5d}  held-out {heldout.value:.3f}  gap {gap.value:+.2f} ± {gap.se:.2f}")
                verdict = rule.judge(record)
                if verdict.stop:
                    break
    print(f"keep step {verdict.keep}: from there on the model learns its training set by heart")
    return verdict.keep


if __name__ == "__main__":
    main()
