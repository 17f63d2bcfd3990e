"""What a forecast assumes of a law before its pilots are seen, as finished studies taught it.

The table is ``priors.json``, made by ``experiments/prior/learn.py``: how exponents, floors and scatters of studies are
distributed, by the kind of items, for tau_val and for other clocks, with batches of one size and of the whole training
set, with which onsets grow much more slowly in P; and how much sooner onsets come with larger batches.
``docs/forecasts.md`` says how it was learned and what it is worth; ``docs/finetuning.md``, what it is worth there.
"""

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from taumem.errors import ConfigError

__all__ = ["Exponent", "Kind", "Prior", "read_exponent", "usual_prior"]

Exponent = float | tuple[float, float] | None
"""Fixed; or known to within an uncertainty (mean, standard deviation); or free."""
Kind = Literal["fixed", "free", "prior"]

FINEST = 0.02
"""The least standard error of log onsets that says something of the scatter from run to run; none was below 0.05."""


@dataclass(frozen=True)
class Prior:
    """How the laws of studies are distributed.

    Attributes:
        exponent: mean and standard deviation of a Normal for a.
        floor: alpha and beta of a Beta for the share of tau_0 in tau at the smallest size with a located onset.
        scatter: mean and standard deviation of a Normal for log(sigma / e), where e is the standard error of the
            logarithms of the onsets, as their intervals have it; None where nothing is known of sigma beforehand.
        batch: mean and standard deviation of a Normal for k, the exponent of the batch size, with which a law of pilots
            of one batch size can be carried to another; None where nothing is known of it beforehand.

        noise: mean and standard deviation of a Normal for what log tau in effective time gains per unit of noise (see
            :data:`taumem.analysis.onset.NOISE`); None to leave that out.

    Raises:
        ConfigError: one of them is no pair of finite numbers, a standard deviation is not above 0, or a Beta has an
            alpha or beta that is not.
    """

    exponent: tuple[float, float]
    floor: tuple[float, float] = (1.0, 1.0)
    scatter: tuple[float, float] | None = None
    batch: tuple[float, float] | None = None
    noise: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("exponent", "floor", "scatter", "batch", "noise"):
            pair = getattr(self, name)
            if pair is None and name not in ("exponent", "floor"):
                continue
            is_pair = isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(x, int | float) for x in pair)
            if not is_pair or not all(map(math.isfinite, pair)) or pair[1] <= 0 or (name == "floor" and pair[0] <= 0):
                of = "alpha and beta above 0" if name == "floor" else "a mean and a standard deviation above 0"
                raise ConfigError(f"a prior's {name} is a pair, {of}; got {pair!r}.")

    def log_sigma(self, error: float) -> tuple[float, float] | None:
        """Mean and standard deviation of log sigma, for onsets whose logarithms have this standard error.

        Args:
            error: root mean square; 0 where the onsets came without intervals, which then say nothing of sigma.
        """
        if self.scatter is None or error <= 0:
            return None
        return self.scatter[0] + math.log(max(error, FINEST)), self.scatter[1]


@cache
def usual_prior(clock: str = "tau_val", *, kind: str = "", full_batches: bool = False) -> Prior:
    """What forecasts assume: of k, what studies with Adam showed, at rates within a factor of ten.

    Args:
        clock: which; all but ``tau_val``, of items or of means, have one in common.
        kind: of the items, as records call it: ``images``, ``texts``, ``strings``; of any other it is not known what
            their studies have in common, and more is left open.
        full_batches: whether every batch is the whole training set.
    """
    table = json.loads(files("taumem.analysis").joinpath("priors.json").read_text(encoding="utf-8"))
    clocks = "tau_val" if clock in ("tau_val", "tau_val_mean") else "others"
    rows = table["full" if full_batches else "fixed"][clocks]
    row = rows.get(kind, rows["unknown"]) | {"batch": table["batch"][clocks]}
    return Prior(**{name: tuple(pair) for name, pair in row.items()})


def read_exponent(exponent: Exponent) -> tuple[float, float, Kind]:
    """Mean and standard deviation of what is known of an exponent beforehand, and the kind of that.

    Raises:
        ConfigError: it is no exponent.

    >>> read_exponent((1.2, 0.2)), read_exponent(1), read_exponent(None)
    ((1.2, 0.2, 'prior'), (1.0, 0.0, 'fixed'), (1.0, inf, 'free'))
    """
    if exponent is None:
        return 1.0, math.inf, "free"
    pair = exponent if isinstance(exponent, tuple | list) else (exponent, 0.0)
    if len(pair) != 2 or not all(isinstance(x, int | float | np.integer) and math.isfinite(x) for x in pair):
        raise ConfigError(
            "an exponent is a finite number to fix it, a pair (mean, standard deviation) if it is known to within an "
            f"uncertainty, or None to leave it free; got {exponent!r}."
        )
    value, sd = map(float, pair)
    if pair is exponent and sd <= 0:
        raise ConfigError(f"a pair for the exponent is (mean, standard deviation > 0); got {exponent}.")
    return value, sd, "fixed" if sd == 0 else "prior"
