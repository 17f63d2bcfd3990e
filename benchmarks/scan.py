"""What a scan of checkpoints costs, and how often the best checkpoint is among those that it calls as good as the best.

    python benchmarks/scan.py time --rounds 5
    python benchmarks/scan.py best --runs 2000 --seed 1

`time`: 10 and 20 checkpoints of one small U-Net are scanned in turn, each time from nothing; the ratio of the two is
printed, and that of scanning 20 again, which scores none, to scanning them.

`best`: made up checkpoints whose true losses are known. Items differ in difficulty, and answer each checkpoint with a
scatter of their own that has long tails; the share of runs is printed in which the truly best checkpoint is not in the
set (at most 5 % are promised), and how large the set is.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file

import taumem
from taumem.analysis.checkpoint_choice import as_good_as_best
from taumem.record import Curve

PROBE = """
import torch
import taumem

images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
train, heldout = images[:64], images[5000:5128]


def load(path):
    model = taumem.UNet((1, 16, 16), multipliers=(1, 2), patch=2)
    model.load_state_dict(taumem.load_weights(path))
    return model


def loss(model, x0, generator):
    t = torch.rand(len(x0), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    at = t[:, None, None, None]
    return (model((1 - at) * x0 + at * noise, t) - (noise - x0)).square().flatten(1).mean(dim=1)
"""


def scanned(folder: Path, checkpoints: Path, into: str) -> float:
    """Scan, and give the seconds of CPU time that it took."""
    began = time.process_time()
    taumem.scan(checkpoints, folder / "probe.py", folder=folder / into)
    return time.process_time() - began


def time_it(rounds: int) -> None:
    torch.set_num_threads(1)
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "probe.py").write_text(PROBE)
        for n in (10, 20):
            (folder / f"of-{n}").mkdir()
            for k in range(1, n + 1):
                torch.manual_seed(k)
                model = taumem.UNet((1, 16, 16), multipliers=(1, 2), patch=2)
                with torch.no_grad():
                    for p in model.parameters():
                        p += 0.01 * torch.randn_like(p)
                save_file(dict(model.state_dict()), folder / f"of-{n}" / f"checkpoint-{100 * k}.safetensors")
        scanned(folder, folder / "of-10", "warm")
        ratios, again = [], []
        for k in range(rounds):
            took = {n: scanned(folder, folder / f"of-{n}", f"{n}-{k}") for n in ((10, 20), (20, 10))[k % 2]}
            ratios.append(took[20] / took[10])
            again.append(scanned(folder, folder / "of-20", f"20-{k}") / took[20])
            print(f"round {k}: 10 in {took[10]:.2f} s of CPU, 20 in {took[20]:.2f} s, x {ratios[-1]:.2f}", flush=True)
    print(f"median: 20 checkpoints take {statistics.median(ratios):.2f} times as long as 10")
    print(f"median: scanning the 20 again takes {statistics.median(again):.3f} of the time, and scores none")


def curve(items: np.ndarray) -> Curve:
    looks = len(items)
    nothing = np.full(looks, np.nan)
    return Curve(
        "heldout_loss",
        steps=np.arange(1, looks + 1) * 100,
        examples=np.zeros(looks, dtype=np.int64),
        values=items.mean(axis=1),
        se=nothing,
        low=nothing,
        high=nothing,
        counts=np.full(looks, items.shape[1]),
        items=items,
    )


def best(runs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    print("| checkpoints | items | true losses | scatter | best not in the set | size of the set |")
    print("|---|---|---|---|---|---|")
    for looks in (2, 6, 20):
        for n in (8, 16, 64):
            for shape in ("all alike", "two alike", "a valley"):
                x = np.linspace(-1, 1, looks)
                true = {"all alike": 0 * x, "two alike": 0.1 * (x < x[-2]), "a valley": 0.1 * x**2}[shape]
                for tails in ("normal", "long tails"):
                    missed, sizes = 0, []
                    for _ in range(runs):
                        of_items = rng.lognormal(0, 0.5, n)
                        draws = rng.normal(size=(looks, n)) if tails == "normal" else rng.standard_t(4, (looks, n))
                        items = of_items * (1 + true[:, None] + 0.1 * draws)
                        good = as_good_as_best(curve(items))
                        missed += int(100 * (1 + int(np.argmin(true)))) not in good
                        sizes.append(len(good))
                    print(
                        f"| {looks} | {n} | {shape} | {tails} | {missed / runs:.1%} | {np.mean(sizes):.1f} |",
                        flush=True,
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("time", "best"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    time_it(given.rounds) if given.what == "time" else best(given.runs, given.seed)


if __name__ == "__main__":
    main()
