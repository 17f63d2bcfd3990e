"""The swap: Adam whose momentum and whose v see batches of different sizes. Which of the two do onsets follow?

    python experiments/unit/swap.py > experiments/unit/swap.tsv

The grammar's network at P = 128, raw weights, three seeds, two rates. At each step two batches are drawn apart,
of B_m and of B_v examples; the step goes along the mean of the one's gradients, over the root of the mean of the
other's squares, taken as one number for each tensor (a weight that the other batch does not touch would have no size
to be divided by). Where v's batch is the larger one, steps are longer at the same noise of their direction.
"""

import math
from collections.abc import Iterator
from itertools import count, product

import torch
from arms import experiment_of
from torch import Tensor, nn

from taumem.analysis import find_onsets
from taumem.lab.plan import PreparedRun, RunPlan
from taumem.monitor import LogCadence
from taumem.probes import LossGap
from taumem.record import Measurement, RunRecord
from taumem.training.loop import Draws

SIZES = (128,)
BATCHES = (16, 128)
RATES = (3e-4, 1.2e-3)
SEEDS = (0, 1, 2)
CLOCKS = ("tau_val", "tau_gap[0.1]", "tau_gap[0.2]")
BETAS, EPS = (0.9, 0.999), 1e-8


def main() -> None:
    """Print the onsets of all runs, a line each."""
    print("rate", "B_m", "B_v", "n_train", "seed", "clock", "censored", "step", "low", "high", "T", "heat", sep="\t")
    base = experiment_of("grammar", "adamw-0.0012-B16")
    for rate, n_train, b_m, b_v, seed in product(RATES, SIZES, BATCHES, BATCHES, SEEDS):
        prepared = RunPlan(base, n_train, seed, None).prepare()
        n_steps = math.ceil(24 * n_train * (3e-4 / rate) ** 0.5 * (16 / b_v) ** 0.4)
        record, pace = trained(prepared, rate, b_m, b_v, seed, n_steps)
        for onset in find_onsets([record]):
            if onset.clock in CLOCKS:
                time, heat = pace[max(int(onset.step) - 1, 0)]
                numbers = (f"{x:.5g}" for x in (onset.step, onset.low, onset.high, time, heat))
                row = (f"{rate:g}", b_m, b_v, n_train, seed, onset.clock, onset.censored, *numbers)
                print(*row, sep="\t", flush=True)


def trained(
    prepared: PreparedRun, rate: float, b_m: int, b_v: int, seed: int, n_steps: int
) -> tuple[RunRecord, list[tuple[float, float]]]:
    """A run's losses in memory; and after each step T, and the heat of steps of this mobility and momentum's noise."""
    learner, cadence = prepared.learner(), LogCadence(8, 4)
    denoiser, parameters = learner.denoiser, [p for p in learner.denoiser.parameters() if p.requires_grad]
    split = prepared.split
    asked = LossGap(
        prepared.diffusion, {"train": split.train[:128], "heldout": split.heldout[:256]}, times=(0.25, 0.5, 0.75)
    )
    squares = {name: [torch.zeros_like(p) for p in parameters] for name in ("m", "v", "own")}
    gradients = {name: _gradients(prepared, denoiser, parameters, b, seed) for name, b in (("m", b_m), ("v", b_v))}
    measurements: list[Measurement] = []
    pace, time = [], 0.0
    for step in range(1, n_steps + 1):
        along, other = next(gradients["m"]), next(gradients["v"])
        start_m, start_v = 1 - BETAS[0] ** step, 1 - BETAS[1] ** step
        with torch.no_grad():
            for p, g, h, m, v, own in zip(parameters, along, other, *squares.values(), strict=True):
                m.lerp_(g, 1 - BETAS[0])
                v.lerp_(h**2, 1 - BETAS[1])
                own.lerp_(g**2, 1 - BETAS[1])
                p.sub_(rate * (m / start_m) / ((v.mean() / start_v).sqrt() + EPS))
        mean_v, mean_own = (_mean(squares[name]) / start_v for name in ("v", "own"))
        mobility = rate / (math.sqrt(mean_v) + EPS)
        time += mobility
        pace.append((time, sum(p.numel() for p in parameters) * mobility * mean_own / 2))
        if cadence.due(step, measurements[-1].step if measurements else 0):
            denoiser.eval()
            told = asked.measure(denoiser)
            denoiser.train()
            measurements += [Measurement.of(e, step=step, examples=step * b_m, seconds=0.0) for e in told.estimates]
    header = prepared.header().model_copy(update={"batch_size": b_m, "name": f"swap-{rate:g}-{b_m}-{b_v}"})
    return RunRecord.of(header, measurements), pace


def _gradients(
    prepared: PreparedRun, denoiser: nn.Module, parameters: list[nn.Parameter], batch_size: int, seed: int
) -> Iterator[list[Tensor]]:
    """The gradients of one batch after another, at whatever the weights are by then."""
    draws = Draws(prepared.diffusion, prepared.split.train, batch_size, 1000 * batch_size + seed)
    for step in count(1):
        loss = prepared.diffusion.loss(denoiser, *draws.at(step)).mean()
        yield list(torch.autograd.grad(loss, parameters))


def _mean(tensors: list[Tensor]) -> float:
    return float(sum(t.sum() for t in tensors)) / sum(t.numel() for t in tensors)


if __name__ == "__main__":
    main()
