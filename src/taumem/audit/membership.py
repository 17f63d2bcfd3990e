"""Whether the model's loss tells training items from held-out ones: for those who have the model as well."""

from pathlib import Path
from typing import Any

from scipy.optimize import brentq
from scipy.special import ndtri

from taumem.analysis.shares import exact_interval
from taumem.analysis.wording import percent
from taumem.errors import ConfigError, option
from taumem.probes.membership_inference import members_found, membership
from taumem.record import RunRecord
from taumem.record.audit import NotRun, Score

__all__ = ["losses_of", "membership_scores"]

ONE_IN = (1000, 100)
"""One of so many held-out items may be taken for a member."""


def losses_of(given: object | None) -> tuple[Any, Any] | None:
    """Take the losses of training and held-out items as they are, or from the last look of a run.

    Args:
        given: two arrays; a run's folder, which holds the losses of the items that it was measured on; or None.

    Raises:
        RecordError: the record cannot be read.
        ConfigError: no losses of items are in it, or what was given is neither.
    """
    if given is None:
        return None
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    if not isinstance(given, str | Path | RunRecord):
        raise ConfigError(
            "losses are two arrays, of training and of held-out items, or the folder of a run that measured them; got "
            f"{type(given).__name__}."
        )
    record = given if isinstance(given, RunRecord) else RunRecord.read(given)
    last = {m.quantity: m.items for m in record.measurements if m.t is None and m.items is not None}
    if not {"train_loss", "heldout_loss"} <= set(last):
        raise ConfigError(
            f"{record.path}: holds no losses of single training and held-out items; those of a run of taumem's own or "
            "of a Guard do. Or give two arrays."
        )
    return last["train_loss"], last["heldout_loss"]


def membership_scores(losses: tuple[Any, Any] | None) -> tuple[tuple[Score, ...], tuple[NotRun, ...]]:
    """Give AUC and true positives at 0.1 % and 1 % false ones with their 95 % intervals, or say why not.

    Args:
        losses: the model's loss of each training item [P] and of each held-out item [n], at the same diffusion times.

    Raises:
        DataError: losses that are not one finite number per item, or none.

    Reference: Carlini et al. 2022, arXiv 2112.03570; Newcombe 2006, Stat. Med. 25, 559 (interval of the AUC, method 5).
    """
    if losses is None:
        why = f"an audit of samples alone sees no losses; {option('losses')} gives those of both kinds of items"
        return (), (NotRun(what="membership", why=why),)
    train, heldout = losses
    auc, _ = membership(train, heldout)
    n, m = len(train), len(heldout)
    low, high = _lowest(auc.value, n, m), 1 - _lowest(1 - auc.value, n, m)
    area = Score(
        name="auc",
        label="Membership: AUC of the loss (0.5 = chance, 1 = every training item is told from every held-out one)",
        value=auc.value,
        meaning="0.5 where training items have losses like held-out ones; above it they have lower ones",
        low=low,
        high=high,
        n=n + m,
        parts={} if auc.se is None else {"standard error": auc.se},
    )
    return (area, *(_found(train, heldout, one_in) for one_in in ONE_IN)), ()


def _found(train: Any, heldout: Any, one_in: int) -> Score:
    n, m, count = len(train), len(heldout), members_found(train, heldout, 1 / one_in)
    low, high = exact_interval(count, n)
    allowed = percent(1 / one_in)
    none = f" (of {m:,}: none)" if m < one_in else ""
    return Score(
        name=f"tpr_1_in_{one_in}",
        label=f"Membership: share of training items found at {allowed} false positives (1 = all are found)",
        value=count / n,
        meaning=f"about {1 / one_in:g} where losses tell nothing; the share of training items with a lower loss than "
        f"all but {allowed} of the held-out items{none}",
        low=low,
        high=high,
        n=n,
    )


def _lowest(auc: float, n: int, m: int) -> float:
    """The smallest area from which this one is 1.96 of its standard errors away: below 1 where all are told apart."""
    z, others = ndtri(0.975), (n + m) / 2 - 1

    def excess(area: float) -> float:
        variance = area * (1 - area) * (1 + others * ((1 - area) / (2 - area) + area / (1 + area))) / (n * m)
        return float((area - auc) ** 2 - z**2 * variance)

    return float(brentq(excess, 0, min(auc, 1 - 1e-12))) if auc > 0 else 0.0
