"""What a device makes of training, sampling and the search for copies, as shares of what its products reach.

    python benchmarks/device_steps.py --device cuda --output FOLDER
    python benchmarks/device_steps.py --device cpu --tenth --output FOLDER

The rate of one large product in the same precision is the yardstick, measured in the same run: a step that reaches half
of it can become no more than twice as fast. Operations are counted by torch (products and convolutions, forward and
backward). Each time is the median of several, after a warm-up that compiles what is to be compiled.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from in_turn import Way, in_turn, milliseconds, options, where, write
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from taumem.diffusion import GaussianDiffusion, MaskedDiffusion, sample
from taumem.diffusion.diffusion import Diffusion
from taumem.models import Categorical, Preconditioned, Transformer, UNet
from taumem.neighbors import nearest
from taumem.randomness import generator_for
from taumem.training import Engine, Learner, train

GAUSSIAN, MASKED = GaussianDiffusion(), MaskedDiffusion(27)
ENGINES = {
    "fp32": Engine(),
    "bf16": Engine("bf16"),
    "bf16, channels last": Engine("bf16", channels_last=True),
    "bf16, compiled": Engine("bf16", compiled=True),
    "bf16, channels last, compiled": Engine("bf16", compiled=True, channels_last=True),
}


def seconds(work: Way, device: torch.device, rounds: int) -> float:
    """The median time of some work, which is done once before."""
    return milliseconds(in_turn({"work": work}, rounds=rounds, device=str(device), warm=1)["work"]) / 1e3


def product_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations per second of one square product."""
    left, right = (torch.ones((side, side), device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: left @ right, device, rounds=9)


def operations(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def unet(tenth: bool) -> tuple[nn.Module, Diffusion, Tensor, int]:
    """The network of cifar10-gpu, or a small one; its process, its items, its batch size."""
    options: dict[str, Any] = {"channels": 16, "multipliers": (1, 2), "blocks": 1}
    if not tenth:
        options = {"channels": 96, "multipliers": (1, 2, 2), "blocks": 2, "attention": (16,), "head_channels": 64}
    images = torch.rand((256, 3, 32, 32), generator=generator_for(0, "images")) * 2 - 1
    return Preconditioned(UNet((3, 32, 32), **options), GAUSSIAN), GAUSSIAN, images, 4 if tenth else 64


def transformer(tenth: bool) -> tuple[nn.Module, Diffusion, Tensor, int]:
    """The network of text8-paper, or a small one; likewise."""
    options = {"width": 96, "depth": 2, "heads": 2} if tenth else {"width": 768, "depth": 12, "heads": 12}
    window = 64 if tenth else 256
    network = Transformer(window, 27, symbols=MASKED.symbols, **options)
    texts = torch.randint(27, (256, window), generator=generator_for(0, "texts"))
    return Categorical(network, MASKED), MASKED, texts, 4 if tenth else 64


def steps(
    name: str,
    made: Callable[[], tuple[nn.Module, Diffusion, Tensor, int]],
    device: torch.device,
    rates: dict[str, float],
    rounds: int,
) -> Iterator[dict[str, Any]]:
    """Time the training steps of a network by each engine."""
    counted = 0.0
    for engine_name, engine in ENGINES.items():
        if "channels last" in engine_name and name != "U-Net":
            continue
        denoiser, diffusion, data, batch_size = made()
        learner = Learner.start(engine.placed(denoiser.to(device)), learning_rate=1e-4, ema_window=0.1)
        run = train(learner, diffusion, data.to(device), batch_size=batch_size, seed=0, clip=1.0, engine=engine)
        if not counted:
            counted = operations(lambda run=run: next(run))
        took = seconds(lambda run=run: list(islice(run, 4)), device, rounds) / 4
        yield row(f"{name} step, batch {batch_size}, {engine_name}", counted, took, rates[engine.precision])


def sampling(tenth: bool, device: torch.device, rates: dict[str, float]) -> dict[str, Any]:
    """Time the drawing of samples."""
    denoiser = unet(tenth)[0].to(device).eval()
    n, looks = (16, 5) if tenth else (512, 30)

    def draw() -> None:
        generator = generator_for(0, "draw", device=device)
        with torch.no_grad():
            sample(GAUSSIAN, denoiser, n, (3, 32, 32), generator, steps=looks)

    return row(f"{n} samples by {looks} steps, fp32", operations(draw), seconds(draw, device, 3), rates["fp32"])


def search(tenth: bool, device: torch.device, rates: dict[str, float]) -> dict[str, Any]:
    """Time the search for copies."""
    n, m = (200, 5_000) if tenth else (2_000, 50_000)
    queries, references = (torch.rand((k, 3072), generator=generator_for(0, "items", k)).to(device) for k in (n, m))
    took = seconds(lambda: nearest(queries, references, k=2), device, 3)
    return row(f"nearest 2 of {m:,} for {n:,} images of 32x32, exact", 2.0 * n * m * 3072, took, rates["fp32"])


def row(what: str, counted: float, took: float, rate: float) -> dict[str, Any]:
    return {
        "what": what,
        "milliseconds": 1e3 * took,
        "tflops": counted / took / 1e12,
        "share": counted / took / rate,
    }


def rows(device: torch.device, tenth: bool, rounds: int) -> Iterator[dict[str, Any]]:
    """Everything, one after another."""
    side = 512 if tenth else 8192
    rates = {"fp32": product_rate(device, torch.float32, side), "bf16": product_rate(device, torch.bfloat16, side)}
    for name, rate in rates.items():
        yield row(f"product of {side} x {side}, {name}", 2 * side**3, 2 * side**3 / rate, rate)
    yield sampling(tenth, device, rates)
    yield search(tenth, device, rates)
    yield from steps("U-Net", lambda: unet(tenth), device, rates, rounds)
    yield from steps("transformer", lambda: transformer(tenth), device, rates, rounds)


def main() -> None:
    parser = options(__doc__, rounds=7)
    parser.add_argument("--tenth", action="store_true", help="small networks and sizes, for a CPU")
    asked = parser.parse_args()
    there = where(asked.device)
    print(f"{there['device']}, torch {there['torch']}\n{'ms':>10} {'TFLOP/s':>9} {'of a product':>13}")
    measured: list[dict[str, Any]] = []
    for each in rows(torch.device(asked.device), asked.tenth, asked.rounds):
        measured.append(each)
        print(f"{each['milliseconds']:10,.1f} {each['tflops']:9.3g} {each['share']:13.0%}  {each['what']}", flush=True)
        # What was measured counts, whether the time suffices for the rest or not.
        write(asked.output, "device_steps", {"where": there, "tenth": asked.tenth, "rows": measured})


if __name__ == "__main__":
    main()
