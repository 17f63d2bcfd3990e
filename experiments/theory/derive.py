"""What theory derives of random features: spectra, exact curves, and every onset that follows, as text.

    python experiments/theory/derive.py onsets      # onsets.tsv: data, diffusion times, P, seeds
    python experiments/theory/derive.py spectra     # spectra.tsv: of one seed, for the figure
    python experiments/theory/derive.py adam        # adam.tsv: Adam on the exact gradient
    python experiments/theory/derive.py widths      # widths.tsv: which P a layer of so many features can memorize
    python experiments/theory/derive.py gradients   # gradients.tsv: the spectrum of a small network in training

Nothing is trained but for Adam and the last: a network's weights and its data are those that `taumem run` gives a
seed, and its losses at every time follow from an eigendecomposition (`taumem.models.GradientFlow`). `tables.py` reads
the text.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from taumem.diffusion import GaussianDiffusion
from taumem.lab import load_experiment, plans_of
from taumem.lab.domains.vectors import VectorDomain
from taumem.models import (
    MLP,
    GradientFlow,
    Moments,
    Preconditioned,
    SineFeatures,
    moments_of_items,
    moments_of_mixture,
)
from taumem.probes import gradient_spectrum
from taumem.randomness import generator_for
from taumem.record import write_atomically
from taumem.training import Learner, train
from taumem.training.optimizers import make_optimizer

HERE = Path(__file__).parent
SIZES = (32, 64, 128, 256, 512)
SEEDS = (0, 1, 2)
DATA = {
    "gaussian": [],
    "mixture": ["data.separation=1"],
    "images": ['data={source="fashion-mnist"}'],
}
"""What is changed in the preset."""
T = 0.2
"""The diffusion time of the preset."""
WIDTH = 1024
"""Its number of features."""
ARMS = [("gaussian", T), ("gaussian", 0.4)]
"""Kinds of data and diffusion times whose onsets are in the table; any others can be added."""
WIDTHS = (128, 256, 512)
THRESHOLDS = (0.1, 0.2)
LEARNED = 0.9
"""Of the fall of the held-out loss, to its minimum: what tau_gen asks for."""
TAUS = torch.logspace(0, 8, 8 * 16 + 1, dtype=torch.float64)
UNTIL_THE_END = torch.cat([TAUS[::2], torch.tensor([torch.inf], dtype=torch.float64)])


@dataclass(frozen=True, eq=False)
class Derived:
    """A network, the loss on its training items and the loss on all others, both over all noise."""

    network: SineFeatures
    train: Moments
    others: Moments
    d: int
    """Coordinates of an item."""


def main() -> None:
    """Derive what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=sorted(TABLES))
    what = parser.parse_args().what
    lines: list[str] = []
    for row in TABLES[what]():
        if not lines:
            lines.append("\t".join(row))
        lines.append("\t".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row.values()))
        print(lines[-1], flush=True)
        write_atomically(HERE / f"{what}.tsv", "\n".join(lines) + "\n")


def derived(data: str, t: float, n_train: int, seed: int, *, width: int = WIDTH) -> Derived:
    """Take the network and the data of a run of the preset, and derive its losses."""
    changes = [*DATA[data], f"diffusion.only_at={t}", f"monitor.times=[{t}]", f"model.width={width}"]
    changes += [f"n_train=[{n_train}]", f"seeds=[{seed}]"]
    [plan] = plans_of(load_experiment("random-features", changes))
    run = plan.prepare()
    network, diffusion = run.learner().denoiser.network, run.diffusion
    if isinstance(run.domain, VectorDomain):
        others = moments_of_mixture(network, diffusion, run.domain.mixture, t)
    else:
        others = moments_of_items(network, diffusion, run.split.heldout, t)
    own = moments_of_items(network, diffusion, run.split.train, t)
    return Derived(network, own, others, math.prod(run.split.item_shape))


