"""What the scalars of trainers mean: one table of names, and which of those in a log is the held-out loss.

A name that is not in the table is named by the user; of several that could be meant none is chosen.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from taumem.errors import DataError, nearest_name, option, shortened

__all__ = ["AXES", "NAMES", "Meaning", "Name", "axis_of", "chosen", "meaning_of"]


class Meaning(StrEnum):
    """What a scalar is."""

    HELDOUT = "the held-out loss"
    TRAIN = "the loss on training items that stay the same"
    NOISY = "the loss of training batches: other items and other noise at every step, so neither a curve nor a gap"
    DIFFERENCE = "the held-out loss less a moving average of the loss of training batches: no gap"


@dataclass(frozen=True)
class Name:
    """Some names of scalars that mean the same.

    Attributes:
        pattern: a regular expression for the whole name, in any case of letters.
        shown: the names as a reader writes them.
        trainers: who logs it so.
        meaning: what it is.
        rank: of several held-out losses those with the lowest are asked; if there is one such, it is read.
        in_epochs: whether TensorBoard has it over epochs, though its axis is called step.
    """

    pattern: str
    shown: str
    trainers: str
    meaning: Meaning
    rank: int = 1
    in_epochs: bool = False


_SET = r"(val|valid|validation|eval|held-?_?out)"
_ANY = r"[^/]+"

NAMES: tuple[Name, ...] = (
    Name(r"taumem/heldout_loss", "taumem/heldout_loss", "taumem's guard", Meaning.HELDOUT, 0),
    Name(r"taumem/train_loss", "taumem/train_loss", "taumem's guard", Meaning.TRAIN),
    Name(
        r".*(step|epoch)_divergence",
        "loss/validation/step_divergence, .../epoch_divergence",
        "kohya",
        Meaning.DIFFERENCE,
    ),
    Name(r"loss/validation/step_average", "loss/validation/step_average", "kohya", Meaning.HELDOUT),
    Name(
        r"loss/validation/epoch_average", "loss/validation/epoch_average", "kohya", Meaning.HELDOUT, 2, in_epochs=True
    ),
    Name(r"loss/validation_step/total_average", "loss/validation_step/total_average", "OneTrainer", Meaning.HELDOUT),
    Name(rf"loss/validation_step/{_ANY}", "loss/validation_step/{concept}", "OneTrainer", Meaning.HELDOUT, 3),
    Name(r"loss/train-stabilized", "loss/train-stabilized", "EveryDream2", Meaning.TRAIN),
    Name(rf"{_SET}_train(ing)?_loss", "eval_train_loss", "Transformers, evaluating on training items", Meaning.TRAIN),
    Name(rf"loss/{_SET}", "loss/val, loss/validation", "EveryDream2", Meaning.HELDOUT),
    Name(
        rf"{_SET}[_/. ]loss",
        "val/loss, val_loss, eval_loss, eval/loss, validation_loss, valid_loss, heldout_loss",
        "ai-toolkit, Transformers, Lightning, and most loops",
        Meaning.HELDOUT,
    ),
    Name(rf"{_SET}[_/. ]loss_epoch", "val_loss_epoch", "Lightning", Meaning.HELDOUT, 2),
    Name(rf"{_SET}[_/. ](nll|bpd|elbo)", "val/nll, val/bpd", "MDLM", Meaning.HELDOUT, 2),
    Name(rf"loss/{_SET}/{_ANY}", "loss/val/{dataset}", "SimpleTuner", Meaning.HELDOUT, 3),
    Name(rf"{_SET}[_/]{_ANY}[_/](loss|nll)", "eval_{dataset}_loss", "Transformers", Meaning.HELDOUT, 3),
    Name(rf"{_SET}[_/]loss/{_ANY}", "val_loss/dataloader_idx_{k}", "Lightning", Meaning.HELDOUT, 3),
    Name(r"test[_/. ]loss|loss/test", "test_loss, test/loss", "some loops", Meaning.HELDOUT, 4),
    Name(
        r"(smooth_)?loss|(smooth_)?loss/(average|current|epoch|epoch_average|train.*|simple)|train(ing)?[_/. ]?loss.*",
        "loss, train_loss, train/loss, loss/average, loss/current, loss/train_step, smooth_loss/train_step",
        "most loops; kohya; OneTrainer",
        Meaning.NOISY,
    ),
)
"""The table, in the order in which a name is looked up: the first pattern that fits counts."""

AXES: dict[str, tuple[str, ...]] = {
    "steps": (
        *("trainer/global_step", "train/global_step", "global_step", "global step", "optimizer_step", "step", "steps"),
        *("iteration", "iterations", "iter", "num_updates", "update", "_step"),
    ),
    "epochs": ("train/epoch", "epoch", "epochs", "epoch_num"),
}
"""Columns that say when, the best first: W&B's own ``_step`` counts its rows, unless it was told otherwise."""


def meaning_of(tag: str) -> Name | None:
    """The row of the table that a name belongs to; None for a name that is not in it."""
    return next((name for name in NAMES if re.fullmatch(name.pattern, tag, re.IGNORECASE)), None)


def axis_of(column: str) -> str | None:
    """What a column counts: ``steps``, ``epochs``, or None where it is no axis."""
    return next((axis for axis, columns in AXES.items() if column.lower() in columns), None)


def chosen(meaning: Meaning, tags: Collection[str], asked: str | None, flag: str) -> str | None:
    """Choose the scalar of a meaning.

    Args:
        meaning: that of a held-out loss, or of a loss on training items.
        tags: those in the log.
        asked: the name that the user gave; None to look it up.
        flag: the option by which the user gives it.

    Returns:
        Its name; None where none is known to mean it.

    Raises:
        DataError: the name that was given is not there or cannot mean that; or several could.
    """
    if asked is not None:
        return _asked(meaning, tags, asked, flag)
    found = [(name.rank, tag) for tag in tags if (name := meaning_of(tag)) is not None and name.meaning is meaning]
    best = sorted(tag for rank, tag in found if rank == min(found)[0])
    if len(best) > 1:
        raise DataError(
            f"several scalars could be {meaning}: {', '.join(map(shortened, best))}; name one by {option(flag)}."
        )
    return best[0] if best else None


def _asked(meaning: Meaning, tags: Iterable[str], asked: str, flag: str) -> str:
    if asked not in tags:
        raise DataError(f"{option(flag)}: no scalar is called '{asked}'; {nearest_name(asked, tags)}")
    known = meaning_of(asked)
    if known is not None and known.meaning is Meaning.DIFFERENCE:
        raise DataError(f"{option(flag)}: '{asked}' is {Meaning.DIFFERENCE}; name a loss.")
    return asked
