"""Learn what forecasts assume from the finished studies, and say how forecasts of a domain left out would have done.

    python experiments/prior/learn.py           # some minutes on one core

Writes src/taumem/analysis/priors.json, which ships, and without.json, the same learned without each domain.

The model has two floors. A study's exponent a, the floor's share of tau at its smallest size and its scatter are drawn
from a population; its runs scatter about its law:

    a ~ Normal(mean, sd)      floor / tau(smallest P) ~ Beta(alpha, beta)
    log(sigma / e) ~ Normal(mean, sd), e: root mean square of the standard errors of the log onsets, as measured
    log tau ~ Normal(log(tau_0 + c P^a), sigma), twins correlated by rho, sqrt(1 - rho) ~ Uniform(0, 1)

The population is what makes most likely what came next: of each three sizes in a row of one seed, the onsets at 2 and 4
times the largest, given those of the three. Windows count alike within a study and clock, those within a domain, and
the three domains in all. How far domains are apart is read off the means that each of them has by itself. A study of an
unknown kind is of a domain not seen: the variance between domains, and that of their mean, is added to the
population's. One of a known kind has the mean of its domain, which is drawn to that of all as far as its few studies
leave it open, and varies as studies of one domain do. The clock that is forecast unless another is asked for, tau_val,
has a population of its own; so have batches of the whole training set.

The exponent k of the batch size, of Adam, is that of joint fits: to the study of each domain at a fixed batch size and
that with batches of the whole training set, which share data and recipe. Its mean is over domains. Its variance is that
between domains, that of their mean, and that over learning rates, which these studies do not vary.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import minimize
from scipy.stats import qmc

from taumem.analysis import Law, Onset, fit_law
from taumem.record import RunKey

HERE = Path(__file__).parent
OUTPUT = HERE.parents[1] / "src/taumem/analysis/priors.json"
WITHOUT = HERE / "without.json"
CLOCKS = {"tau_val": ("tau_val",), "others": ("tau_gap_sym[0.2]", "tau_gap[0.2]", "tau_copy[0.05]")}
STUDIES = {
    "fixed": {
        "images": ("images/fashion",),
        "text": ("text/english", "text/text8"),
        "grammar": ("grammar/uniform", "grammar/masked", "grammar/m4-uniform", "grammar/m4-masked", "grammar/levels"),
    },
    "full": {"images": ("images/full-batch",), "text": ("text/full-batch",), "grammar": ("grammar/full-batch",)},
}
"""By the kind of batches, the studies of each domain."""
KINDS = {"images": "images", "text": "texts", "grammar": "strings"}
"""What records call the items of a domain."""
JOINT = {
    "images": (("images/fashion", 16), ("images/full-batch", None)),
    "text": (("text/english", 64), ("text/full-batch", None)),
    "grammar": (("grammar/masked", 32), ("grammar/full-batch", None)),
}
"""Of each domain the studies that differ in their batch size alone, with that; None where it is P."""
K_BY_RATE = ((0.41, 0.55, 0.78), (0.48, 0.53, 0.69))
"""k of the gap of 20 % on images (a U-Net, B = 8 to 64, Adam at 3e-4, 1e-3, 3e-3) and of that of 10 % on strings (a
small network, 5e-4, 2e-3, 8e-3): of one or two seeds each; the scan's code is not kept."""
N_PILOTS, REACHES = 3, (2, 4)
NAMES = ("exponent mean", "exponent sd", "floor mean", "floor count", "scatter mean", "scatter sd")
START = {
    "fixed": np.array([1.2, math.log(0.2), 0.5, math.log(2.0), 0.0, math.log(0.3)]),
    "full": np.array([0.5, math.log(0.2), 0.5, math.log(2.0), 0.0, math.log(0.3)]),
}
"""Standard deviations and the Beta's alpha + beta as logarithms."""
LOOSE = np.array([0.5, 0.7, 0.2, 0.7, 0.5, 0.7])
"""How far from the start a population may lie: a weak Normal prior on each, which counts as a hundredth of a domain."""
MEANS = ((0, 1), (4, 5))
"""Places of the means that differ from domain to domain, and of the standard deviations about them."""
Z95 = 1.6448536269514722

