"""Runs with planted curves: the truth is known, the record is a real one on disk."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taumem.record import Curve, DataFacts, Estimate, Measurement, RunHeader, RunRecord

Floats = NDArray[np.float64]

STEPS = np.unique(np.round(np.geomspace(10, 4000, 40)).astype(int))
_folders: Iterator[int] = count()


def header(n_train: int = 64, *, seed: int = 0, half: str | None = None, **more: object) -> RunHeader:
    data = DataFacts(name="planted", fingerprint="0", n_train=n_train, n_heldout=64, item_shape=(2,))
    return RunHeader(name="study", data=data, seed=seed, half=half, batch_size=16, steps=4000, **more)


def heldout(steps: Floats, minimum: float) -> Floats:
    """Falls as a power, rises as a power; stationary at `minimum`."""
    u = steps / minimum
    return 0.2 + 0.1 * (u**-0.6 / 0.6 + u**0.8 / 0.8)


def items_of(values: Floats, n_items: int, rng: np.random.Generator, *, noise: float = 0.0) -> Floats:
    """Per-item losses [checks, items] around a mean curve: they differ in level and scale, as images do."""
    scale = np.exp(0.3 * rng.standard_normal(n_items))
    items = values[:, None] * scale + 0.05 * rng.standard_normal(n_items)
    items += noise * rng.standard_normal((len(values), n_items))
    return items - items.mean(1, keepdims=True) + values[:, None]


def curve(quantity: str, steps: Floats, items: Floats) -> Curve:
    rows = [
        Measurement(
            quantity=quantity,
            value=i.mean(),
            items=tuple(i),
            count=len(i),
            step=int(s),
            examples=int(s) * 16,
            seconds=0.0,
        )
        for s, i in zip(steps, items, strict=True)
    ]
    return Curve.from_measurements(quantity, rows)


def share_curve(quantity: str, steps: Floats, copies: list[int], n: int) -> Curve:
    rows = [
        Measurement(quantity=quantity, value=k / n, count=n, step=int(s), examples=int(s) * 16, seconds=0.0)
        for s, k in zip(steps, copies, strict=True)
    ]
    return Curve.from_measurements(quantity, rows)


def written(folder: Path, run: RunHeader, curves: list[Curve], samples: dict[int, Floats] | None = None) -> RunRecord:
    """Put curves (and samples) into a record on disk, and read it back."""
    path = folder / f"run{next(_folders)}"
    with RunRecord.open(path, run) as record:
        for c in curves:
            for k in range(len(c)):
                items = None if c.items is None else tuple(c.items[k].tolist())
                estimate = Estimate(quantity=c.quantity, value=c.values[k], items=items, count=int(c.counts[k]))
                step = int(c.steps[k])
                record.append([Measurement.of(estimate, step=step, examples=step * run.batch_size, seconds=0.0)])
        for step, array in (samples or {}).items():
            record.keep_arrays(step, {"samples": array})
    return RunRecord.read(path)


def twins(
    folder: Path, crossing: Callable[[Floats], Floats], *, n_train: int = 64, seed: int = 0
) -> tuple[RunRecord, RunRecord]:
    """Two runs whose symmetrized gap is `crossing(steps)`; set B is harder than set A by a third."""
    rng = np.random.default_rng(seed)
    steps = STEPS.astype(float)
    other = heldout(steps, 8.0 * n_train)
    own = other * (1 - crossing(steps))
    curves: dict[str, list[Curve]] = {"a": [], "b": []}
    for half, partner, level in (("a", "b", 1.0), ("b", "a", 4 / 3)):
        base = items_of(level * other, 48, rng)
        curves[half].append(curve("train_loss", steps, base * (own / other)[:, None]))
        curves[half].append(curve("heldout_loss", steps, items_of(other, 48, rng)))
        curves[partner].append(curve("twin_loss", steps, base))
    a = written(folder, header(n_train, seed=seed, half="a"), curves["a"])
    b = written(folder, header(n_train, seed=seed, half="b"), curves["b"])
    return a, b
