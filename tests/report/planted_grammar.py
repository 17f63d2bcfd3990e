"""A study of a grammar whose truth is known: levels at planted times, copies from tau_mem = 5 P on."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from planting import Floats, at_step, mean, share

from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord

SYMBOLS, RULES, DEPTH, LENGTH = 6, 3, 3, 8
STARS = tuple(SYMBOLS * RULES ** (level + 1) for level in range(1, DEPTH + 1))  # 54, 162, 486
SIZES = (32, 64, 128, 256, 512, 1024, 2048)
STEPS_PER_EXAMPLE = 5.0
N_SAMPLES, N_ITEMS, N_STRINGS = 512, 64, 24


def tau_level(level: int, n_train: int) -> float:
    """The planted law of each level, in steps."""
    return 2.0 * STARS[level - 1] * (n_train / 486) ** 0.1


def header(n_train: int, *, seed: int = 0, **more: object) -> RunHeader:
    data = DataFacts(
        name="Random Hierarchy Model v=6 m=3 s=2 L=3",
        fingerprint="7a3e" * 16,
        n_train=n_train,
        n_heldout=512,
        item_shape=(LENGTH,),
        kind="strings",
        sample_complexities=STARS,
    )
    facts = {"name": "grammar", "batch_size": 32, "steps": 40 * n_train, "versions": {"taumem": "0.1.0"}}
    return RunHeader(data=data, seed=seed, **{**facts, **more})


def study(
    folder: Path,
    sizes: Iterable[int] = SIZES,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    last: float = 12.0,
    **more: object,
) -> list[RunRecord]:
    """Write the runs of a study to disk, and read them back; each to `last` x tau_mem; seed 0 keeps samples."""
    return [_run(folder, header(n, seed=seed, **more), last) for n in sizes for seed in seeds]


def _run(folder: Path, run: RunHeader, last: float) -> RunRecord:
    n_train = run.data.n_train
    rng = np.random.default_rng([n_train, run.seed])
    tau_mem = STEPS_PER_EXAMPLE * n_train * np.exp(0.06 * rng.standard_normal())
    times = [tau_level(level, n_train) * np.exp(0.05 * rng.standard_normal()) for level in range(1, DEPTH + 1)]
    steps = np.unique(np.round(np.geomspace(16, max(last * tau_mem, 3000), 34)).astype(int))
    path = folder / f"P{n_train}-seed{run.seed}"
    strings = rng.integers(0, SYMBOLS, (N_STRINGS, LENGTH)).astype(np.int16)
    facts: list[Measurement] = []
    with RunRecord.open(path, run) as record:
        for k, step in enumerate(steps):
            copied = float(0.93 * (1 - np.exp(-max(step / tau_mem - 0.9, 0) / 1.5)))
            facts += at_step(run, step, _losses(step, tau_mem, times, n_train, rng))
            if k % 2 == 0:
                learned = _learned(step, times, n_train)
                facts += at_step(run, step, _looks(copied, learned, n_train, rng))
                if run.seed == 0:
                    record.keep_arrays(int(step), _strings(strings, copied, learned, rng))
        record.append(facts)
    return RunRecord.read(path)


def _learned(step: float, times: Sequence[float], n_train: int) -> Floats:
    """Share of novel samples that obey each level: of a level with more rules than P shows, only a few do."""
    most = np.clip(np.array([n_train / star for star in STARS]), 0, 1) ** 1.2
    by_time = [1 / (1 + (step / (0.55 * time)) ** -3.5) for time in times]
    return np.minimum.accumulate(0.985 * most * np.array(by_time))


def _looks(copied: float, learned: Floats, n_train: int, rng: np.random.Generator) -> list[Estimate]:
    copies = int(rng.binomial(N_SAMPLES, copied))
    novel = N_SAMPLES - copies
    valid, left = [], novel
    for level in range(DEPTH):
        below = learned[level - 1] if level else 1.0
        left = int(rng.binomial(left, min(learned[level] / below, 1.0))) if below else 0
        valid.append(left)
    chance = n_train / 13122 * (valid[-1] + copies) / N_SAMPLES
    return [
        *(share(f"valid[{level}]", hits + copies, N_SAMPLES) for level, hits in enumerate(valid, start=1)),
        share("copy_fraction", copies, N_SAMPLES),
        Estimate(quantity="copy_fraction_chance", value=chance, count=N_SAMPLES),
        share("novel_valid", valid[-1], N_SAMPLES),
    ]


def _losses(
    step: float, tau_mem: float, times: Sequence[float], n_train: int, rng: np.random.Generator
) -> list[Estimate]:
    learned = _learned(step, times, n_train)
    above = 0.02 + float(np.sum((1 - learned) * (0.5, 0.35, 0.25))) + 0.25 * max(step / tau_mem - 1, 0) ** 0.7
    items = np.random.default_rng(5).normal(0, 0.12, N_ITEMS) + rng.normal(0, 0.01, N_ITEMS)
    items -= items.mean()
    own = above - 0.6 * (1 - 1 / (1 + (step / (3 * tau_mem)) ** 1.5)) * (above + 0.6)
    return [
        mean("heldout_loss", 0.8 + above + items),
        mean("train_loss", 0.8 + own + items),
        mean("heldout_loss_above_exact", above + items, keep=False),
        mean("train_loss_above_exact", own + items, keep=False),
    ]


def _strings(strings: NDArray[np.int16], copied: float, learned: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    draws = rng.uniform(size=N_STRINGS)
    is_copy = np.random.default_rng(3).uniform(size=N_STRINGS) < copied
    level = (draws[:, None] < learned).sum(1)
    return {
        "samples": np.where(is_copy[:, None], strings, rng.integers(0, SYMBOLS, strings.shape)).astype(np.int16),
        "level": np.where(is_copy, DEPTH, level).astype(np.int8),
        "copied": is_copy,
    }
