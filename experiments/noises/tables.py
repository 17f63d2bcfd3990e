"""What came out of experiments/noises: when each kind of noise and target memorizes, and how well it denoises then.

    python experiments/noises/tables.py            # from the sealed studies beside this file, or their folders

Tables in Markdown, as docs/noises.md has them.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from taumem import RunRecord, find_onsets, read_runs
from taumem.analysis import Onset
from taumem.errors import TaumemError

HERE = Path(__file__).parent
CLOCKS = {
    "images": ("tau_val", "tau_gap[0.1]", "tau_gap[0.2]", "tau_copy[0.05]"),
    "text": ("tau_val", "tau_gap[0.2]", "tau_gap_sym[0.2]", "tau_infill[0.1]", "tau_copy[0.05]"),
}
REFERENCE = {"images": "cosine, v", "text": "masked"}
RATIO = 0.85
"""sigma_t / alpha_t at which denoisers are compared: about the middle of the times of the losses."""
SIZES = {"images": 32, "text": 32}
"""P at which arms are compared, by the law of each where it has onsets of several sizes."""


@dataclass(frozen=True)
class Fit:
    """log tau = log c + a log P by least squares, with the scatter of all arms pooled.

    Attributes:
        a: the exponent, and half of its 90 % interval; None from one size.
        at_size: log tau at the domain's size, and half of its interval.
    """

    a: tuple[float, float] | None
    at_size: tuple[float, float]


def main() -> None:
    """Print a table for each domain."""
    for domain in CLOCKS:
        if (HERE / domain).is_dir() or (HERE / f"{domain}.sealed").exists():
            print(f"\n{domain}\n")
            print("\n".join(table(domain, arms_in(domain))))


def arms_in(domain: str) -> dict[str, list[RunRecord]]:
    """The runs of a domain by their kind of noise and target."""
    arms: dict[str, list[RunRecord]] = defaultdict(list)
    for run in read_runs(HERE / domain):
        arms[arm_of(run)].append(run)
    return arms


def arm_of(run: RunRecord) -> str:
    """The name of a kind of noise and target."""
    diffusion = run.header.experiment["diffusion"]
    if diffusion["kind"] == "gaussian":
        return f"{diffusion['schedule']}, {diffusion['weighting']}"
    return str(diffusion["kind"])


def table(domain: str, arms: dict[str, list[RunRecord]]) -> Iterator[str]:
    """A row for each clock and arm: onsets, exponent, tau at one size, and by how much that differs."""
    size = SIZES[domain]
    yield f"| clock | noise | tau at each P | exponent | tau({size}) | of the reference | least held-out error |"
    yield "|---|---|---|---|---|---|---|"
    onsets = {arm: find_onsets(runs) for arm, runs in arms.items()}
    for clock in CLOCKS[domain]:
        own = {arm: [o for o in of if o.clock == clock] for arm, of in onsets.items()}
        fits = fitted({arm: [o for o in of if o.usable] for arm, of in own.items()}, size)
        for arm, of in own.items():
            cells = ["", "", ""]
            if (fit := fits.get(arm)) is not None:
                low, high = (math.exp(fit.at_size[0] + sign * fit.at_size[1]) for sign in (-1, 1))
                cells = [told(fit.a) if fit.a else "", f"{math.exp(fit.at_size[0]):,.0f} [{low:,.0f}, {high:,.0f}]", ""]
                if (other := fits.get(REFERENCE[domain])) is not None and arm != REFERENCE[domain]:
                    shift, half = fit.at_size[0] - other.at_size[0], math.hypot(fit.at_size[1], other.at_size[1])
                    cells[2] = f"{math.exp(shift):.2f} [{math.exp(shift - half):.2f}, {math.exp(shift + half):.2f}]"
            yield f"| `{clock}` | {arm} | {listed(of)} | {' | '.join(cells)} | {quality(domain, arms[arm])} |"


def fitted(onsets: dict[str, Sequence[Onset]], size: int) -> dict[str, Fit]:
    """The law of each arm, and where there are onsets of one size alone, their mean."""
    several = {arm: len({o.n_train for o in of}) > 1 for arm, of in onsets.items()}
    rows = {arm: of for arm, of in onsets.items() if several[arm] or {o.n_train for o in of} == {size}}
    rest, designs, found = [], {}, {}
    for arm, of in rows.items():
        columns = [np.ones(len(of)), np.log([o.n_train / size for o in of])]
        designs[arm] = np.column_stack(columns[: 1 + several[arm]])
        y = np.log([o.step for o in of])
        found[arm], *_ = np.linalg.lstsq(designs[arm], y, rcond=None)
        rest.append(y - designs[arm] @ found[arm])
    freedom = sum(design.shape[0] - design.shape[1] for design in designs.values())
    if freedom < 2:
        return {}
    scatter = math.sqrt(sum(float(r @ r) for r in rest) / freedom)
    fits = {}
    for arm, design in designs.items():
        halves = stdtrit(freedom, 0.95) * scatter * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
        exponent = (found[arm][1], halves[1]) if several[arm] else None
        fits[arm] = Fit(exponent, (found[arm][0], halves[0]))
    return fits


def listed(onsets: Sequence[Onset]) -> str:
    """The mean onset of each size (geometric); where some were not reached, the last step of those."""
    cells = []
    for size in sorted({o.n_train for o in onsets}):
        of = [o for o in onsets if o.n_train == size]
        reached = [o.step for o in of if o.usable]
        if len(reached) == len(of):
            cells.append(f"{np.exp(np.log(reached).mean()):,.0f}")
        else:
            cells.append(f">{max(o.low for o in of if not o.usable):,.0f}")
    return ", ".join(cells)


def quality(domain: str, runs: Sequence[RunRecord]) -> str:
    """The least held-out error over training at the largest P: of images |x0 - x0_hat|^2 at one noise; of text bits."""
    largest = max(run.header.key.n_train for run in runs)
    at = [run for run in runs if run.header.key.n_train == largest]
    values = [bits_of(run) if domain == "text" else error_of(run) for run in at]
    return "" if None in values else f"{np.mean([v for v in values if v is not None]):.4f}"


def bits_of(run: RunRecord) -> float | None:
    """Bits per symbol of held-out text, at their least."""
    if "heldout_bits" not in run.quantities:
        return None
    return float(min(run.curve("heldout_bits").values))


def error_of(run: RunRecord) -> float:
    """The squared error of a pixel at sigma / alpha = RATIO, at its least, between the times that were asked."""
    diffusion = run.header.experiment["diffusion"]
    points = []
    for t in run.header.experiment["monitor"]["times"]:
        ratio, weight = ratio_and_weight(diffusion["schedule"], diffusion["weighting"], t)
        points.append((math.log(ratio), np.log(np.array(run.curve("heldout_loss", t=t).values) / weight)))
    places, errors = np.array([p for p, _ in points]), np.stack([e for _, e in points], axis=1)
    return min(math.exp(np.interp(math.log(RATIO), places, row)) for row in errors)


def ratio_and_weight(schedule: str, weighting: str, t: float) -> tuple[float, float]:
    """sigma_t / alpha_t, and the weight of the squared error of x0 in the loss."""
    alpha, sigma = {
        "cosine": (math.cos(math.pi * t / 2), math.sin(math.pi * t / 2)),
        "flow": (1 - t, t),
        "exploding": (1.0, 0.01 * 8000**t),
    }[schedule]
    out = sigma * 0.5 / math.hypot(0.5, sigma) if schedule == "exploding" else sigma
    return sigma / alpha, {"x0": 1.0, "eps": (alpha / sigma) ** 2, "v": out**-2}[weighting]


def told(pair: tuple[float, float]) -> str:
    """A number with half its interval."""
    return "{:.2f} ± {:.2f}".format(*pair)


if __name__ == "__main__":
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