def onsets() -> Iterator[dict[str, Any]]:
    """Every onset of the exact curves, and the rates of the modes: the d-th and those around it."""
    for data, t in ARMS:
        for n_train in SIZES:
            for seed in SEEDS:
                case = derived(data, t, n_train, seed)
                flow = GradientFlow(case.train)
                yield {
                    "data": data,
                    "t": t,
                    "P": n_train,
                    "seed": seed,
                    **onsets_of(TAUS, flow.losses(flow.train, TAUS), flow.losses(case.others, TAUS)),
                    "rate_shared": float(flow.rates[case.d - 1]),
                    "rate_next": float(flow.rates[case.d]),
                    "rate_middle": float(flow.rates[min((case.d + n_train) // 2, WIDTH - 1)]),
                    "rate_noise": float(flow.rates[min(case.d + n_train + 32, WIDTH - 1)]),
                }


def onsets_of(x: torch.Tensor, train: torch.Tensor, others: torch.Tensor) -> dict[str, float]:
    """Onsets on exact curves, x ascending: nan where they do not come."""
    lowest = int(others.argmin())
    fallen = others[0] - LEARNED * (others[0] - others[lowest])
    found = {"tau_gen": first(x, (others[0] - others) / (others[0] - fallen), 1.0)}
    found["tau_val"] = vertex(x, others, lowest) if 0 < lowest < len(x) - 1 else float("nan")
    gap = 1 - train / others
    return found | {f"tau_gap[{threshold}]": first(x, gap, threshold) for threshold in THRESHOLDS}


def spectra() -> Iterator[dict[str, Any]]:
    """The rates of the modes, at numbers of modes that a figure can show."""
    shown = sorted({round(1023 ** (k / 80)) for k in range(81)} | {*range(28, 38)})
    for n_train in SIZES:
        flow = GradientFlow(derived("gaussian", T, n_train, 0).train)
        yield from ({"P": n_train, "mode": k, "rate": float(flow.rates[k - 1])} for k in shown)


def vertex(x: torch.Tensor, values: torch.Tensor, k: int) -> float:
    """The minimum of the parabola through three points, in log x."""
    a, b, c = (float(v) for v in values[k - 1 : k + 2])
    left, right = (float(torch.log(x[k + 1] / x[k])), float(torch.log(x[k] / x[k - 1])))
    slope, bend = (c - a) / (left + right), ((c - b) / left - (b - a) / right) / ((left + right) / 2)
    return float(x[k]) * math.exp(-slope / bend) if bend > 0 else float(x[k])


def first(x: torch.Tensor, values: torch.Tensor, threshold: float) -> float:
    """Where values pass a threshold for the first time, between two points in log x."""
    above = (values >= threshold).nonzero()
    if not len(above) or int(above[0]) == 0:
        return float("nan")
    k = int(above[0])
    share = float((threshold - values[k - 1]) / (values[k] - values[k - 1]))
    return float(x[k - 1] * (x[k] / x[k - 1]) ** share)


def adam() -> Iterator[dict[str, Any]]:
    """Adam on the exact gradient: no noise of batches or draws, and so the extreme of what its second moment does."""
    for n_train in SIZES:
        for seed in SEEDS[:1]:
            case = derived("gaussian", T, n_train, seed, width=512)
            x, train, others = torch.tensor(descended(case), dtype=torch.float64).T
            yield {"P": n_train, "seed": seed, **onsets_of(x, train, others)}


def descended(case: Derived, rate: float = 1e-3, most: int = 2000) -> list[tuple[int, float, float]]:
    """Step and both losses at looks, until the gap has passed the last threshold."""
    readout = torch.nn.Parameter(torch.zeros_like(case.network.readout))
    optimizer = make_optimizer("adam", [readout], learning_rate=rate)
    single = Moments(case.train.features.float(), case.train.targets.float(), case.train.power)
    looks, next_look = [], 1.0
    for step in range(1, most + 1):
        readout.grad = single.gradient(readout.detach())
        optimizer.step()
        if step >= next_look:
            now = readout.detach().double()
            looks.append((step, case.train.loss(now), case.others.loss(now)))
            next_look = max(step + 1, step * 1.1)
            if 1 - looks[-1][1] / looks[-1][2] > THRESHOLDS[-1] + 0.02:
                break
    return looks


def widths() -> Iterator[dict[str, Any]]:
    """What is left of the gap when training has ended, by P and the number of features; and when it comes."""
    for width in WIDTHS:
        for n_train in (16, *SIZES, 1024, 2048):
            case = derived("gaussian", T, n_train, 0, width=width)
            flow = GradientFlow(case.train)
            train, others = (flow.losses(of, UNTIL_THE_END) for of in (case.train, case.others))
            yield {
                "features": width,
                "P": n_train,
                **onsets_of(UNTIL_THE_END[:-1], train[:-1], others[:-1]),
                "gap_end": float(1 - train[-1] / others[-1]),
                "separation": float(flow.rates[31] / flow.rates[32]),
            }


def gradients() -> Iterator[dict[str, Any]]:
    """The spectrum of a perceptron on Gaussian data, fresh and trained, at several draws; of random features too."""
    diffusion = GaussianDiffusion(weighting="eps")
    t, n, d = 0.05, 48, 8
    case = load_experiment("random-features", [f"data.dimensions={d}", f"n_train=[{n}]", "seeds=[0]"])
    [plan] = plans_of(case)
    items = plan.prepare().split.train
    perceptron = Preconditioned(MLP((d,), width=128, depth=2, generator=generator_for(0, "weights")), diffusion, "eps")
    features = Preconditioned(SineFeatures((d,), width=1024, generator=generator_for(0, "weights")), diffusion, "eps")
    learner = Learner.start(perceptron, learning_rate=2e-3)
    for steps in (0, 300, 3000):
        for step in train(learner, diffusion, items, batch_size=n, seed=0) if steps else ():
            if step.index == steps:
                break
        for m in (1, 8):
            yield from modes("perceptron", steps, gradient_spectrum(perceptron, diffusion, items, t, draws=m))
    for m in (1, 8):
        yield from modes("random features", 0, gradient_spectrum(features, diffusion, items, t, draws=m))


def modes(network: str, steps: int, spectrum: Any) -> Iterator[dict[str, Any]]:
    """Each mode's rate in units of the fastest."""
    for k, (rate, same) in enumerate(zip(spectrum.rates, spectrum.same_for_draws, strict=True), start=1):
        at = {"network": network, "steps": steps, "draws": spectrum.draws, "mode": k}
        yield at | {"rate": float(rate / spectrum.rates[0]), "same": float(same)}


TABLES: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "onsets": onsets,
    "spectra": spectra,
    "adam": adam,
    "widths": widths,
    "gradients": gradients,
}

if __name__ == "__main__":
    main()
