"""What a guard costs: the same training with it and without it, in turn.

    python benchmarks/guard_overhead.py --steps 2000 --pairs 5

A small U-Net on built-in images is trained for so many steps, guarded at the default budget (2 % of the time) and
unguarded, in pairs of alternating order; the ratio of each pair is printed, and their median. Then the cost of a call
where nothing is due, beside that of an empty function.
"""

import argparse
import statistics
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

import taumem


def loss(model: nn.Module, x0: Tensor, generator: torch.Generator | None) -> Tensor:
    """Flow matching, one number per item."""
    t = torch.rand(len(x0), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    at = t[:, None, None, None]
    return (model((1 - at) * x0 + at * noise, t) - (noise - x0)).square().flatten(1).mean(dim=1)


def trained(split: taumem.Split, steps: int, guard: Callable[[nn.Module, int], bool] | None) -> float:
    """Train, and give the seconds of CPU time that it took: other work on the machine moves these less."""
    torch.manual_seed(0)
    model = taumem.UNet(split.item_shape, multipliers=(1, 4), patch=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    began = time.process_time()
    for step in range(1, steps + 1):
        x0 = split.train[torch.randint(len(split), (16,))]
        optimizer.zero_grad()
        loss(model, x0, None).mean().backward()
        optimizer.step()
        if guard is not None:
            guard(model, step)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
    split = taumem.Split.make("fashion-mnist", images, n_heldout=256).first(512)
    ratios = []
    for pair in range(given.pairs):
        with TemporaryDirectory() as folder:
            guard = taumem.Guard(loss, train=split.train, heldout=split.heldout, folder=Path(folder) / "run")
            took: dict[bool, float] = {}
            for guarded in (pair % 2 == 0, pair % 2 == 1):
                took[guarded] = trained(split, given.steps, guard if guarded else None)
            looks = len(guard.record.steps)
            guard.close()
        ratios.append(took[True] / took[False])
        print(f"pair {pair}: {took[False]:.1f} s of CPU alone, x {ratios[-1]:.4f} guarded, {looks} looks", flush=True)
    print(f"median overhead of {given.steps} steps: {statistics.median(ratios) - 1:+.2%}")

    guard = taumem.Guard(loss, train=split.train, heldout=split.heldout, cadence=taumem.LogCadence(first=10**9))
    model = nn.Linear(1, 1)
    guard._watchman.last, guard._watchman.wake = 0, 10**9
    calls = 200_000
    for name, call in (("a guard with nothing due", guard), ("an empty function", lambda model, step: False)):
        seconds = min(timeit.repeat(lambda call=call: call(model, 17), number=calls, repeat=5)) / calls
        print(f"{name}: {seconds * 1e6:.3f} µs a call")


if __name__ == "__main__":
    main()
