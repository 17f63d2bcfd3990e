"""What a law depends on besides its floor: a matrix with a column for log P, and for whatever else the runs differ in.

    log((tau - tau_0) / c) = a log P - k log(B / B_0) + sum of b_j log(z_j / z_j0), or b_j (z_j - z_j0)

B_0 and z_j0 are what most of the runs have. Where every batch is the whole training set, B_0 is P: the exponent of P is
then a - k, which is all that such runs can tell.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from taumem.analysis.onset import NOISE, Onset
from taumem.analysis.prior import Exponent, Kind, read_exponent
from taumem.errors import ConfigError, nearest_name
from taumem.record import take_whole_sets

__all__ = [
    "WHOLE",
    "AutoExponent",
    "BatchSize",
    "Coefficient",
    "Covariates",
    "Design",
    "confounded",
    "design_of",
    "named",
]

Floats = NDArray[np.float64]
WHOLE: Literal["P"] = "P"
"""What a batch size is called where every batch is the whole training set."""
BatchSize = int | Literal["P"] | None
"""Training examples a step; ``P`` for the whole training set; None for what the pilots had."""
AutoExponent = Exponent | Literal["auto"]
Covariates = Mapping[str, Exponent] | Sequence[str]

SIZE, BATCH_SIZE = "P", "batch size"
"""What the coefficients of P and of B are called; those of other settings bear the setting's name."""
SIZE_ENDS, BATCH_ENDS, POWER_ENDS = (0.0, 3.0), (-1.0, 2.0), (-3.0, 3.0)
"""Between which exponents that are free are sought beside a floor: of P, of B, of another setting."""
FURTHEST = 5.0
"""How far log tau may change over the range of a setting that is no power, beside a floor."""


@dataclass(frozen=True)
class Coefficient:
    """What one coefficient of a law multiplies, and what is known of it before the onsets are seen.

    Attributes:
        name: ``P``, ``batch size``, or a setting.
        mean: its fixed value, or the mean of its Normal prior.
        sd: of that prior; 0 where it is fixed, infinite where it is free.
        kind: the same in a word.
        ends: between which it lies beside a floor; infinite where something else bounds it.
        is_power: whether it multiplies the setting's logarithm, rather than the setting.
        reference: the setting at which it has no effect.
    """

    name: str
    mean: float
    sd: float
    kind: Kind
    ends: tuple[float, float] = (-math.inf, math.inf)
    is_power: bool = True
    reference: float = 1.0


@dataclass(frozen=True)
class Design:
    """The columns of a law, and the batch sizes of its runs.

    Attributes:
        coefficients: that of P first, that of the batch size if the law has one, and those of other settings.
        batch_sizes: of the runs, the distinct ones, ascending.
        takes_whole_sets: whether every batch is the whole training set.
        reference_batch_size: B_0; None where it is P.
        unit: of the onsets; those in effective time are taken not to depend on the batch size.
    """

    coefficients: tuple[Coefficient, ...]
    batch_sizes: tuple[int, ...]
    takes_whole_sets: bool
    reference_batch_size: int | None
    unit: str

    @property
    def names(self) -> tuple[str, ...]:
        """Of the coefficients."""
        return tuple(each.name for each in self.coefficients)

    @property
    def batch_exponent(self) -> Coefficient | None:
        """That of k; None where the law has none."""
        return next((each for each in self.coefficients if each.name == BATCH_SIZE), None)

    @property
    def covariates(self) -> tuple[Coefficient, ...]:
        """Those of other settings than P and B."""
        return tuple(each for each in self.coefficients if each.name not in (SIZE, BATCH_SIZE))

    def rows(self, onsets: Sequence[Onset]) -> Floats:
        """What the coefficients multiply in each onset, [onsets, coefficients]."""
        return np.array([self.row(onset.n_train, onset.batch_size, onset.settings) for onset in onsets])

    def row(self, n_train: int, batch_size: int, settings: Mapping[str, float]) -> Floats:
        """What the coefficients multiply in a run, [coefficients]."""
        row = [math.log(n_train)]
        if self.batch_exponent is not None:
            row.append(math.log(self.reference_batch_size or n_train) - math.log(batch_size))
        for each in self.covariates:
            z, z_0 = settings[each.name], each.reference
            row.append(math.log(z) - math.log(z_0) if each.is_power else z - z_0)
        return np.array(row, dtype=float)

    def with_free_exponent(self) -> "Design":
        """The same with nothing known of the exponent of P."""
        return replace(self, coefficients=(_coefficient(SIZE, None, SIZE_ENDS), *self.coefficients[1:]))

    def batch_size_of(self, n_train: int, asked: BatchSize) -> int:
        """The batch size of a run that is forecast.

        Args:
            n_train: its number of training examples.
            asked: see :data:`BatchSize`.

        Raises:
            ConfigError: it is none, the law does not hold there, or none is named and the law's runs had several.
        """
        own = n_train if self.takes_whole_sets else self.batch_sizes[0] if len(self.batch_sizes) == 1 else None
        batch_size = own if asked is None else n_train if asked == WHOLE else asked
        if batch_size is None and self.batch_exponent is None:
            return 0  # in effective time, where it is of no matter
        if batch_size is None:
            raise ConfigError(
                f"the law's runs had batches of {_listed(self.batch_sizes)}: name the batch size of the run that is "
                'forecast, such as batch_size=64, or "P" for the whole training set.'
            )
        if batch_size == own:
            return own
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
            raise ConfigError(f'a batch size is a whole number of at least 1, or "P"; got {asked!r}.')
        if self.unit == "steps" and self.batch_exponent is None:
            pilots = "full batches" if self.takes_whole_sets else f"batch size {own:,}" if own else "unknown batch size"
            raise ConfigError(
                f"this law is of runs with {pilots}, and says nothing of batch size {batch_size:,}: fit it with a "
                "batch_exponent, a number or a pair (mean, standard deviation), or with a prior that has one, or add "
                "pilots of another batch size."
            )
        return int(batch_size)


