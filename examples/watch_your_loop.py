"""Watch a training loop of your own, and stop it where the held-out loss is lowest.

Everything here is plain torch except the probe: it is given the loss that you train with, and asks it about fixed
training items and fixed held-out items under the same fixed noise. Run: python examples/watch_your_loop.py
"""

import torch

import taumem
from taumem.models import MLP


def your_loss(model, x0, t, noise):
    """A flow-matching loss, one number per item: taumem never needs to know what you train."""
    xt = (1 - t[:, None]) * x0 + t[:, None] * noise
    return (model(xt, t) - (noise - x0)).square().mean(dim=1)


def main(steps: int = 1500) -> int:
    items = taumem.GaussianMixture.two_modes(8).sample(1024, torch.Generator().manual_seed(0))
    split = taumem.Split.make("mixture", items, n_heldout=512).first(32)
    model = MLP(split.item_shape, width=128)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    noise_source = taumem.GaussianDiffusion()  # the probe draws its fixed noise from it
    probe = taumem.LossGap(noise_source, {"train": split.train, "heldout": split.heldout}, loss=your_loss)

    generator = torch.Generator().manual_seed(1)
    best_step, best_loss = 0, float("inf")
    for step in range(1, steps + 1):
        x0 = split.train[torch.randint(len(split), (16,), generator=generator)]
        t, noise = torch.rand(16, generator=generator), torch.randn(x0.shape, generator=generator)
        loss = your_loss(model, x0, t, noise).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        if step % 50 == 0:
            found = {e.quantity: e for e in probe.measure(model).estimates if e.t is None}
            gap, heldout = found["gap"], found["heldout_loss"]
            print(f"step {step:5d}  held-out {heldout.value:.3f}  gap {gap.value:+.2f} ± {gap.se:.2f}")
            if heldout.value < best_loss:
                best_step, best_loss = step, heldout.value
            elif step > 2 * best_step:
                break  # twice as long as the best step, and no better since
    print(f"keep step {best_step}: from there on the model learns its training set by heart")
    return best_step


if __name__ == "__main__":
    main()
