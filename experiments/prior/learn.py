"""Learn what forecasts assume from the finished studies, and say how forecasts of a domain left out would have done.

    python experiments/prior/learn.py           # some minutes on one core

Writes src/taumem/analysis/priors.json, which ships, and without.json, the same learned without each domain.

The model has two floors. A study's exponent a, the floor's share of tau at its smallest size and its scatter are drawn
from a population; its runs scatter about its law:

    a ~ Normal(mean, sd)      floor / tau(smallest P) ~ Beta(alpha, beta)
    log(sigma / e) ~ Normal(mean, sd), e: root mean square of the standard errors of the log onsets, as measured
    log tau ~ Normal(log(tau_0 + c P^a), sigma), twins correlated by rho, sqrt(1 - rho) ~ Uniform(0, 1)

The population is what makes most likely what came next: of each three sizes in a row of one seed, the onsets at 2 and 4
times the largest, given those of the three. Windows count alike within a study and clock, studies within a domain, and
the three domains in all; tau_val, which is forecast unless another is asked for, counts as much as all other clocks. A
new study is of a domain that was not seen: by how much the means differ from domain to domain, which leaving each of
them out tells (the jackknife), is added to the population's variances, with the error of the mean itself. Fixed batches
and full ones are two populations.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize
from scipy.stats import qmc

HERE = Path(__file__).parent
OUTPUT = HERE.parents[1] / "src/taumem/analysis/priors.json"
WITHOUT = HERE / "without.json"
CLOCKS = ("tau_val", "tau_gap_sym[0.2]", "tau_gap[0.2]", "tau_copy[0.05]")
STUDIES = {
    "fixed": {
        "images": ("images/fashion",),
        "text": ("text/english", "text/text8"),
        "grammar": ("grammar/uniform", "grammar/masked", "grammar/m4-uniform", "grammar/m4-masked", "grammar/levels"),
    },
    "full": {"images": ("images/full-batch",), "text": ("text/full-batch",), "grammar": ("grammar/full-batch",)},
}
"""By the kind of batches, the studies of each domain."""
N_PILOTS, REACHES = 3, (2, 4)
NAMES = ("exponent mean", "exponent sd", "floor mean", "floor count", "scatter mean", "scatter sd")
START = {
    "fixed": np.array([1.2, math.log(0.2), 0.5, math.log(2.0), 0.0, math.log(0.3)]),
    "full": np.array([0.5, math.log(0.2), 0.5, math.log(2.0), 0.0, math.log(0.3)]),
}
"""Standard deviations and the Beta's alpha + beta as logarithms."""
LOOSE = np.array([0.5, 0.7, 0.2, 0.7, 0.5, 0.7])
"""How far from the start a population may lie: a weak Normal prior on each, which counts as a hundredth of a domain."""
Z95 = 1.6448536269514722

Floats = NDArray[np.float64]
UNIFORM = np.clip(qmc.Sobol(4, scramble=True, seed=1).random(1024), 1e-6, 1 - 1e-6)


@dataclass(frozen=True)
class Window:
    """Pilots of one seed at three sizes in a row, and what was measured at a larger one: natural logarithms."""

    domain: str
    group: tuple[str, str]
    n_train: int
    reach: float
    sizes: Floats
    steps: Floats
    error: float
    located: Floats
    beyond: Floats
    """Steps that later onsets are known to exceed."""


def windows(domain: str, study: str) -> Iterator[Window]:
    """All of a study, of every clock."""
    rows = list(csv.DictReader((HERE.parent / f"{study}.onsets.tsv").open(), delimiter="\t"))
    for clock in CLOCKS:
        own = [row for row in rows if row["clock"] == clock]
        sizes = sorted({int(row["n_train"]) for row in own})
        for k in range(N_PILOTS, len(sizes)):
            for seed in sorted({row["seed"] for row in own}):
                of_seed = [row for row in own if row["seed"] == seed]
                pilots = [r for r in of_seed if int(r["n_train"]) in sizes[k - N_PILOTS : k] and _is_located(r)]
                if len({row["n_train"] for row in pilots}) < N_PILOTS:
                    continue
                errors = np.array([_error(row) for row in pilots])
                for n_train in sizes[k:]:
                    there = [row for row in of_seed if int(row["n_train"]) == n_train and row["censored"] != "left"]
                    reach = n_train / sizes[k - 1]
                    if there and reach in REACHES:
                        yield Window(
                            domain,
                            (study, clock),
                            n_train,
                            reach,
                            np.log([float(row["n_train"]) for row in pilots]),
                            np.log([float(row["step"]) for row in pilots]),
                            float(np.sqrt(np.mean(errors**2))),
                            np.log([float(row["step"]) for row in there if _is_located(row)]),
                            np.log([float(row["step"]) for row in there if not _is_located(row)]),
                        )