def design_of(
    onsets: Sequence[Onset], exponent: Exponent, batch_exponent: AutoExponent, covariates: Covariates
) -> Design:
    """The columns that a law of these onsets has.

    Args:
        onsets: of one clock and unit.
        exponent: what is known of that of P.
        batch_exponent: what is known of k; ``auto`` to leave it free where batch sizes differ apart from P, and else
            out of the law. In effective time ``auto`` leaves it out.
        covariates: the names of settings, with what is known of their coefficients where it is a mapping.

    Raises:
        ConfigError: a batch size was not recorded, a setting is not there, or one whose coefficient is free, or whose
            batch exponent is, does not vary over the located onsets or is tied to others.
    """
    counts = Counter(onset.batch_size for onset in onsets)
    whole = take_whole_sets([onset.run for onset in onsets])
    unit = onsets[0].unit
    if batch_exponent != "auto":
        has_batch_exponent, known = True, batch_exponent
    else:
        has_batch_exponent, known = unit == "steps" and len(counts) > 1 and not whole, None
    if has_batch_exponent and 0 in counts:
        raise ConfigError(
            f"onsets of {_listed(sorted(counts))} training examples a step, where 0 is a batch size that was not "
            "recorded: a law needs that of each, or none."
        )
    design = Design(
        coefficients=(
            _coefficient(SIZE, exponent, SIZE_ENDS, always=True),
            *((_coefficient(BATCH_SIZE, known, BATCH_ENDS),) if has_batch_exponent else ()),
            *(_covariate(name, known, onsets) for name, known in named(covariates).items()),
        ),
        batch_sizes=tuple(sorted(counts)),
        takes_whole_sets=whole,
        reference_batch_size=None if whole else max(counts, key=lambda size: (counts[size], -size)),
        unit=unit,
    )
    _check_told_apart(design, [onset for onset in onsets if onset.usable])
    return design


def named(covariates: Covariates) -> dict[str, Exponent]:
    """What is known of the coefficient of each covariate, by its name."""
    given = (covariates,) if isinstance(covariates, str) else covariates
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(given)


def confounded(design: Design, located: Sequence[Onset]) -> tuple[str, ...]:
    """The coefficients that are free and that these onsets cannot tell apart, or from a constant; empty if they can."""
    free = [k for k, each in enumerate(design.coefficients) if each.kind == "free"]
    columns = design.rows(located)[:, free]
    columns = columns - columns.mean(axis=0)
    scale = np.abs(columns).max(axis=0)
    columns = columns / np.where(scale > 1e-9, scale, np.inf)
    _, size, directions = np.linalg.svd(np.vstack([columns, np.zeros((len(free), len(free)))]))
    lost = np.abs(directions[size < 1e-9]).max(axis=0, initial=0) > 1e-6
    return tuple(design.names[k] for k, is_lost in zip(free, lost, strict=True) if is_lost)


def _check_told_apart(design: Design, located: Sequence[Onset]) -> None:
    """Refuse what would leave the posterior without bounds."""
    if not (names := confounded(design, located)):
        return
    rows = design.rows(located)
    still = [name for name, column in zip(design.names, rows.T, strict=True) if name in names and np.ptp(column) < 1e-9]
    what = (
        f"{' and '.join(still)} {'does' if len(still) == 1 else 'do'} not vary"
        if still
        else f"{' and '.join(names)} cannot be told apart"
    )
    raise ConfigError(
        f"{located[0].clock}: {what} over the {len(located)} located onsets, and not all exponents can be free. Add "
        "runs in which they vary, or fix one, or give what is known of it, a pair (mean, standard deviation)."
    )


def _coefficient(name: str, known: Exponent, ends: tuple[float, float], *, always: bool = False) -> Coefficient:
    """With its ends where it is free, or always."""
    mean, sd, kind = read_exponent(known)
    return Coefficient(name, mean, sd, kind, ends if always or kind == "free" else (-math.inf, math.inf))


def _covariate(name: str, known: Exponent, onsets: Sequence[Onset]) -> Coefficient:
    if name in (SIZE, BATCH_SIZE):
        raise ConfigError(f"'{name}' has an exponent of its own in a law, and is no covariate; leave it out.")
    if lacking := sum(name not in onset.settings for onset in onsets):
        names = {name for onset in onsets for name in onset.settings}
        raise ConfigError(
            f"{onsets[0].clock}: {lacking} of {len(onsets)} onsets have no setting '{name}'; "
            f"{nearest_name(name, names) if names else 'they have none at all'}"
        )
    values = [float(onset.settings[name]) for onset in onsets]
    is_power = min(values) > 0 and name != NOISE
    reach = max(values) - min(values)
    ends = POWER_ENDS if is_power or not reach else (-FURTHEST / reach, FURTHEST / reach)
    counts = Counter(values)
    reference = max(counts, key=lambda value: (counts[value], -value))
    return replace(_coefficient(name, known, ends), is_power=is_power, reference=reference)


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes)
