"""How alike the samples of two models are that were made from the same noise: the models agree, or have parted.

They agree while both learn the data's distribution, and part when each learns its own training set by heart.

Reference: Kadkhodaie, Guth, Simoncelli and Mallat (2024), arXiv:2310.02557, on two models that agree.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.twins import find_twins
from taumem.errors import ConfigError
from taumem.record import Curve, Estimate, Measurement, RunRecord

__all__ = [
    "agreement",
    "agreement_and_chance",
    "agreement_chance",
    "agreement_curve",
    "agreement_measurements",
    "agreement_of_twins",
    "agreement_or_none",
    "sampled_steps",
]

Floats = NDArray[np.float64]


def agreement(samples_a: NDArray[np.generic], samples_b: NDArray[np.generic]) -> Estimate:
    """How alike two models' samples from the same initial noise are.

    Of images (floats), the mean cosine similarity, centered: the mean image over both sets is subtracted from each
    sample first, since without it any two pictures look alike. A sample that equals the mean image has no direction
    and counts 0. Of tokens (integers), whose numbers are names, the mean share of positions with equal symbols.

    Args:
        samples_a: samples of one model, [n, ...].
        samples_b: samples of the other, made from the same initial noise in the same order.

    Returns:
        ``agreement`` in [-1, 1] of images and in [0, 1] of tokens, its standard error over pairs, and the similarity of
        each pair as items.

    Raises:
        ConfigError: the two do not have the same shape, are of different kinds or not finite, or fewer than 2 pairs
            came.

    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> agreement(x, x).value
    1.0
    >>> agreement(np.array([[0, 1, 2, 3], [4, 5, 6, 7]]), np.array([[0, 1, 2, 9], [4, 5, 9, 9]])).value
    0.625
    """
    samples_a, samples_b = _pairs(samples_a, samples_b)
    return _average("agreement", _similarity(samples_a, samples_b))


def agreement_chance(samples_a: NDArray[np.generic], samples_b: NDArray[np.generic]) -> Estimate:
    """The agreement of samples that do *not* share their noise: the pairs are shifted cyclically by one.

    Args:
        samples_a: samples of one model, [n, ...]: floats of images, or integers of tokens.
        samples_b: samples of the other, of the same shape and kind.

    Raises:
        ConfigError: as in :func:`agreement`.
    """
    samples_a, samples_b = _pairs(samples_a, samples_b)
    return _average("agreement_chance", _similarity(samples_a, samples_b, shift=1))


def sampled_steps(a: RunRecord, b: RunRecord) -> list[int]:
    """The steps at which both runs kept samples, ascending."""
    return sorted(set(a.array_steps()) & set(b.array_steps()))


def agreement_curve(a: RunRecord, b: RunRecord) -> Curve:
    """The agreement of two runs over training: as it was recorded, and elsewhere from the samples they kept.

    Args:
        a: one run.
        b: the other; its samples come from the same initial noise at each step.

    Raises:
        ConfigError: no step has samples of both runs, or they do not pair up.
    """
    curve = agreement_or_none(a, b)
    if curve is None:
        raise ConfigError(f"{a.path} and {b.path}: no step has samples of both runs; sample both at the same steps.")
    return curve


def agreement_or_none(a: RunRecord, b: RunRecord) -> Curve | None:
    """The same; None where the runs have neither a record of it nor samples at one step.

    Raises:
        ConfigError: the samples of a step do not pair up.
    """
    return _joined(a, b, "agreement", agreement_measurements(a, b, chance=False))


def agreement_and_chance(a: RunRecord, b: RunRecord) -> tuple[Curve | None, Curve | None]:
    """The agreement of two runs over training, and its chance level; each None as in :func:`agreement_or_none`.

    Raises:
        ConfigError: the samples of a step do not pair up.
    """
    fresh = agreement_measurements(a, b)
    return _joined(a, b, "agreement", fresh), _joined(a, b, "agreement_chance", fresh)


def agreement_measurements(a: RunRecord, b: RunRecord, *, chance: bool = True) -> list[Measurement]:
    """What the samples that two runs kept say of their agreement where it was not recorded.

    Args:
        a: one run.
        b: the other; its samples come from the same initial noise at each step.
        chance: whether to say its chance level too.

    Raises:
        ConfigError: the samples of a step do not pair up.
    """
    curves = [record.curve_or_none("agreement") for record in (a, b)]
    recorded = {step for curve in curves if curve is not None for step in curve.steps.tolist()}
    found = []
    for step in sampled_steps(a, b):
        if step in recorded:
            continue
        of_a, of_b = (record.arrays(step).get("samples") for record in (a, b))
        if of_a is None or of_b is None or len(of_a) == len(of_b) < 2:
            continue
        if not (np.isfinite(of_a).all() and np.isfinite(of_b).all()):
            continue  # a model had diverged, in a record from before that was refused
        estimates = [agreement(of_a, of_b)]
        if chance:  # of which no items are kept: they are another pairing's
            estimates.append(agreement_chance(of_a, of_b).model_copy(update={"items": None}))
        examples = step * a.header.batch_size
        found += [Measurement.of(each, step=step, examples=examples, seconds=0.0) for each in estimates]
    return found


def agreement_of_twins(records: Sequence[RunRecord]) -> dict[Path, list[Measurement]]:
    """The agreement of all twins among some runs: what must be added to the first of a pair before samples are dropped.

    Returns:
        Measurements by the path of the run on half ``a``.
    """
    return {a.path: agreement_measurements(a, b) for a, b in find_twins(records)}


def _joined(a: RunRecord, b: RunRecord, quantity: str, fresh: Sequence[Measurement]) -> Curve | None:
    """A quantity of a pair as one of the two recorded it, with what was not recorded."""
    recorded = next((record for record in (a, b) if record.curve_or_none(quantity) is not None), None)
    rows = [m for m in fresh if m.quantity == quantity]
    if recorded is not None and not rows:
        return recorded.curve_or_none(quantity)
    rows += [m for m in recorded.measurements if m.quantity == quantity] if recorded is not None else []
    return Curve.from_measurements(quantity, rows) if rows else None


def _pairs(
    samples_a: NDArray[np.generic], samples_b: NDArray[np.generic]
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    samples_a, samples_b = np.asarray(samples_a), np.asarray(samples_b)
    for samples in (samples_a, samples_b):
        if samples.dtype.kind not in "fiu" or not np.isfinite(samples).all():
            n_bad = sum(not np.isfinite(s).all() for s in samples) if samples.dtype.kind == "f" else len(samples)
            raise ConfigError(
                f"agreement compares finite floats or integers; {n_bad} of {len(samples)} samples hold others "
                f"({samples.dtype}): a model or its sampler has diverged, or they are no samples."
            )
    if samples_a.shape != samples_b.shape or len(samples_a) < 2:
        raise ConfigError(
            "agreement compares two sets of at least 2 samples of the same shape [n, ...]; "
            f"got {samples_a.shape} and {samples_b.shape}."
        )
    if _are_tokens(samples_a) != _are_tokens(samples_b):
        raise ConfigError(
            "agreement compares images with images (floats) or tokens with tokens (integers); "
            f"got {samples_a.dtype} and {samples_b.dtype}."
        )
    return samples_a, samples_b


def _are_tokens(samples: NDArray[np.generic]) -> bool:
    return np.issubdtype(samples.dtype, np.integer)


def _similarity(samples_a: NDArray[np.generic], samples_b: NDArray[np.generic], *, shift: int = 0) -> Floats:
    """How alike the two samples of each pair are; ``shift`` places lie between them."""
    if _are_tokens(samples_a):
        equal = samples_a == np.roll(samples_b, shift, axis=0)
        shares: Floats = equal.reshape(len(equal), -1).mean(axis=1)
        return shares
    a, b = _centered(samples_a, samples_b)
    return _cosine(a, np.roll(b, shift, axis=0))


def _centered(samples_a: NDArray[np.generic], samples_b: NDArray[np.generic]) -> tuple[Floats, Floats]:
    a, b = (np.asarray(s, dtype=np.float64).reshape(len(s), -1) for s in (samples_a, samples_b))
    mean = (a.mean(0) + b.mean(0)) / 2
    return a - mean, b - mean


def _cosine(a: Floats, b: Floats) -> Floats:
    product = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine: Floats = np.divide(np.sum(a * b, axis=1), product, out=np.zeros(len(a)), where=product > 0)
    return cosine


def _average(quantity: str, similarity: Floats) -> Estimate:
    return Estimate(
        quantity=quantity,
        value=float(similarity.mean()),
        se=float(similarity.std(ddof=1) / np.sqrt(len(similarity))),
        count=len(similarity),
        items=tuple(similarity.tolist()),
    )
