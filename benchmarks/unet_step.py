"""How fast is a training step of the U-Net: against diffusers' one, and against the arithmetic of its convolutions?

    python benchmarks/unet_step.py [--threads 1] [--rounds 15]
    python benchmarks/unet_step.py --device cuda --output FOLDER

First, the same blocks, widths and attention as a diffusers `UNet2DModel`, each in the same plain loop (loss of eps,
clip, fused AdamW), and in ``taumem.train``, which draws, counts and averages besides. Then the small U-Net of the image
study: how much of its step the convolutions take when they are made alone, and how much they would take at the rate of
a well-shaped product on the same threads.
"""

import sys
from functools import partial

import torch
from in_turn import Way, in_turn, milliseconds, options, product_rate, ratio, where, write
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from taumem.diffusion import GaussianDiffusion
from taumem.models import Preconditioned, UNet
from taumem.training import Learner, train

EPS, V = GaussianDiffusion(weighting="eps"), GaussianDiffusion()
BATCH_SIZE = 16


class OfDiffusers(nn.Module):
    """The same blocks by diffusers: (xt, t) to a tensor of xt's shape."""

    def __init__(self, side: int, channels: int) -> None:
        super().__init__()
        sys.modules.setdefault("torchvision", None)  # diffusers does not need it here, and a broken one stops it
        from diffusers import UNet2DModel

        self.network = UNet2DModel(
            sample_size=side,
            in_channels=3,
            out_channels=3,
            layers_per_block=2,
            block_out_channels=(channels, 2 * channels, 2 * channels),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=32,
            norm_num_groups=8,
            resnet_time_scale_shift="scale_shift",
        )

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        return self.network(xt, 1000 * t, return_dict=False)[0]


def ours(side: int, channels: int) -> nn.Module:
    return UNet((3, side, side), channels=channels, multipliers=(1, 2, 2), blocks=2, attention=(side // 2,))


def plain_loop(network: nn.Module, x0: Tensor) -> Way:
    """A step of the loop that anybody would write."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    noise, t = torch.randn_like(x0), torch.rand(len(x0), device=x0.device)
    xt = EPS.corrupt(x0, t, noise)

    def step() -> None:
        loss = (network(xt, t) - noise).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def trained(network: nn.Module, x0: Tensor, diffusion: GaussianDiffusion) -> Way:
    learner = Learner.start(
        Preconditioned(network, diffusion, predicts=diffusion.weighting), ema_window=0.1, effective_time=True
    )
    return partial(next, train(learner, diffusion, x0, batch_size=BATCH_SIZE, seed=0, clip=1.0))


def against_diffusers(side: int, channels: int, device: str, rounds: int) -> dict[str, float]:
    """Milliseconds of each, and the ratios."""
    x0 = torch.rand(BATCH_SIZE, 3, side, side, device=device) * 2 - 1
    networks = {"taumem": ours(side, channels), "diffusers": OfDiffusers(side, channels)}
    ways = {name: plain_loop(network.to(device), x0) for name, network in networks.items()}
    ways["taumem.train"] = trained(ours(side, channels).to(device), x0, EPS)
    took = in_turn(ways, rounds=rounds, device=device)
    found: dict[str, float] = {f"{name}, ms": milliseconds(times) for name, times in took.items()}
    found |= {f"parameters of {name}": sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    return found | {f"{name} x": ratio(took, name, "diffusers") for name in ("taumem", "taumem.train")}


def convolutions_of(network: nn.Module, x0: Tensor) -> list[Way]:
    """Each convolution alone, forward and backward, at the shapes that it meets."""
    found: list[Way] = []

    def meet(layer: nn.Module, arguments: tuple[Tensor, ...], out: Tensor) -> None:
        h = arguments[0].detach().requires_grad_(layer is not network.enter)
        stride, padding = layer.stride, layer.padding
        wanted = (*([h] if h.requires_grad else []), *layer.parameters())
        if isinstance(arguments[0], Tensor) and h.shape[-1] * 2 == out.shape[-1]:
            h = nn.functional.interpolate(h, scale_factor=2).detach().requires_grad_()
            wanted = (h, *layer.parameters())
        upstream = torch.randn_like(out)

        def alone() -> None:
            again = nn.functional.conv2d(h, layer.weight, layer.bias, stride, padding)
            torch.autograd.grad(again, wanted, upstream)

        found.append(alone)

    hooks = [layer.register_forward_hook(meet) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    network(x0, torch.rand(len(x0), device=x0.device))
    for hook in hooks:
        hook.remove()
    return found


def against_arithmetic(device: str, rounds: int) -> dict[str, float]:
    """The small U-Net's step, its convolutions alone, and all arithmetic at the rate of a product."""
    x0 = torch.rand(BATCH_SIZE, 1, 16, 16, device=device) * 2 - 1
    network = UNet((1, 16, 16), multipliers=(1, 4), blocks=(1, 0), patch=2).to(device)
    alone = convolutions_of(network, x0)
    ways: dict[str, Way] = {
        "step": trained(network, x0, V),
        "convolutions": lambda: [convolution() for convolution in alone],
    }
    with FlopCounterMode(display=False) as counter:
        network(x0, torch.rand(len(x0), device=device)).sum().backward()
    flops = counter.get_total_flops()
    took = in_turn(ways, rounds=rounds, device=device)
    rate = product_rate(device)
    step, convolutions = milliseconds(took["step"]), milliseconds(took["convolutions"])
    limit = 1e3 * flops / rate
    return {
        "step, ms": step,
        "convolutions alone, ms": convolutions,
        "all arithmetic at the rate of a product, ms": limit,
        "GFLOP": flops / 1e9,
        "GFLOP/s of a product": rate / 1e9,
        "share of the limit": limit / step,
    }


def main() -> None:
    """Print both."""
    parser = options(__doc__, rounds=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--channels", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    content: dict[str, object] = {"where": where(asked.device)}
    for name, found in (
        ("against diffusers", against_diffusers(asked.side, asked.channels, asked.device, asked.rounds)),
        ("small U-Net", against_arithmetic(asked.device, asked.rounds)),
    ):
        content[name] = found
        print(f"\n{name}\n" + "\n".join(f"  {key}: {value:,.3g}" for key, value in found.items()), flush=True)
        write(asked.output, "unet_step", content)


if __name__ == "__main__":
    main()
