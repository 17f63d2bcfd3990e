"""The law tau_mem = c P^a: what it says, its forecasts, and how far to trust them."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from taumem.analysis.design import BatchSize, Design
from taumem.analysis.evidence import SIGNIFICANT
from taumem.analysis.interval import Interval, check_confidence, finite_or_none
from taumem.analysis.onset import Unit
from taumem.analysis.posterior import Floats, Posterior
from taumem.analysis.prior import Kind, Prior
from taumem.analysis.reach import FAR, beyond
from taumem.errors import ConfigError, TaumemWarning

__all__ = ["FAR", "Covariate", "Law", "whole_size"]


@dataclass(frozen=True)
class Covariate:
    """What a law says of a setting other than P and the batch size.

    Attributes:
        name: of the setting, such as ``training.learning_rate``.
        coefficient: b, with its interval (empty where it is fixed).
        kind: ``fixed``, ``free``, or ``prior`` for one known to within an uncertainty beforehand.
        is_power: whether tau goes as (z / z_0)^b, as it does where all values are above 0; else as exp(b (z - z_0)).
        reference: z_0, what most of the runs have.
    """

    name: str
    coefficient: Interval
    kind: Kind
    is_power: bool
    reference: float

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return vars(self) | {"coefficient": self.coefficient.to_json()}


@dataclass(frozen=True)
class Law:
    """log tau ~ Normal(log(tau_0 + c P^a), sigma), as the onsets of one clock determine it.

    Where runs differ in their batch sizes B, or in other settings z_j that the law was asked about, it is

        tau_0 + c P^a (B / B_0)^-k prod (z_j / z_j0)^b_j

    with exp(b_j (z_j - z_j0)) for a setting that is not always above 0. B_0 and z_j0 are what most of the runs have;
    where every batch is the whole training set, B_0 is P, and the exponent of P is a - k.

    Attributes:
        clock: what was timed.
        unit: of onsets and forecasts: ``steps``, or ``effective_time``, which is taken not to depend on B.
        exponent: a, with its interval (empty where it is fixed).
        exponent_kind: ``fixed``, ``free``, or ``prior`` for one known to within an uncertainty beforehand.
        batch_exponent: k, with its interval; None where the law has none, and holds at one batch size.
        batch_exponent_kind: what was known of k beforehand, in the same words; None where the law has none.
        covariates: what it says of other settings.
        prior: what was assumed of exponent, floor and scatter together; None unless it was handed over.
        prefactor: c, in steps per P^a: steps per training example where the exponent is 1.
        floor: tau_0, in steps; None where it was not fitted.
        sigma: scatter of log tau around the law, from run to run.
        twin_correlation: of log tau around the law within a pair of twins; None where there are no pairs.
        confidence: probability of each interval.
        n_onsets: onsets used, censored ones included.
        n_censored: how many of them are bounds on one side (left or right).
        sizes: the distinct n_train, ascending.
        located_sizes: those of them at which an onset was located.
        batch_sizes: the distinct ones, ascending.
        batch_size: of every run; None where they differ.
        linearity: two-sided probability of an exponent as far from 1 as the data's own (the t test's p-value
            when nothing is censored), in (0, 1]; None where the sizes cannot tell.
        plausibility: the same of the exponent that was assumed, fixed or within its uncertainty; None where it is free.
        collapse: scatter of log tau around the law over the scatter of log tau itself, of the located onsets:
            0 when the law explains all, about 1 when it explains nothing; None where tau does not vary.
        bend: by how much the exponent grows from each size to its double, with its own 95 % interval: the quadratic
            term of least squares in log P, beside what else the law depends on, which a straight law lacks. Twins count
            as one run. None where fewer than three sizes or no degree of freedom are left (three sizes of one seed
            leave none), or some onsets are bounds.
        sources: the runs.
        design: the columns that the coefficients multiply.
        posterior: draws of its parameters.
    """

    clock: str
    unit: Unit
    exponent: Interval
    exponent_kind: Kind
    batch_exponent: Interval | None
    batch_exponent_kind: Kind | None
    covariates: tuple[Covariate, ...]
    prior: Prior | None
    prefactor: Interval
    floor: Interval | None
    sigma: Interval
    twin_correlation: Interval | None
    confidence: float
    n_onsets: int
    n_censored: int
    sizes: tuple[int, ...]
    located_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    batch_size: int | None
    linearity: float | None
    plausibility: float | None
    collapse: float | None
    bend: Interval | None
    sources: tuple[str, ...]
    design: Design = field(repr=False, compare=False)
    posterior: Posterior = field(repr=False, compare=False)

    @property
    def is_refuted(self) -> bool:
        """Whether the data speak against tau being proportional to P: a ``linearity`` below 0.05."""
        return self.linearity is not None and self.linearity < SIGNIFICANT

    @property
    def is_implausible(self) -> bool:
        """Whether the data speak against the exponent that was assumed: a ``plausibility`` below 0.05."""
        return self.plausibility is not None and self.plausibility < SIGNIFICANT

    @property
    def is_bent(self) -> bool:
        """Whether the data bend as the law cannot: ``bend`` leaves 0 out (to below, where a floor bends the law up)."""
        return self.bend is not None and (self.bend.high < 0 or (self.floor is None and self.bend.low > 0))

    @property
    def largest_located(self) -> int:
        """The largest n_train whose onset was located."""
        return self.located_sizes[-1]

    @property
    def takes_whole_sets(self) -> bool:
        """Whether every batch is the whole training set."""
        return self.design.takes_whole_sets

    @property
    def spans_batch_sizes(self) -> bool:
        """Whether runs of several batch sizes share it, by k."""
        return self.batch_exponent is not None and len(self.batch_sizes) > 1 and not self.takes_whole_sets

    @property
    def reference_batch_size(self) -> int | None:
        """B_0: the batch size of most runs; None where it is P."""
        return self.design.reference_batch_size

    def predict(
        self,
        n_train: int,
        *,
        batch_size: BatchSize = None,
        settings: Mapping[str, float] | None = None,
        confidence: float | None = None,
    ) -> Interval:
        """Forecast the onset of a new run: in it, the law's uncertainty and the scatter of single runs.

        An exponent that was fixed is taken for exact; give it a prior to have its uncertainty in the forecast.

        Args:
            n_train: number of training examples of the new run, at least 1.
            batch_size: training examples a step of the new run, or ``"P"`` for the whole training set; None for the
                batch size of the law's runs, where they have one.
            settings: the values of the law's covariates in the new run, by name; others are passed over.
            confidence: probability of the interval, in (0, 1); the law's own if None.

        Returns:
            The median and the interval, in the law's unit; of steps, ``.examples`` has them in training examples seen.

        Raises:
            ConfigError: ``n_train``, ``batch_size`` or ``confidence`` is out of its range, the law's runs have several
                batch sizes and none is named, the law has no exponent to carry it to this one, or a covariate's value
                is missing.

        Warns:
            TaumemWarning: ``n_train`` is more than 4 times the largest size with a located onset, or all located
                onsets are of one other size; the batch size is more than 4 times below or above those of the runs.
        """
        confidence = self.confidence if confidence is None else confidence
        check_confidence(confidence)
        n_train = whole_size(n_train)
        row, batch_size = self.row(n_train, batch_size, settings)
        for sentence in beyond(self, n_train, batch_size):
            warnings.warn(sentence, TaumemWarning, stacklevel=2)
        median, low, high = self._quantiles(row, (0.5, (1 - confidence) / 2, (1 + confidence) / 2))
        return Interval(median, low, high, confidence, batch_size if self.unit == "steps" else None)

    def row(
        self, n_train: int, batch_size: BatchSize = None, settings: Mapping[str, float] | None = None
    ) -> tuple[Floats, int]:
        """What a run multiplies the coefficients by, [coefficients], and its batch size; see :meth:`predict`."""
        settings = settings or {}
        for each in self.covariates:
            value = settings.get(each.name)
            if (
                not isinstance(value, int | float | np.number)
                or not (0 if each.is_power else -math.inf) < value < math.inf
            ):
                raise ConfigError(
                    f"{self.clock}: this law depends on {each.name}: give the run's, a number"
                    f"{' above 0' if each.is_power else ''}, in settings={{'{each.name}': ...}}; got {value!r}."
                )
        size = self.design.batch_size_of(n_train, batch_size)
        return self.design.row(n_train, size, settings), size

    def to_reference(self, n_train: int, batch_size: int) -> float:
        """By what the onset of a run at this batch size is multiplied to stand beside those at B_0: without a floor
        (B / B_0)^k, with the median of k; 1 where k is not in the law."""
        if self.batch_exponent is None or self.covariates:
            return 1.0
        there, here = (self.row(n_train, size)[0] for size in (self.reference_batch_size, batch_size))
        apart = self.posterior.log_law(there) - self.posterior.log_law(here)
        return math.exp(self.posterior.quantiles(apart, (0.5,))[0])

    def _quantiles(self, row: Floats, probabilities: Sequence[float]) -> Iterator[float]:
        """Of the mixture of all draws: each lies between the smallest and the largest of the draws' own."""
        draws = self.posterior
        center, sigma = draws.log_law(row), draws.sigma

        def excess(log_step: float, probability: float) -> float:
            return float(draws.weight @ ndtr((log_step - center) / sigma)) - probability

        for probability in probabilities:
            own = center + ndtri(probability) * sigma
            low, high = own.min() - 1, own.max() + 1  # a little more, for rounding
            yield math.exp(min(float(brentq(excess, low, high, args=(probability,), xtol=1e-6)), 700.0))

    def to_json(self) -> dict[str, Any]:
        """Plain facts for a JSON file."""
        return {
            "clock": self.clock,
            "unit": self.unit,
            "exponent": {**self.exponent.to_json(), "kind": self.exponent_kind},
            "batch_exponent": self.batch_exponent
            and {**self.batch_exponent.to_json(), "kind": self.batch_exponent_kind},
            "covariates": [covariate.to_json() for covariate in self.covariates],
            "prior": None if self.prior is None else asdict(self.prior),
            "prefactor": self.prefactor.to_json(),
            "floor": None if self.floor is None else self.floor.to_json(),
            "sigma": self.sigma.to_json(),
            "twin_correlation": None if self.twin_correlation is None else self.twin_correlation.to_json(),
            "n_onsets": self.n_onsets,
            "n_censored": self.n_censored,
            "sizes": list(self.sizes),
            "batch_size": self.batch_size,
            "batch_sizes": list(self.batch_sizes),
            "reference_batch_size": self.reference_batch_size,
            "linearity": self.linearity,
            "plausibility": self.plausibility,
            "collapse": None if self.collapse is None else finite_or_none(self.collapse),
            "bend": None if self.bend is None else self.bend.to_json(),
            "sources": list(self.sources),
        }


def whole_size(n_train: Any) -> int:
    """The number of training examples of a forecast as an integer.

    Raises:
        ConfigError: it is no whole number of at least 1.
    """
    if not isinstance(n_train, int | float | np.integer) or not 1 <= n_train < math.inf or n_train != int(n_train):
        raise ConfigError(
            f"a forecast needs a training-set size, a whole number of at least 1; got n_train = {n_train!r}."
        )
    return int(n_train)
