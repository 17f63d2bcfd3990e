"""The figure of docs/guard.md: where each rule stops, beside tau_val and the first copies.

python experiments/guard/figure.py docs/figures/guard-stops.png
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from tables import LOOPS, RULES, runs

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from PIL import Image

COLORS = {"quality": "#8a5fbf", "balanced": "#1f7a8c", "no_copies": "#c0562f", "privacy": "#6b7280"}


def main() -> None:
    """Draw it."""
    path = Path(sys.argv[1])
    loops = [loop for loop in LOOPS if runs("heldout", loop)]
    figure, axes = plt.subplots(1, len(loops), figsize=(3.1 * len(loops), 2.9), sharey=True, constrained_layout=True)
    for axis, loop in zip(axes, loops, strict=True):
        lines = [line for line in runs("heldout", loop) if line["tau_val"]]
        for place, rule in enumerate(RULES):
            over = [
                line["rules"][rule]["stop"]["step"] / line["tau_val"][0]
                for line in lines
                if line["rules"][rule]["stop"]
            ]
            spread = np.linspace(-0.18, 0.18, len(over)) if over else []
            axis.plot(over, place + np.array(spread), "o", ms=4, color=COLORS[rule], alpha=0.8, mew=0)
        first = [line["tau_copy"][0] / line["tau_val"][0] for line in lines if line["tau_copy"]]
        axis.axvline(1, color="#111827", lw=1)
        axis.axvspan(min(first), max(first), color="#c0562f", alpha=0.12, lw=0)
        axis.axvline(float(np.median(first)), color="#c0562f", lw=1, ls="--")
        axis.set(xscale="log", xlim=(0.3, 12), title=loop, yticks=range(len(RULES)), ylim=(len(RULES) - 0.5, -0.5))
        axis.set_yticklabels(RULES)
        axis.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
        axis.minorticks_off()
        axis.set_xlabel("stop / tau_val")
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
