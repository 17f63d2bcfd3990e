"""A study of texts whose truth is known: the held-out loss is lowest at tau_val = 6 P, and copies come after it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from planting import at_step, mean, share

from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord

Tokens = NDArray[np.int16]

ALPHABET = " abcdefghijklmnopqrstuvwxyz"
WINDOW = 64
SIZES = (32, 128, 512)
STEPS_PER_EXAMPLE = 6.0
NGRAM_BITS = {32: 2.61, 128: 2.25, 512: 1.95}
N_ITEMS, N_SAMPLES, N_KEPT = 64, 128, 16
WORDS = re.findall(
    r"\w+",
    "the of and to in is that for it as with be by on this are or an from at which not have when if object value names "
    "module function string class method default given called return list number type must may each statement import "
    "expression argument attribute exception instance keyword operator iterator context",
)


def header(n_train: int, *, seed: int = 0, alphabet: str = ALPHABET, **more: object) -> RunHeader:
    data = DataFacts(
        name="english",
        fingerprint="e9b1" * 16,
        n_train=n_train,
        n_heldout=512,
        item_shape=(WINDOW,),
        kind="texts",
        alphabet=alphabet,
    )
    facts = {"name": "text", "batch_size": 8, "steps": 60 * n_train, "versions": {"taumem": "0.1.0"}}
    return RunHeader(data=data, seed=seed, **{**facts, **more})


def study(folder: Path, sizes: Iterable[int] = SIZES, *, seeds: Sequence[int] = (0, 1), **more: object):
    """Write the runs of a study to disk, and read them back."""
    return [_run(folder, header(n, seed=seed, **more)) for n in sizes for seed in seeds]


def windows(n: int, rng: np.random.Generator) -> Tokens:
    """Windows of words, cut where it falls."""
    text = " ".join(rng.choice(WORDS, size=n * WINDOW))
    numbers = np.array([ALPHABET.index(letter) for letter in text[: n * WINDOW]], dtype=np.int16)
    return numbers.reshape(n, WINDOW)


def _run(folder: Path, run: RunHeader) -> RunRecord:
    n_train = run.data.n_train
    rng = np.random.default_rng([n_train, run.seed])
    tau = STEPS_PER_EXAMPLE * n_train * float(np.exp(0.05 * rng.standard_normal()))
    steps = np.unique(np.round(np.geomspace(8, run.steps, 30)).astype(int))
    items = np.exp(0.15 * np.random.default_rng(run.seed).standard_normal(N_ITEMS))
    facts: list[Measurement] = []
    path = folder / f"P{n_train}-seed{run.seed}"
    with RunRecord.open(path, run) as record:
        for k, step in enumerate(steps):
            u = step / tau
            other, memory = (
                2.1 + 0.22 * (u**-0.5 / 0.5 + u**0.8 / 0.8),
                float(np.clip(0.33 * np.log1p(u**1.4), 0, 0.96)),
            )
            own = other * (1 - memory)
            noise = 1 + 0.01 * rng.standard_normal(N_ITEMS)
            estimates = [mean("heldout_loss", other * items * noise), mean("train_loss", own * items * noise)]
            estimates += [_bits("heldout_bits", 0.85 * other), _bits("train_bits", 0.85 * own)]
            estimates.append(Estimate(quantity="heldout_bits_ngram", value=NGRAM_BITS[n_train], count=512))
            facts += at_step(run, step, estimates)
            if k % 3 == 2:
                facts += at_step(run, step, _looks(memory, u))
                record.keep_arrays(int(step), _texts(memory, rng))
        record.append(facts)
    return RunRecord.read(path)


def _looks(memory: float, u: float) -> list[Estimate]:
    filled, words = float(np.clip(1.4 * memory - 0.3, 0, 1)), float(np.clip(0.2 + 0.35 * np.log1p(4 * u), 0, 0.94))
    return [
        share("copy_fraction", round(max(memory - 0.75, 0) * 2 * N_SAMPLES), N_SAMPLES),
        share("copy_fraction_chance", 0, 512),
        share("infill_copies", round(filled * N_SAMPLES), N_SAMPLES),
        share("infill_copies_chance", 1, N_SAMPLES),
        share("dictionary_words", round(words * 1200), 1200),
        share("dictionary_words_chance", 4850, 5000),
        Estimate(quantity="ngram_divergence[3]", value=0.35 + 0.6 * (1 - words), se=0.02, count=N_SAMPLES),
        Estimate(quantity="ngram_divergence_chance[3]", value=0.31, se=0.02, count=N_SAMPLES),
        Estimate(quantity="heldout_entropy", value=2.2 * (1 - 0.8 * memory), se=0.03, count=N_ITEMS),
        Estimate(quantity="train_entropy", value=2.2 * (1 - 0.95 * memory), se=0.03, count=N_ITEMS),
    ]


def _texts(memory: float, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Ever longer passages of the nearest training text, until it is all of it."""
    nearest, samples = windows(N_KEPT, rng), windows(N_KEPT, rng)
    for k in range(N_KEPT):
        length = int(np.clip(rng.normal(1.5 * memory - 0.4, 0.25), 0, 1) * WINDOW)
        start = int(rng.integers(0, WINDOW - length + 1))
        samples[k, start : start + length] = nearest[k, start : start + length]
    hamming = (samples != nearest).mean(axis=1)
    return {"samples": samples, "nearest": nearest, "hamming": hamming.astype(np.float32), "copied": hamming <= 0.05}


def _bits(quantity: str, value: float) -> Estimate:
    return Estimate(quantity=quantity, value=value, se=0.02, count=N_ITEMS)
