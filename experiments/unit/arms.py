"""The law's own unit: one study in many arms, which differ in batch size, rate, optimizer and schedule.

    python experiments/unit/arms.py images             # all arms of a domain: images, text, grammar, mlp
    python experiments/unit/arms.py grammar sgd-0.1-B16

An arm is the domain's TOML with the changes below, a folder of runs of its own; what is there is not made again. The
rates span a factor of 16 with Adam; batches hold 8 (or 16), 32 (or 64) or all P examples. ``docs/unit.md`` tells what
came out, and ``python experiments/unit/tables.py`` prints it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taumem.errors import TaumemError
from taumem.lab.experiment import Experiment
from taumem.lab.loading import load_experiment

sys.path.append(str(Path(__file__).parents[1]))
from making_arms import changed, make_arms

HERE = Path(__file__).parent
DOMAINS = ("grammar", "images", "text", "mlp")
BATCHES: dict[str, tuple[Any, ...]] = {
    "grammar": (16, 64, "P"),
    "images": (8, 32, "P"),
    "text": (8, 32, "P"),
    "mlp": (16, 64, "P"),
}
MIDDLE = 1.2e-3
RATES = (MIDDLE, 3e-4, 4.8e-3)
LENGTHS = {3e-4: 1.8}
"""How much longer a run takes at a rate."""


def arms_of(domain: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The arms of a domain, and in which settings of the training each differs from the domain's TOML."""
    batches = BATCHES[domain]
    small, whole = batches[0], batches[-1]
    for rate in RATES:
        for batch in batches if domain == "grammar" or rate == MIDDLE else (small, whole):
            yield f"adamw-{rate:g}-B{batch}", {"learning_rate": rate, "batch_size": batch}
    for rate in (0.1, 0.4) if domain == "grammar" else (0.1,):
        for batch in batches if domain == "grammar" else (small, whole):
            sgd = {"optimizer": "sgd", "learning_rate": rate, "batch_size": batch}
            yield f"sgd-{rate:g}-B{batch}", sgd
    for batch in (small, whole):
        if domain != "mlp":
            yield f"cosine-{MIDDLE:g}-B{batch}", {"schedule": "cosine", "batch_size": batch, "stop_at_clock": None}
            yield f"ema-{MIDDLE:g}-B{batch}", {"ema_window": 0.1, "batch_size": batch}
        if domain == "grammar":
            yield f"warmup-{MIDDLE:g}-B{batch}", {"warmup": 200, "batch_size": batch}
            yield f"rmsprop-{MIDDLE:g}-B{batch}", {"optimizer": "rmsprop", "batch_size": batch}


def experiment_of(domain: str, arm: str) -> Experiment:
    """An arm's experiment."""
    base = load_experiment(HERE / f"{domain}.toml")
    changes = {"learning_rate": MIDDLE} | dict(arms_of(domain))[arm]
    batch = changes["batch_size"]
    small, _, whole = BATCHES[domain]
    # Onsets fall about as B^-1/2; with batches of the whole set they grow about as P^1/2.
    longer = LENGTHS.get(changes["learning_rate"], 1.0)
    per_example = (
        base.training.steps_per_example * longer * (1.4 if batch == small else 0.45 if batch == whole else 0.8)
    )
    lengths = {"steps_per_example": round(per_example, 2), "min_steps": round(base.training.min_steps * longer)}
    # A batched program makes many small runs faster, where all have one batch size and one rate.
    together = domain in ("grammar", "mlp") and batch != whole and "schedule" not in changes
    training = lengths | {"together": together} | changes
    return changed(base, f"unit-{domain}-{arm}", {"training": training})


if __name__ == "__main__":
    try:
        every = {name: [arm for arm, _ in arms_of(name)] for name in DOMAINS}
        make_arms(__doc__.splitlines()[0], every, experiment_of, HERE / "runs")
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
