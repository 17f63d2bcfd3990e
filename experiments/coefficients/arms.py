"""Coefficients at small P: one study in many arms, each of which changes one thing of its domain's TOML.

    python experiments/coefficients/arms.py grammar     # all arms of a domain: grammar, mlp, images
    python experiments/coefficients/arms.py mlp base flips

An arm is a folder of runs of its own; what is there is not made again. ``docs/transfer.md`` tells what came out, and
``python experiments/coefficients/table.py`` prints it.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taumem.errors import TaumemError
from taumem.lab.experiment import Experiment
from taumem.lab.loading import load_experiment

sys.path.append(str(Path(__file__).parents[1]))
from making_arms import changed, make_arms

HERE = Path(__file__).parent
DOMAINS = ("grammar", "mlp", "images")
RATES = {"grammar": 1.2e-3, "mlp": 2e-3}
WINDOWS = {"grammar": 0, "mlp": 0.1}
"""What the TOML says, from which the arms depart."""
LONGER = {"rate-0.25": 3.0, "rate-4": 0.7, "flips": 2.0, "shifts-1": 1.5, "flips-shifts-1": 3.0, "dropout-0.1": 1.5}
"""By arm, how much longer its runs may take than the TOML says, until their clocks have been found."""
Changes = Mapping[str, Mapping[str, Any]]


def arms_of(domain: str) -> dict[str, Changes]:
    """The arms of a domain, and what each changes, by section."""
    return dict(_arms(domain))


def _arms(domain: str) -> Iterator[tuple[str, Changes]]:
    yield "base", {}
    if domain == "images":  # a step takes 20 times as long: only what the others cannot tell
        yield from _augmented()
        yield "dropout-0.1", {"model": {"dropout": 0.1}}
        yield "ema-0.1", {"training": {"ema_window": 0.1}}
        return
    for factor in (0.25, 4):
        yield f"rate-{factor:g}", {"training": {"learning_rate": factor * RATES[domain]}}
    for factor in (0.5, 2):
        yield f"width-{factor:g}", {"model": _widths(domain, factor)}
    for decay in (0.1, 1):
        yield f"decay-{decay:g}", {"training": {"weight_decay": decay}}
    for window in (0, 0.05, 0.2):
        if window != WINDOWS[domain]:
            yield f"ema-{window:g}", {"training": {"ema_window": window}}
    if domain == "grammar":
        yield "m-4", {"data": {"m": 4}}
        yield "v-16", {"data": {"v": 16}}
    else:
        yield from _augmented()
        yield "flips-shifts-1", {"training": {"flips": True, "shifts": 1}}
        yield "size-12", {"data": {"size": 12}}


def _widths(domain: str, factor: float) -> dict[str, Any]:
    if domain == "grammar":
        return {"widths": [round(factor * width) for width in (48, 128, 384)]}
    return {"width": round(factor * 128)}


def _augmented() -> Iterator[tuple[str, Changes]]:
    yield "flips", {"training": {"flips": True}}
    yield "shifts-1", {"training": {"shifts": 1}}


def experiment_of(domain: str, arm: str) -> Experiment:
    """An arm's experiment."""
    base, changes = load_experiment(HERE / f"{domain}.toml"), arms_of(domain)[arm]
    longer = LONGER.get(arm, 1.0)
    lengths = {
        "steps_per_example": round(base.training.steps_per_example * longer, 2),
        "min_steps": round(base.training.min_steps * max(1, longer)),
    }
    training = lengths | dict(changes.get("training", {}))
    return changed(base, f"coefficients-{domain}-{arm}", {**changes, "training": training})


if __name__ == "__main__":
    try:
        make_arms(__doc__.splitlines()[0], {name: arms_of(name) for name in DOMAINS}, experiment_of, HERE / "runs")
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