def _is_located(row: dict[str, str]) -> bool:
    return row["censored"] in ("no", "interval")


def _error(row: dict[str, str]) -> float:
    """Standard error of the log onset from its 90 % interval, from one side where the other is unbounded."""
    step, low, high = (float(row[name]) for name in ("step", "low", "high"))
    sides = [math.log(far / near) for near, far in ((low, step), (step, high)) if near > 0 and math.isfinite(far)]
    return min(sum(sides) / len(sides) / Z95, 1.0) if sides else 1.0


def predicted(window: Window, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights, centers and scatters of a mixture of normals: the log onset of a new run, log c integrated out."""
    mean, count = p[2], math.exp(p[3])
    exponent = p[0] + math.exp(p[1]) * special.ndtri(UNIFORM[:, 0])
    share = special.betaincinv(mean * count, (1 - mean) * count, UNIFORM[:, 1])
    sigma = window.error * np.exp(p[4] + math.exp(p[5]) * special.ndtri(UNIFORM[:, 2]))
    within = np.maximum(UNIFORM[:, 3] ** 2, 1e-4)  # 1 - rho
    first = window.sizes.min()

    def law(log_size: float) -> Floats:
        rise: Floats = np.logaddexp(np.log(share), np.log1p(-share) + exponent * (log_size - first))
        return rise

    log_likelihood = np.zeros(len(sigma))
    means, variances = [], []
    for size in np.unique(window.sizes):
        residual = window.steps[window.sizes == size][:, None] - law(size)
        k = len(residual)
        means.append(residual.mean(0))
        variances.append((within + k * (1 - within)) / k)
        scatter = ((residual - means[-1]) ** 2).sum(0) / (within * sigma**2)
        log_likelihood -= 0.5 * scatter + 0.5 * (k - 1) * np.log(within * sigma**2)
    center, precision = np.array(means), 1 / np.array(variances)
    total = precision.sum(0)
    prefactor = (precision * center).sum(0) / total
    log_likelihood -= 0.5 * (precision * (center - prefactor) ** 2).sum(0) / sigma**2 + 0.5 * np.log(total)
    log_likelihood += 0.5 * np.log(precision).sum(0) - (len(center) - 1) * np.log(sigma)
    weight = np.exp(log_likelihood - log_likelihood.max())
    return weight / weight.sum(), prefactor + law(math.log(window.n_train)), sigma * np.sqrt(1 + 1 / total)


def log_density(window: Window, p: Floats) -> float:
    """Of what came next, a mean over its runs."""
    weight, center, scatter = predicted(window, p)
    at = [weight @ (np.exp(-0.5 * ((y - center) / scatter) ** 2) / scatter) for y in window.located]
    past = [weight @ special.ndtr((center - y) / scatter) for y in window.beyond]
    return float(np.mean(np.log(np.array(at + past) + 1e-6)))


def by_domain(own: Sequence[Window], p: Floats) -> dict[str, float]:
    """Mean log density of each domain: half of it tau_val's, half that of the other clocks."""
    found: dict[str, dict[bool, dict[tuple[str, str], list[float]]]] = {}
    for window in own:
        of_clock = found.setdefault(window.domain, {}).setdefault(window.group[1] == CLOCKS[0], {})
        of_clock.setdefault(window.group, []).append(log_density(window, p))
    return {
        domain: float(np.mean([np.mean([np.mean(x) for x in groups.values()]) for groups in halves.values()]))
        for domain, halves in found.items()
    }


def learned(own: Sequence[Window], start: Floats) -> Floats:
    """The population under which what came next is likeliest."""

    def loss(p: Floats) -> float:
        if not 0.02 < p[2] < 0.98:
            return 1e6
        return -float(np.mean(list(by_domain(own, p).values()))) + 0.01 * float((((p - start) / LOOSE) ** 2).sum())

    simplex = np.vstack([start, start + np.diag(LOOSE / 2)])
    options = {"maxiter": 250, "initial_simplex": simplex, "xatol": 0.01, "fatol": 5e-4}
    return np.asarray(minimize(loss, start, method="Nelder-Mead", options=options).x)


def widened(p: Floats, left_out: Sequence[Floats]) -> Floats:
    """That of a domain not seen: the variance of the means of n domains, and of their mean, is added to its own."""
    n, p = len(left_out), p.copy()
    of_the_mean = (n - 1) * np.var(np.array(left_out), axis=0)  # the jackknife's; n times as much from domain to domain
    spread = (n + 1) * of_the_mean
    for mean, sd in ((0, 1), (4, 5)):
        p[sd] = 0.5 * math.log(math.exp(2 * p[sd]) + spread[mean])
    return p


def told(own: Sequence[Window], p: Floats) -> Iterator[str]:
    """How forecasts by this population would have done, a row for each clock and reach."""
    for clock, reach in sorted({(w.group[1], w.reach) for w in own}):
        errors, covered = [], []
        for window in own:
            if (window.group[1], window.reach) != (clock, reach):
                continue
            weight, center, scatter = predicted(window, p)
            low, median, high = (_quantile(weight, center, scatter, q) for q in (0.05, 0.5, 0.95))
            if len(window.located) and not len(window.beyond):
                errors.append(median - window.located.mean())
            covered += [low <= y <= high for y in window.located] + [False for y in window.beyond if y > high]
        if errors:
            size, bias = np.median(np.abs(errors)), np.mean(errors)
            early = sum(e < 0 for e in errors)
            yield (
                f"{clock} | x{reach:g} | {len(errors)} | {size:.2f} | {bias:+.2f} | {early}, {len(errors) - early} | "
                f"{sum(covered)} of {len(covered)}"
            )


def _quantile(weight: Floats, center: Floats, scatter: Floats, probability: float) -> float:
    low, high = float(center.min() - 5), float(center.max() + 5)
    for _ in range(50):
        middle = (low + high) / 2
        below = float(weight @ special.ndtr((middle - center) / scatter)) < probability
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def as_table(p: Floats) -> dict[str, list[float]]:
    """What ships: parameters of the Normal, the Beta and the Normal."""
    mean, count = p[2], math.exp(p[3])
    rows = {
        "exponent": (p[0], math.exp(p[1])),
        "floor": (mean * count, (1 - mean) * count),
        "scatter": (p[4], math.exp(p[5])),
    }
    return {name: [round(float(x), 2) for x in row] for name, row in rows.items()}


def main() -> None:
    """Learn, print what forecasts of each domain would have been without it, and write what ships."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    table, without_each = {}, {}
    for batches, domains in STUDIES.items():
        own = [w for domain, studies in domains.items() for study in studies for w in windows(domain, study)]
        in_all = learned(own, START[batches])
        without = {d: learned([w for w in own if w.domain != d], in_all) for d in domains}
        shipped = widened(in_all, list(without.values()))
        table[batches] = as_table(shipped)
        print(
            f"\n{batches} batches: {len(own)} windows; learned {as_table(in_all)}; shipped {table[batches]}", flush=True
        )
        print("\n| left out | clock | reach | forecasts | median abs log error | bias | early, late | runs covered |")
        print("|---|---|---|---|---|---|---|---|")
        # Two domains say little of how domains differ: as wide as what ships, which three say.
        others = {domain: widened(p, list(without.values())) for domain, p in without.items()}
        without_each[batches] = {domain: as_table(p) for domain, p in others.items()}
        for domain in domains:
            for row in told([w for w in own if w.domain == domain], others[domain]):
                print(f"| {domain} | {row} |", flush=True)
    arguments.output.write_text(json.dumps(table, indent=2) + "\n")
    WITHOUT.write_text(json.dumps(without_each, indent=2) + "\n")


if __name__ == "__main__":
    main()
