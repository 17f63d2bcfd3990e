"""Do the law's 90 % intervals hold 90 % of the time? Simulated studies with a planted law.

Each study plants tau = 8 P^a, scatters it by sigma = 0.15 in log (the spread between seeds that prototypes
measured), censors it, fits the law, and asks whether the planted exponent, the planted prefactor, and a new
run at 2, 4 and 8 times the largest size fall into their intervals.

    python benchmarks/law_calibration.py [--studies 500] [--seed 0] [--json FILE]

Censoring: `right` ends each run of the largest size at that size's median onset, so that about half of them
are censored; `grid` knows each onset only as an interval between checks whose steps grow by a ratio of 1.2;
`both` does both. The sizes are 32, 64, 128 (2 runs each), or 16 to 256 (3 runs each).
"""

import argparse
import json
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from taumem.analysis import Onset, fit_law
from taumem.errors import TaumemWarning
from taumem.record import RunKey

PREFACTOR, SIGMA, CONFIDENCE = 8.0, 0.15, 0.9
DESIGNS = {"3 x 2": ((32, 64, 128), 2), "5 x 3": ((16, 32, 64, 128, 256), 3)}
CENSORINGS = ("none", "right", "grid", "both")
REACHES = (2, 4, 8)


@dataclass(frozen=True)
class Setting:
    """One row of the table: what is planted and how it is fitted."""

    design: str
    censoring: str
    planted: float | str  # "1 ± 0.1": drawn anew for each study
    fit: str  # free, fixed, prior

    @property
    def exponent(self) -> float | tuple[float, float] | None:
        return {"free": None, "fixed": 1.0, "prior": (1.0, 0.1)}[self.fit]


def settings() -> Iterator[Setting]:
    for design in DESIGNS:
        for censoring in CENSORINGS:
            yield Setting(design, censoring, 1.0, "free")
            yield Setting(design, censoring, 1.2, "free")
            yield Setting(design, censoring, 1.0, "fixed")
            yield Setting(design, censoring, "1 ± 0.1", "prior")


def simulated(setting: Setting, exponent: float, rng: np.random.Generator) -> list[Onset]:
    """One study's onsets."""
    sizes, seeds = DESIGNS[setting.design]
    onsets = []
    for size in sizes:
        for seed in range(seeds):
            step = PREFACTOR * size**exponent * math.exp(SIGMA * rng.standard_normal())
            end = PREFACTOR * size**exponent if size == sizes[-1] else math.inf
            onsets.append(_censored(step, end, size, seed, setting.censoring))
    return onsets


def _censored(step: float, end: float, size: int, seed: int, censoring: str) -> Onset:
    run = RunKey(size, 16, seed=seed)
    if censoring in ("right", "both") and step > end:
        return Onset(end, end, math.inf, "right", "tau", run)
    if censoring in ("grid", "both"):
        look = math.floor(math.log(step) / math.log(1.2))
        # the run is also looked at when it ends
        low, high = 1.2**look, 1.2 ** (look + 1)
        high = min(high, end) if censoring == "both" else high
        return Onset(math.sqrt(low * high), low, high, "interval", "tau", run)
    return Onset(step, step, step, "no", "tau", run)


def coverage(setting: Setting, studies: int, seed: int = 0) -> dict[str, float]:
    """Share of studies whose interval holds the planted value, by quantity; and how often a = 1 is not."""
    # Each row has draws of its own: with shared ones, all rows would err together.
    rng = np.random.default_rng([seed, list(settings()).index(setting)])
    largest = DESIGNS[setting.design][0][-1]
    hits: dict[str, list[bool]] = {}
    for _ in range(studies):
        drawn = isinstance(setting.planted, str)
        exponent = float(1 + 0.1 * rng.standard_normal()) if drawn else float(setting.planted)
        law = fit_law(simulated(setting, exponent, rng), exponent=setting.exponent, confidence=CONFIDENCE)
        if setting.fit != "fixed":
            hits.setdefault("exponent", []).append(exponent in law.exponent)
        hits.setdefault("prefactor", []).append(PREFACTOR in law.prefactor)
        for reach in REACHES:
            new = PREFACTOR * (reach * largest) ** exponent * math.exp(SIGMA * rng.standard_normal())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TaumemWarning)  # far forecasts are the point here
                hits.setdefault(f"new run {reach}x", []).append(new in law.predict(reach * largest))
        if law.linearity is not None:
            hits.setdefault("a = 1 refused", []).append(law.linearity < 1 - CONFIDENCE)
    return {name: float(np.mean(found)) for name, found in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    columns = ["exponent", "prefactor", *(f"new run {r}x" for r in REACHES), "a = 1 refused"]
    print(f"{'design':7} {'censored':9} {'planted a':10} {'fit':6} " + " ".join(f"{c:>13}" for c in columns))
    rows = []
    for setting in settings():
        found = coverage(setting, arguments.studies, arguments.seed)
        rows.append({**setting.__dict__, **found})
        cells = " ".join(f"{100 * found[c]:12.1f}%" if c in found else f"{'':>13}" for c in columns)
        print(
            f"{setting.design:7} {setting.censoring:9} {setting.planted!s:10} {setting.fit:6} {cells}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"studies": arguments.studies, "confidence": CONFIDENCE, "rows": rows}, indent=2)
        )


if __name__ == "__main__":
    main()
