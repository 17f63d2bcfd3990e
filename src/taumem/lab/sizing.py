"""Sizes that are chosen from the data, and what a study can teach: both before anything is trained."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from taumem.analysis.cautions import few_heldout, full_batches
from taumem.analysis.feasibility import ROUGH
from taumem.analysis.law import FAR
from taumem.analysis.wording import plural, sizes_text
from taumem.data import Split
from taumem.errors import DataError
from taumem.lab.domain import Domain, n_heldout_unless_said
from taumem.lab.experiment import Experiment
from taumem.lab.plan import opened

__all__ = ["Outlook", "outlook", "sized"]

SMALLEST, LARGEST, N_SIZES = 4, 128, 3
"""Of the sizes that are chosen: powers of two. Fewer than 4 items teach nothing; more than 128 take long."""
USUAL_BATCH = 16
"""The largest batch size that is chosen; steps per example are given for it, and grow where a smaller one is."""


def sized(experiment: Experiment) -> Experiment:
    """Choose what an experiment leaves ``"auto"``: its sizes from the data, and a batch size below the smallest.

    The sizes are the largest power of two that the data allow, up to 128, its half and its quarter. With a smaller
    batch a run takes as many more steps per example, so that it sees its training set as often.

    Args:
        experiment: any; one that says all of it is returned as it is.

    Raises:
        DataError: too few items for two sizes.
        ConfigError: items that cannot be counted.
    """
    if isinstance(experiment.n_train, str):
        experiment = experiment.model_copy(update={"n_train": _chosen_sizes(experiment)})
    training = experiment.training
    if training.batch_size != "auto":
        return experiment
    batch_size = min(USUAL_BATCH, _power_of_two_up_to(min(experiment.sizes) - 1))
    per_example = training.steps_per_example * USUAL_BATCH / batch_size
    changes = {"batch_size": batch_size, "steps_per_example": per_example}
    return experiment.model_copy(update={"training": training.model_copy(update=changes)})


def _chosen_sizes(experiment: Experiment) -> tuple[int, ...]:
    models = 2 if experiment.twins else 1
    domain, seed = opened(experiment.data), experiment.seeds[0]
    largest = 2 * SMALLEST
    try:
        split = domain.split(models * largest, seed)
    except DataError as error:
        raise DataError(f"{error} {_needed(experiment)}") from error
    if len(split) < models * largest:
        raise DataError(f"{split.name}: {split.n_items} distinct items are too few. {_needed(experiment)}")
    while largest < LARGEST and (len(split) >= 2 * models * largest or _has(domain, 2 * models * largest, seed)):
        largest *= 2
    return tuple(size for k in reversed(range(N_SIZES)) if (size := largest // 2**k) >= SMALLEST)


def _has(domain: Domain, n_train: int, seed: int) -> bool:
    """Whether there are so many items to train on; a domain may look at no more of them than it is asked for."""
    try:
        return len(domain.split(n_train, seed)) >= n_train
    except DataError:
        return False


def _needed(experiment: Experiment) -> str:
    """How many items the smallest study takes, as a sentence."""
    alone, both = (_least(experiment, models) for models in (1, 2))
    pilots = f"Pilots of P = {SMALLEST} and {2 * SMALLEST}"
    if experiment.twins:
        return f"{pilots}, two models each on disjoint sets, need {both} in all; {alone} with twins = false."
    return f"{pilots} need {alone} in all."


def _least(experiment: Experiment, models: int) -> int:
    said = getattr(experiment.data, "n_heldout", None)
    train = 2 * SMALLEST * models
    return next(n for n in count(train) if n - (said or n_heldout_unless_said(n)) >= train)


def _power_of_two_up_to(n: int) -> int:
    """The largest power of two that does not exceed n; 1 at least."""
    return 1 << max(n.bit_length() - 1, 0)


@dataclass(frozen=True)
class Outlook:
    """What a study will be, and what it can teach.

    Attributes:
        line: what is there and what is made of it.
        cautions: what speaks against it.
    """

    line: str
    cautions: tuple[str, ...]


def outlook(experiment: Experiment) -> Outlook:
    """Say what a study will be, and what it can teach.

    Args:
        experiment: with its sizes (see :func:`sized`).

    Raises:
        TaumemError: the data are not there, or cannot be used.
    """
    models = 2 if experiment.twins else 1
    domain = opened(experiment.data)
    split = domain.split(models * max(experiment.sizes), experiment.seeds[0])
    counted = experiment.data.counts_items
    there = f"{split.n_items:,} items, " if counted and experiment.data.holds_all else ""
    batch = experiment.training.batch_size
    line = (
        f"{split.name}: {there}{len(split.heldout):,} held out; P = {sizes_text(list(experiment.sizes))}, "
        f"{plural(len(experiment.seeds), 'seed')}, {plural(models, 'model')} each, batches of {batch}, "
        f"{_range(*(experiment.steps(of_all(experiment.sizes)) for of_all in (min, max)))} steps."
    )
    kind = domain.facts(split.first(1)).kind
    cautions = _cautions(experiment, split, counts_copies=kind != "strings", counted=counted)
    return Outlook(line, tuple(cautions))


def _range(least: int, most: int) -> str:
    """Two numbers, or the one that they are.

    >>> _range(60, 1200), _range(60, 60)
    ('60 to 1,200', '60')
    """
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _cautions(experiment: Experiment, split: Split, *, counts_copies: bool, counted: bool) -> Iterator[str]:
    sizes, batch_size = experiment.sizes, experiment.training.batch_size
    if isinstance(batch_size, int) and (told := full_batches(sizes, batch_size, exclude="")):
        yield told
    if counts_copies and experiment.monitor.n_samples and (told := few_heldout(len(split.heldout), "data.n_heldout")):
        yield told
    reach = int(FAR * max(sizes))
    if counted and max(sizes) < ROUGH:
        yield f"An answer will be rough: pilots end at P = {max(sizes)}, and forecasts reach P = {reach} at most."
    elif counted and len(split) + split.n_more > reach:
        yield (
            f"Forecasts from these reach P = {reach:,} ({FAR:g} times the largest), not all "
            f"{len(split) + split.n_more:,} items: for more give larger ones by n_train, and time."
        )
    if len(sizes) < N_SIZES:
        yield f"{plural(len(sizes), 'size')} only: whether the law is a straight line cannot be seen."
