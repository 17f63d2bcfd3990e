"""A study whose truth is known: losses, gaps, copies and samples follow a planted law tau = 6 P."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from planting import Floats, at_step, mean, share

from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord

STEPS_PER_EXAMPLE = 6.0
N_ITEMS = 96
SIDE = 14
N_SAMPLES = 64
EXCLUDED = frozenset({128})


def header(n_train: int, *, seed: int = 0, half: str | None = None, steps: int = 4000, **more: object) -> RunHeader:
    data = DataFacts(
        name="Planted shapes",
        fingerprint="5f0c" * 16,
        n_train=n_train,
        n_heldout=512,
        item_shape=(1, SIDE, SIDE),
        kind="images",
    )
    facts = {
        "name": "planted",
        "batch_size": 16,
        "versions": {"taumem": "0.1.0", "torch": "2.13.0"},
        "experiment": {"learning_rate": 0.003, "model": "unet"},
    }
    return RunHeader(data=data, seed=seed, half=half, steps=steps, **{**facts, **more})


def study(
    folder: Path,
    sizes: Iterable[int],
    *,
    seeds: Sequence[int] = (0,),
    halves: Sequence[str | None] = ("a", "b"),
    steps: int = 4000,
    samples: bool = True,
    **more: object,
) -> list[RunRecord]:
    """Write the runs of a study to disk, and read them back."""
    return [
        _run(folder, header(size, seed=seed, half=half, steps=steps, **more), samples=samples)
        for size in sizes
        for seed in seeds
        for half in halves
    ]


def _run(folder: Path, run: RunHeader, *, samples: bool) -> RunRecord:
    size, code = run.data.n_train, 0 if run.half != "b" else 1
    rng = np.random.default_rng([size, run.seed, code])
    shared = np.random.default_rng([size, run.seed, 99])
    tau = STEPS_PER_EXAMPLE * size * float(np.exp(0.05 * rng.standard_normal()))
    steps = np.unique(np.round(np.geomspace(8, run.steps, 36)).astype(int))
    u = steps / tau
    other = 0.10 + 0.05 * (u**-0.5 / 0.5 + u**0.8 / 0.8) * 0.5
    own = other * (1 - np.clip(0.15 * u**0.9 / (1 + 0.18 * u**0.9), 0, 0.95))
    scale = {half: np.exp(0.25 * shared.standard_normal(N_ITEMS)) for half in ("a", "b", "heldout")}
    mine, theirs = (scale[run.half or "a"], scale["b" if run.half != "b" else "a"])
    path = folder / f"P{size}-seed{run.seed}{'-' + run.half if run.half else ''}"
    facts: list[Measurement] = []
    with RunRecord.open(path, run) as record:
        rows = {"train_loss": own[:, None] * mine, "heldout_loss": other[:, None] * scale["heldout"]}
        if run.half:
            rows["twin_loss"] = other[:, None] * theirs
        for k, step in enumerate(steps):
            noise = 1 + 0.01 * rng.standard_normal(N_ITEMS)
            estimates = [mean(name, table[k] * noise) for name, table in rows.items()]
            estimates.append(Estimate(quantity="gap", value=1 - own[k] / other[k], se=0.02, count=2 * N_ITEMS))
            auc = 0.5 + 0.5 * (1 - own[k] / other[k]) ** 0.7
            estimates.append(Estimate(quantity="membership_auc", value=auc, se=0.02, count=2 * N_ITEMS))
            facts += at_step(run, step, estimates)
        for step in np.unique(np.round(np.geomspace(16, run.steps, 9)).astype(int)) if samples else []:
            copied = float(np.clip(0.9 * (1 - np.exp(-max(step / tau - 2.5, 0) / 5)), 0, 1))
            copies = share("copy_fraction", round(copied * N_SAMPLES), N_SAMPLES)
            facts += at_step(run, step, [copies, share("copy_fraction_chance", 1, 512)])
            record.keep_arrays(int(step), _samples(size, copied, rng, shared_seed=run.seed, own=code))
        record.append(facts)
    return RunRecord.read(path)


def _samples(size: int, copied: float, rng: np.random.Generator, *, shared_seed: int, own: int) -> dict[str, Floats]:
    """Blobs: both models draw the same ones, until each draws items of its own training set."""
    y, x = np.mgrid[:SIDE, :SIDE]

    def blobs(at: np.random.Generator) -> Floats:
        cy, cx, r = at.uniform(3, SIDE - 3, N_SAMPLES), at.uniform(3, SIDE - 3, N_SAMPLES), at.uniform(4, 12, N_SAMPLES)
        d = (y - cy[:, None, None]) ** 2 + (x - cx[:, None, None]) ** 2
        return (2 * np.exp(-d / r[:, None, None]) - 1)[:, None]

    common = blobs(np.random.default_rng([size, shared_seed]))
    nearest = blobs(np.random.default_rng([size, shared_seed, own, 7]))
    is_copy = np.random.default_rng(5).uniform(size=N_SAMPLES) < copied
    weight = np.where(is_copy, 0.97, 0.3 * copied)[:, None, None, None]
    samples = (1 - weight) * common + weight * nearest + 0.04 * rng.standard_normal(common.shape)
    return {
        "samples": samples.astype(np.float32),
        "nearest": nearest.astype(np.float32),
        "gap_ratio": np.where(is_copy, 0.12, rng.uniform(0.6, 0.98, N_SAMPLES)),
    }
