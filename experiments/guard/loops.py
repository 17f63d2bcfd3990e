"""Three training loops that know nothing of taumem, on small built-in images: what a guard has to do with.

Each is a ``Loop``: a network, the loss of each item as the loop computes it, and a sampler. Batches, noise and times of
training come from torch's global generator, as in most loops.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 8


class ConvNet(nn.Module):
    """A small U-shaped convolutional network that is told the time as a plane."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width))
        self.enter = nn.Conv2d(1, width, 3, padding=1)
        self.down = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)
        self.deep = nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1)
        self.middle = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.rise = nn.ConvTranspose2d(2 * width, 2 * width, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4 * width, width, 4, stride=2, padding=1)
        self.leave = nn.Conv2d(2 * width, 1, 3, padding=1)

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        """From corrupted images [n, 1, 16, 16] and times [n] in [0, 1] to images of the same shape."""
        first = functional.silu(self.enter(xt) + self.embed(t[:, None])[:, :, None, None])
        second = functional.silu(self.down(first))
        third = functional.silu(self.deep(second))
        third = third + functional.silu(self.middle(third))
        risen = functional.silu(self.rise(third))
        up = functional.silu(self.up(torch.cat([risen, second], dim=1)))
        out: Tensor = self.leave(torch.cat([up, first], dim=1))
        return out


@dataclass(frozen=True)
class Loop:
    """A training loop of another's.

    Attributes:
        name: by which it is asked for.
        make: the network.
        loss: (model, x0, generator) -> one number per item.
        sample: (model, generator) -> samples.
        rate: the learning rate.
        steps: as many as lead well past the first copies at P = 16.
        loss_at: the loss at given timesteps, if the guard is to ask that.
    """

    name: str
    make: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Tensor, torch.Generator | None], Tensor]
    sample: Callable[[nn.Module, torch.Generator], Tensor]
    rate: float
    steps: int
    loss_at: Callable[..., Tensor] | None = None


def train(
    loop: Loop,
    items: Tensor | Callable[[int], Tensor],
    seed: int,
    steps: int,
    on_step: Callable[[nn.Module, int], bool],
    batch: int = BATCH,
    rate: float | None = None,
) -> nn.Module:
    """Train, until the callback says stop.

    Args:
        loop: which.
        items: training items, or a function of the step that draws fresh ones.
        seed: of the network and of all draws.
        steps: at most.
        on_step: (model, step) -> whether to stop.
        batch: examples per step.
        rate: another learning rate than the loop's.
    """
    torch.manual_seed(seed)
    model = loop.make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=loop.rate if rate is None else rate)
    for step in range(1, steps + 1):
        x0 = items(step) if callable(items) else items[torch.randint(len(items), (batch,))]
        loss = loop.loss(model, x0, None).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if on_step(model, step):
            break
    return model


# --- flow matching --------------------------------------------------------------------------------------------------


def flow_loss(model: nn.Module, x0: Tensor, generator: torch.Generator | None) -> Tensor:
    """The squared error of the velocity along a straight line from data to noise."""
    t = torch.rand(len(x0), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    at = t[:, None, None, None]
    return (model((1 - at) * x0 + at * noise, t) - (noise - x0)).square().flatten(1).mean(dim=1)


def flow_sample(model: nn.Module, generator: torch.Generator, n: int = 64, steps: int = 20) -> Tensor:
    """Heun's method from noise to data."""
    x = torch.randn(n, 1, 16, 16, generator=generator)
    times = torch.linspace(1, 0, steps + 1)
    for now, then in pairwise(times):
        v = model(x, now.expand(n))
        ahead = x + (then - now) * v
        x = x + (then - now) * (v + model(ahead, then.expand(n))) / 2
    return x


# --- eps prediction over 1,000 timesteps ----------------------------------------------------------------------------

TIMESTEPS = 1000
KEPT = torch.cumprod(1 - torch.linspace(1e-4, 0.02, TIMESTEPS), dim=0)


def ddpm_loss(model: nn.Module, x0: Tensor, generator: torch.Generator | None) -> Tensor:
    """The squared error of the noise, at a timestep from 0 to 999."""
    t = torch.randint(TIMESTEPS, (len(x0),), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    kept = KEPT[t][:, None, None, None]
    return (model(kept.sqrt() * x0 + (1 - kept).sqrt() * noise, t / TIMESTEPS) - noise).square().flatten(1).mean(dim=1)


def ddpm_loss_at(model: nn.Module, x0: Tensor, generator: torch.Generator | None, t: Tensor) -> Tensor:
    """The same, at given timesteps [n]."""
    noise = torch.randn(x0.shape, generator=generator)
    kept = KEPT[t][:, None, None, None]
    return (model(kept.sqrt() * x0 + (1 - kept).sqrt() * noise, t / TIMESTEPS) - noise).square().flatten(1).mean(dim=1)


def ddim_steps(
    predict: Callable[[Tensor, int], Tensor], generator: torch.Generator, n: int, steps: int, kept: Tensor
) -> Tensor:
    """DDIM without noise over evenly spaced timesteps, with predictions of the image kept within [-1, 1]."""
    x = torch.randn(n, 1, 16, 16, generator=generator)
    times = torch.linspace(TIMESTEPS - 1, 0, steps).long().tolist()
    for k, t in enumerate(times):
        eps = predict(x, t)
        x0 = ((x - (1 - kept[t]).sqrt() * eps) / kept[t].sqrt()).clamp(-1, 1)
        eps = (x - kept[t].sqrt() * x0) / (1 - kept[t]).sqrt()
        x = x0 if k == steps - 1 else kept[times[k + 1]].sqrt() * x0 + (1 - kept[times[k + 1]]).sqrt() * eps
    return x


def ddpm_sample(model: nn.Module, generator: torch.Generator, n: int = 64, steps: int = 20) -> Tensor:
    """Samples of the eps-prediction network."""
    return ddim_steps(lambda x, t: model(x, torch.full((n,), t / TIMESTEPS)), generator, n, steps, KEPT)


# --- diffusers --------------------------------------------------------------------------------------------------------


def diffusers_unet() -> nn.Module:
    """A small UNet2DModel."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=16,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
    )


def diffusers_loss(model: nn.Module, x0: Tensor, generator: torch.Generator | None) -> Tensor:
    """As in the official script: a scheduler adds noise, the network predicts it."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS)
    t = torch.randint(TIMESTEPS, (len(x0),), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    predicted = model(scheduler.add_noise(x0, noise, t), t).sample
    return (predicted - noise).square().flatten(1).mean(dim=1)


def diffusers_sample(model: nn.Module, generator: torch.Generator, n: int = 64, steps: int = 20) -> Tensor:
    """Samples of the UNet2DModel."""
    return ddim_steps(lambda x, t: model(x, t).sample, generator, n, steps, KEPT)


LOOPS = {
    loop.name: loop
    for loop in (
        Loop("flow", ConvNet, flow_loss, flow_sample, 2e-3, 3000),
        Loop("ddpm", ConvNet, ddpm_loss, ddpm_sample, 2e-3, 3500),
        Loop("ddpm at times", ConvNet, ddpm_loss, ddpm_sample, 2e-3, 2500, ddpm_loss_at),
        Loop("diffusers", diffusers_unet, diffusers_loss, diffusers_sample, 3e-3, 3500),
    )
}