Floats = NDArray[np.float64]
UNIFORM = np.clip(qmc.Sobol(4, scramble=True, seed=1).random(512), 1e-6, 1 - 1e-6)


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


def windows(domain: str, study: str, clocks: Sequence[str]) -> Iterator[Window]:
    """All of a study, of some clocks."""
    rows = list(csv.DictReader((HERE.parent / f"{study}.onsets.tsv").open(), delimiter="\t"))
    for clock in clocks:
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
    """Mean log density of each domain; its studies and clocks count alike."""
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    for window in own:
        found.setdefault(window.domain, {}).setdefault(window.group, []).append(log_density(window, p))
    return {domain: float(np.mean([np.mean(x) for x in groups.values()])) for domain, groups in found.items()}


def learned(own: Sequence[Window], start: Floats, free: Sequence[int] = range(len(NAMES))) -> Floats:
    """The population under which what came next is likeliest, with these of its parameters free."""
    free = list(free)

    def population(values: Floats) -> Floats:
        p = start.copy()
        p[free] = values
        return p

    def loss(values: Floats) -> float:
        p = population(values)
        if not 0.02 < p[2] < 0.98:
            return 1e6
        return -float(np.mean(list(by_domain(own, p).values()))) + 0.01 * float((((p - start) / LOOSE) ** 2).sum())

    simplex = np.vstack([start[free], start[free] + np.diag(LOOSE[free] / 2)])
    options = {"maxiter": 40 * len(free), "initial_simplex": simplex, "xatol": 0.01, "fatol": 5e-4}
    return population(np.asarray(minimize(loss, start[free], method="Nelder-Mead", options=options).x))


def spread_of_studies(of: dict[str, list[Window]], start: Floats) -> Floats:
    """Standard deviations within a domain of the means that each study has by itself, pooled over domains."""
    squares, freedom = np.zeros(len(start)), 0
    for own in of.values():
        names = sorted({window.group[0] for window in own})
        means = [learned([w for w in own if w.group[0] == name], start, free=(0, 2, 4)) for name in names]
        squares += len(names) * np.var(np.array(means), axis=0)
        freedom += len(names) - 1
    return np.asarray(np.sqrt(squares / freedom))


def of_an_unknown_kind(p: Floats, apart: Floats, n: int) -> Floats:
    """That of a domain not seen, where n domains are so far apart: [parameters], standard deviations of their means."""
    p = p.copy()
    for mean, sd in MEANS:
        p[sd] = 0.5 * math.log(math.exp(2 * p[sd]) + apart[mean] ** 2 * (1 + 1 / n))
    return p


def of_a_kind(p: Floats, own: Floats, apart: Floats, of_studies: Floats, n_studies: int) -> Floats:
    """That of a new study of a domain of which some were seen: its mean drawn to that of all, normal by normal.

    Args:
        p: the population of all.
        own: that of the domain by itself.
        apart: standard deviations of the means of domains.
        of_studies: those of the means of studies within a domain.
        n_studies: of the domain.
    """
    p, all_means = p.copy(), p
    p[2] = (p[2] + own[2]) / 2
    for mean, sd in MEANS:
        within, between = max(math.exp(2 * p[sd]), of_studies[mean] ** 2), max(apart[mean] ** 2, 1e-6)
        precision = n_studies / within + 1 / between
        p[mean] = (own[mean] * n_studies / within + all_means[mean] / between) / precision
        p[sd] = 0.5 * math.log(within + 1 / precision)
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


def batch_exponents(clocks: Sequence[str]) -> dict[str, dict[str, Law]]:
    """By domain and clock the joint law of its studies, with all that is in it free."""
    found: dict[str, dict[str, Law]] = {}
    for domain, studies in JOINT.items():
        for clock in clocks:
            onsets = [o for study, batch_size in studies for o in onsets_of(study, clock, batch_size)]
            if len({o.batch_size == o.n_train for o in onsets if o.usable}) > 1:
                found.setdefault(domain, {})[clock] = fit_law(onsets, exponent=None, floor=True)
    return found


