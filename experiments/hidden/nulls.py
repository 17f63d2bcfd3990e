"""How often the clock of U-turns strikes where nothing is memorized: made-up runs, by the rule as it stands.

    python experiments/hidden/nulls.py        # the sentence in docs/hidden.md

Each item of either set has a depth, drawn from one distribution, from which it comes back; it wanders from look to look
(by a walk with the given share of the depths' spread) and grows over training as models learn, for both sets alike.
"""

import numpy as np

from taumem.analysis import tau_copy
from taumem.record import Curve, Measurement

RUNS, N_ITEMS, LOOKS, TIMES = 400, 64, 10, np.array([0.2, 0.4, 0.6, 0.8])


def main() -> None:
    """Print the share of runs in which each threshold is located."""
    rng = np.random.default_rng(0)
    for wander in (0.0, 0.3, 1.0):
        struck = dict.fromkeys((0.05, 0.1, 0.2), 0)
        for _ in range(RUNS):
            curves = [returns(rng, wander, name) for name in ("uturn_returns", "uturn_returns_chance")]
            for threshold in struck:
                struck[threshold] += tau_copy(*curves, threshold=threshold).censored != "right"
        told = ", ".join(f"tau_uturn[{x:g}] {100 * count / RUNS:.1f} %" for x, count in struck.items())
        print(f"wandering {wander:g}: {told} of {RUNS} runs")


def returns(rng: np.random.Generator, wander: float, quantity: str) -> Curve:
    """The share that comes back, averaged over times, at each look."""
    learned = np.linspace(0, 0.4, LOOKS)[:, None]
    steps = wander * 0.2 * rng.standard_normal((LOOKS, N_ITEMS)) / LOOKS**0.5
    depth = 0.1 + learned + 0.2 * rng.standard_normal(N_ITEMS) + steps.cumsum(axis=0)
    values = (depth[..., None] > TIMES).mean(axis=(1, 2))
    rows = [
        Measurement(quantity=quantity, value=float(v), count=N_ITEMS, step=64 * 2**k, examples=1, seconds=0)
        for k, v in enumerate(values)
    ]
    return Curve.from_measurements(quantity, rows)


if __name__ == "__main__":
    main()
