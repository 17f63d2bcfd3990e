"""Scores that others report, as they define them, so that an audit can be held against theirs.

All of them sum over samples, so that a few copies among many samples hardly move them: see the samples one by one.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.cluster.vq import vq
from scipy.stats import ks_2samp, rankdata
from torch import Tensor

from taumem.analysis.shares import exact_interval
from taumem.audit.cells import centers_of, projected, some_of
from taumem.data.items import as_items
from taumem.errors import ConfigError
from taumem.neighbors import nearest
from taumem.record.audit import Score
from taumem.shapes import Items

__all__ = ["authpct", "c_t", "closer_to_train", "mifid_term", "nn_divergence"]

FEWEST_IN_CELL = 20
"""Samples beyond which a cell counts for C_T."""
NEAR = 0.1
"""Mean cosine distance below which MiFID takes samples for memorized."""
WHOSE = ("mean distance of samples", "mean distance of held-out items")

Floats = NDArray[np.float64]


def c_t(
    train: Items, heldout: Items, generated: Items, *, cells: int = 3, components: int = 64, seed: int = 0
) -> Score:
    """Compare how near samples and held-out items come to training items, cell by cell: C_T.

    Items are projected onto the training set's principal components, and the training set is cut into cells by
    k-means. In each, the distances to the nearest training item of the cell are compared by Mann and Whitney's U (how
    many pairs of a sample and a held-out item have the sample further away), as a z-score with the convention
    ``(U - (n m / 2 - 1 / 2)) / sqrt(n m (n + m + 1) / 12)``. C_T is their mean, weighted by the held-out items of each
    cell, over the cells with more than 20 samples.

    Args:
        train: training items [P, ...].
        heldout: held-out items, of the same shape.
        generated: samples, of the same shape.
        cells: of k-means, at least 1.
        components: principal components; items of no more numbers are taken as they are.
        seed: of the starts of k-means.

    Returns:
        The score; None where no cell has more than 20 samples, a held-out item and a training item. Its parts are the
        z-score of each cell, largest cell first, and how many samples and held-out items are in it.

    Raises:
        DataError: items that cannot be compared.
        ConfigError: no cells, or no components.

    Reference: Meehan, Chaudhuri and Dasgupta 2020, arXiv 2004.05675; the convention is that of Stein et al. 2023,
    arXiv 2306.04675 (dgm-eval).
    """
    if cells < 1 or components < 1:
        raise ConfigError(f"C_T needs at least one cell and one component; got {cells} and {components}.")
    train, heldout, generated = _rows(train, heldout, generated)
    known, fresh, samples = projected(train, (train, heldout, generated), components, seed)
    centers = centers_of(known, cells, seed)
    of_known, of_fresh, of_samples = (vq(rows, centers)[0] for rows in (known, fresh, samples))
    parts: dict[str, float] = {}
    weighted, weights = 0.0, 0
    for number, cell in enumerate(np.argsort(-np.bincount(of_known, minlength=len(centers)), kind="stable"), start=1):
        rows, others, ours = known[of_known == cell], fresh[of_fresh == cell], samples[of_samples == cell]
        parts |= {f"cell {number}: samples": float(len(ours)), f"cell {number}: held-out": float(len(others))}
        if not len(rows) or not len(others) or not len(ours):
            continue
        parts[f"cell {number}"] = z = _z_of_u(_distances(ours, rows), _distances(others, rows))
        if len(ours) > FEWEST_IN_CELL:
            weighted, weights = weighted + len(others) * z, weights + len(others)
    return Score(
        name="c_t",
        label=f"C_T (a z-score over {len(centers)} cells; negative = copying)",
        value=weighted / weights if weights else None,
        meaning="about 0 where samples come as near to training items as held-out items do; below -3 they are nearer "
        "(copying), above 3 further away (underfit)",
        n=len(samples),
        parts=dict(sorted(parts.items())),
    )


def authpct(train: Items, generated: Items, *, heldout: Items | None = None) -> Score:
    """Count samples that are further from their nearest training item than that one is from another: AuthPct.

    Args:
        train: training items [P, ...], at least 2.
        generated: samples, of the same shape.
        heldout: held-out items: what the score is of items that copy nothing, as a part of it.

    Raises:
        DataError: items that cannot be compared.

    Reference: Alaa et al. 2022, arXiv 2102.08921 (authenticity); in percent, as in dgm-eval (Stein et al. 2023, arXiv
    2306.04675). Jiralerspong et al. 2023 (FLD) report it minus 50.
    """
    train, generated, *others = _rows(train, generated, heldout, least=2)
    authentic = _authentic(train, generated)
    fresh = 100 * float(_authentic(train, others[0]).double().mean()) if others else None
    count, n = int(authentic.sum()), len(authentic)
    low, high = exact_interval(count, n)
    return Score(
        name="authpct",
        label="AuthPct (in percent; 100 = far from training items; FLD reports it minus 50)",
        value=100 * count / n,
        meaning="what held-out items give where nothing is copied; towards 0 where samples are copies",
        low=100 * low,
        high=100 * high,
        n=n,
        parts={} if fresh is None else {"held-out items": fresh},
    )


def closer_to_train(train: Items, heldout: Items, generated: Items, *, seed: int = 0) -> Score:
    """Count samples that are closer to a training item than to any held-out item, of equally many of either.

    Samples that are equally far from both sides are left out. Those that are nearest to one item are no independent
    evidence: which side the item came to was drawn once. So the interval is that of as many samples as there would be
    if all counted alike, (sum of s)^2 / (sum of s^2) for s samples at each item.

    Args:
        train: training items [P, ...].
        heldout: held-out items, of the same shape.
        generated: samples, of the same shape.
        seed: of the draw from the larger side.

    Raises:
        DataError: items that cannot be compared.

    Reference: Platzer and Reutterer 2021, arXiv 2104.00635 (share closer to the training than to the holdout set);
    the interval as Korn and Graubard 1998, Surv. Methodol. 24, 193.
    """
    train, heldout, generated = _rows(train, heldout, generated)
    size = min(len(train), len(heldout))
    (to_train, ours), (to_heldout, theirs) = (
        (distances[:, 0].cpu().numpy(), places[:, 0].cpu().numpy())
        for distances, places in (
            nearest(generated, some_of(side, size, seed, name), 1)
            for side, name in ((train, "train"), (heldout, "heldout"))
        )
    )
    is_closer, is_tie = to_train < to_heldout, to_train == to_heldout
    closer, n = int(is_closer.sum()), int((~is_tie).sum())
    at_each = np.bincount(np.where(is_closer, ours, size + theirs)[~is_tie]).astype(float)
    alone = n**2 / max(1.0, float(np.square(at_each).sum()))
    low, high = exact_interval(alone * closer / max(n, 1), alone)
    return Score(
        name="closer_to_train",
        label=f"Share closer to train than to held-out ({size:,} items each; expected 0.5)",
        value=closer / n if n else None,
        meaning="0.5 where nothing is copied; above it where samples are nearer to what was trained on",
        low=low,
        high=high,
        n=n,
        parts={"equally far": float(is_tie.sum()), "samples that count": alone},
    )


def nn_divergence(train: Items, heldout: Items, generated: Items) -> Score:
    """Compare the distances of samples and of held-out items to their nearest training items.

    The score is the largest difference of the two distribution functions, with the sign of where it is: positive where
    samples are nearer. Its parts: both mean distances, the probability that a sample is nearer than a held-out item
    (Mann and Whitney's, 0.5 where they agree), and the p-value of the difference (Kolmogorov and Smirnov's, two-sided).

    Args:
        train: training items [P, ...].
        heldout: held-out items, of the same shape.
        generated: samples, of the same shape.

    Raises:
        DataError: items that cannot be compared.

    Reference: Garnier-Brun et al. 2026, arXiv 2603.03469, compare the same two distributions, of Hamming distances.
    """
    train, heldout, generated = _rows(train, heldout, generated)
    ours, others = (nearest(rows, train, 1)[0][:, 0].cpu().numpy() for rows in (generated, heldout))
    test = ks_2samp(ours, others)
    further = _u(ours, others) / (len(ours) * len(others))
    return Score(
        name="nn_divergence",
        label="Nearest-neighbor divergence (from -1 to 1; positive = nearer to train than held-out items)",
        value=float(test.statistic * test.statistic_sign),
        meaning="about 0 where nothing is copied; positive where samples are nearer to training items than held-out "
        "items are, negative where they are further away",
        n=len(ours),
        parts={
            WHOSE[0]: float(ours.mean()),
            WHOSE[1]: float(others.mean()),
            "probability of being nearer": 1 - further,
            "p": float(test.pvalue),
        },
    )


def mifid_term(train: Items, generated: Items, *, heldout: Items | None = None) -> Score:
    """Average the cosine distances of samples to their nearest training items: what MiFID divides the FID by.

    The distance is ``1 - |cos|``, from 0 to 1. A mean of 0.1 or more counts as not memorized: the term is then 1.

    Args:
        train: training items [P, ...].
        generated: samples, of the same shape.
        heldout: held-out items: their mean distance is a part of the score.

    Raises:
        DataError: items that cannot be compared.

    Reference: Bai et al. 2021, arXiv 2106.03062, from generated to training items; torchmetrics runs the other way,
    from training to generated ones, with the same 0.1.
    """
    train, *others = _rows(train, generated, heldout)
    distances = [_cosine_distance(train, items) for items in others]
    distance = distances[0]
    return Score(
        name="mifid_term",
        label="MiFID's memorization term (generated to train; 1 = not memorized; torchmetrics runs the other way)",
        value=distance if distance < NEAR else 1.0,
        meaning=f"1 where the mean cosine distance to the nearest training item is {NEAR:g} or more, else that "
        "distance; towards 0 where samples are copies; it depends on the features",
        n=len(others[0]),
        parts=dict(zip(WHOSE, distances, strict=False)),
    )


def _rows(first: Items, *others: Items | None, least: int = 1) -> tuple[Float[Tensor, "n d"], ...]:
    """Items as rows of numbers, all of one shape and kind."""
    train = as_items(first, "training items", least=least)
    given = (as_items(items, "items", like=train, least=1) for items in others if items is not None)
    return train.flatten(1), *(items.flatten(1) for items in given)


def _distances(rows: Floats, references: Floats) -> Floats:
    found, _ = nearest(torch.as_tensor(rows), torch.as_tensor(references), 1)
    return np.asarray(found[:, 0])


def _u(ours: Floats, others: Floats) -> float:
    """How many pairs have ours the larger one, and half of those that are equal."""
    n = len(ours)
    return float(rankdata(np.concatenate([ours, others]))[:n].sum() - n * (n + 1) / 2)


def _z_of_u(ours: Floats, others: Floats) -> float:
    n, m = len(others), len(ours)
    return (_u(ours, others) - (n * m / 2 - 0.5)) / float(np.sqrt(n * m * (n + m + 1) / 12))


def _authentic(train: Tensor, items: Tensor) -> Tensor:
    """Whether each item is further from its nearest training item than that one is from another."""
    distance, place = nearest(items, train, 1)
    asked, which = torch.unique(place[:, 0], return_inverse=True)
    spacing = nearest(train[asked], train, 2)[0][:, 1]
    return distance[:, 0] > spacing[which]


def _cosine_distance(train: Tensor, items: Tensor) -> float:
    """The mean over items of the smallest ``1 - |cos|``; items that are 0 throughout point nowhere, at distance 1."""
    known, ours = (_directions(rows) for rows in (train, items))
    if not len(known) or not len(ours):
        return 1.0
    # Of vectors of length 1, half of the squared distance is 1 - cos.
    near = torch.minimum(*(nearest(ours, side, 1)[0][:, 0] for side in (known, -known))).square() / 2
    return float((near.sum() + len(items) - len(ours)) / len(items))


def _directions(rows: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(rows.double(), dim=1)
    directions: Tensor = rows[lengths > 0].double() / lengths[lengths > 0, None]
    return directions
