"""Curves whose truth is known, and files that hold them."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = np.arange(100, 4001, 100)
MINIMUM = 1000


def turning(steps: Floats = STEPS, minimum: float = MINIMUM, *, noise: float = 0.004, seed: int = 0) -> Floats:
    """Falls as a power and rises as one; stationary at the minimum."""
    u, rng = np.asarray(steps) / minimum, np.random.default_rng(seed)
    return (0.2 + 0.1 * (u**-0.6 / 0.6 + u**0.8 / 0.8)) * np.exp(noise * rng.standard_normal(len(u)))


def falling(steps: Floats = STEPS, *, noise: float = 0.004, seed: int = 0) -> Floats:
    return (0.2 + (np.asarray(steps) / 100) ** -0.5) * np.exp(
        noise * np.random.default_rng(seed).standard_normal(len(steps))
    )


def write_csv(file: Path, names: Iterable[str], rows: Iterable[Iterable[object]], *, mode: str = "w") -> Path:
    with file.open(mode, newline="") as lines:
        writer = csv.writer(lines)
        writer.writerows([[*names], *rows] if mode == "w" else rows)
    return file


def write_lines(file: Path, rows: Iterable[dict[str, object]], *, mode: str = "w") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open(mode) as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    return file


def points(values: Floats, steps: Floats = STEPS, name: str = "val_loss") -> list[dict[str, object]]:
    return [{"step": int(step), name: float(value)} for step, value in zip(steps, values, strict=True)]