def onsets_of(study: str, clock: str, batch_size: int | None) -> Iterator[Onset]:
    """Of one clock, at this batch size or, where it is None, at P."""
    for row in csv.DictReader((HERE.parent / f"{study}.onsets.tsv").open(), delimiter="\t"):
        if row["clock"] == clock:
            n_train, half = int(row["n_train"]), row["half"] or None
            run = RunKey(n_train, batch_size or n_train, int(row["seed"]), half, experiment=study)
            yield Onset(*(float(row[name]) for name in ("step", "low", "high")), row["censored"], clock, run)


def of_batches(laws: dict[str, dict[str, Law]]) -> list[float]:
    """Mean and standard deviation of k, in a domain and at a rate that were not seen."""
    means = [float(np.mean([law.batch_exponent.value for law in of_domain.values()])) for of_domain in laws.values()]
    over_rates = np.mean([np.var(ks, ddof=1) for ks in K_BY_RATE])
    variance = np.var(means, ddof=1) * (1 + 1 / len(means)) + over_rates
    return [round(float(np.mean(means)), 2), round(math.sqrt(variance), 2)]


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
    shipped: dict[str, dict[str, Any]] = {}
    left_out: dict[str, dict[str, dict[str, dict[str, list[float]]]]] = {}
    for batches, domains in STUDIES.items():
        for clocks, names in CLOCKS.items():
            own = [w for domain, studies in domains.items() for study in studies for w in windows(domain, study, names)]
            of = {domain: [w for w in own if w.domain == domain] for domain in domains}
            in_all = learned(own, START[batches])
            alone = {domain: learned(of[domain], in_all, free=(0, 2, 4)) for domain in domains}
            apart = np.std(np.array(list(alone.values())), axis=0, ddof=1)
            rows = {"unknown": of_an_unknown_kind(in_all, apart, len(domains))}
            if max(map(len, domains.values())) > 1:  # with one study of each, nothing says how those of a kind differ
                of_studies = spread_of_studies(of, in_all)
                for domain, studies in domains.items():
                    rows[KINDS[domain]] = of_a_kind(in_all, alone[domain], apart, of_studies, len(studies))
            table = shipped.setdefault(batches, {})[clocks] = {kind: as_table(p) for kind, p in rows.items()}
            print(f"\n{batches} batches, {clocks}: {len(own)} windows; learned {as_table(in_all)}", flush=True)
            print({domain: as_table(p) for domain, p in alone.items()}, table, sep="\n", flush=True)
            print(
                "\n| left out | clock | reach | forecasts | median abs log error | bias | early, late | runs covered |"
            )
            print("|---|---|---|---|---|---|---|---|")
            for domain in domains:
                rest = {d: of[d] for d in domains if d != domain}
                others = learned([w for d in rest for w in rest[d]], START[batches])
                two = [learned(rest[d], others, free=(0, 2, 4)) for d in rest]
                without = of_an_unknown_kind(others, np.std(np.array(two), axis=0, ddof=1), len(two))
                left_out.setdefault(batches, {}).setdefault(clocks, {})[domain] = as_table(without)
                for row in told(of[domain], without):
                    print(f"| {domain} | {row} |", flush=True)
            for domain in domains:
                for row in told(of[domain], rows.get(KINDS[domain], rows["unknown"])):
                    print(f"| {domain}, not left out | {row} |", flush=True)
    for clocks, names in CLOCKS.items():
        laws = batch_exponents(names)
        shipped.setdefault("batch", {})[clocks] = of_batches(laws)
        print(f"\nk, {clocks}: {shipped['batch'][clocks]}", flush=True)
        for domain, of_domain in laws.items():
            for clock, law in of_domain.items():
                k = law.batch_exponent
                print(f"| {domain} | {clock} | {k.value:.2f} [{k.low:.2f}, {k.high:.2f}] |", flush=True)
    arguments.output.write_text(json.dumps(shipped, indent=2) + "\n")
    WITHOUT.write_text(json.dumps(left_out, indent=2) + "\n")


if __name__ == "__main__":
    main()
