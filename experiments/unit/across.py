"""Forecasts across settings: pilots at one batch size, rate, schedule and optimizer, and targets at others.

    python experiments/unit/across.py grammar        # makes the runs: grammar, images, text
    python experiments/unit/across.py --table        # every forecast against what was measured

``experiments/unit/README.md`` has the rule, which was written down before any of these runs was read.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taumem.errors import TaumemError
from taumem.lab.experiment import Experiment
from taumem.lab.loading import load_experiment
from taumem.lab.studies import sweep

HERE = Path(__file__).parent
SEEDS = (10, 11)
PILOTS: dict[str, tuple[int, ...]] = {"grammar": (32, 64, 128), "images": (16, 32, 64), "text": (16, 32, 64)}
TARGET = {"grammar": 256, "images": 128, "text": 128}
BATCH = {"grammar": 32, "images": 16, "text": 16}
RATE, SGD_RATE = 2e-3, 0.2


def settings_of(domain: str) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """Each setting: its name, whether it is one of pilots, and what of the training differs from the TOML."""
    batch = BATCH[domain]
    usual = {"learning_rate": RATE, "batch_size": batch}
    yield "pilots", True, usual
    yield "batch-quarter", False, usual | {"batch_size": batch // 4}
    yield "batch-x4", False, usual | {"batch_size": 4 * batch}
    yield "batch-whole", False, usual | {"batch_size": "P"}
    yield "rate-x2", False, usual | {"learning_rate": 2 * RATE}
    yield "rate-half", False, usual | {"learning_rate": RATE / 2}
    yield "cosine", False, usual | {"schedule": "cosine", "stop_at_clock": None}
    sgd = {"optimizer": "sgd", "learning_rate": SGD_RATE if domain == "grammar" else SGD_RATE / 2}
    yield "sgd-pilots", True, usual | sgd
    yield "sgd-batch-x4", False, usual | sgd | {"batch_size": 4 * batch}
    yield "sgd-rate-half", False, usual | sgd | {"learning_rate": sgd["learning_rate"] / 2}


def experiment_of(domain: str, name: str) -> Experiment:
    """The experiment of a setting."""
    is_pilot, changes = {of: (pilot, what) for of, pilot, what in settings_of(domain)}[name]
    base = load_experiment(HERE / f"{domain}.toml")
    content = base.model_dump(mode="json")
    longer = 2.0 if name in ("batch-quarter", "rate-half", "sgd-rate-half") else 1.2
    lengths = {"steps_per_example": base.training.steps_per_example * longer}
    content |= {
        "name": f"across-{domain}-{name}",
        "n_train": PILOTS[domain] if is_pilot else (TARGET[domain],),
        "seeds": SEEDS,
    }
    content["training"] |= {"together": domain == "grammar" and is_pilot} | lengths | changes
    return Experiment.model_validate(content)


def main() -> None:
    """Make the runs of a domain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("domain", choices=tuple(PILOTS))
    parser.add_argument("-o", "--output", type=Path, default=HERE / "across", help="folder of the runs")
    parser.add_argument("--workers", type=int, help="processes at once; one per processor if not said")
    asked = parser.parse_args()
    for name, _, _ in settings_of(asked.domain):
        sweep(experiment_of(asked.domain, name), asked.output / asked.domain / name, workers=asked.workers)
        print(f"{asked.domain}/{name}: made", flush=True)


if __name__ == "__main__":
    try:
        main()
    except TaumemError as error:
        raise SystemExit(f"error: {error}") from None
