"""Studies with a planted law, and the settings under which `law_calibration.py` fits them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from taumem.analysis import Law, Onset, fit_law, usual_prior
from taumem.record import RunKey

PREFACTOR, SIGMA, CONFIDENCE = 8.0, 0.15, 0.9
ERRORS = (0.05, 0.3)
"""Standard errors of log onsets in the tables that draw them."""
SIZES = {2: (32, 64), 3: (32, 64, 128), 5: (16, 32, 64, 128, 256)}


@dataclass(frozen=True)
class Setting:
    """One row of a table: what is planted and how it is fitted."""

    sizes: int
    runs: int
    """Of each size; of twins, pairs."""
    censoring: str
    planted: float | str
    """The exponent; "mean ± sd" is drawn anew for each study; "prior": exponent, floor and scatter are."""
    fit: str
    twins: float | None = None
    """Correlation of the log tau of a pair around the law; None where there are no pairs."""
    bend: float = 0.0
    """By how much the exponent grows from each size to its double; ``planted`` is that between the outer sizes."""
    share: float | None = None
    """Of the floor in tau at the smallest size; None for what is drawn."""
    outliers: float = 0.0
    """Share of the runs that are off by a factor of 2."""
    scatter: float = 1.0
    """By which factor the runs scatter more than was drawn."""

    @property
    def design(self) -> str:
        """Its name: sizes x runs or pairs."""
        return f"{self.sizes}x{self.runs}{'' if self.twins is None else ' pairs'}"

    @property
    def departure(self) -> str:
        """In what the studies are not what forecasts assume."""
        told = {
            f"a bend of {self.bend:+g}": self.bend,
            f"a floor of {100 * (self.share or 0):g} %": self.share is not None,
            f"outliers, {100 * self.outliers:g} %": self.outliers,
            f"scatter x {self.scatter:g}": self.scatter != 1,
        }
        return next((text for text, departs in told.items() if departs), "nothing")

    def bent(self, size: float) -> float:
        """By which factor the bend moves tau, 1 in the middle of the sizes."""
        doublings = math.log2(size) - math.log2(SIZES[self.sizes][0] * SIZES[self.sizes][-1]) / 2
        return 2 ** (self.bend * doublings**2 / 2)

    def fitted(self, onsets: list[Onset]) -> Law:
        """The law."""
        if self.fit == "taken as alone":
            onsets = [
                Onset(o.step, o.low, o.high, o.censored, o.clock, RunKey(o.n_train, o.batch_size)) for o in onsets
            ]
        if self.fit == "forecast":
            return fit_law(onsets, prior=usual_prior(), confidence=CONFIDENCE)
        return fit_law(onsets, exponent={"fixed": 1.0, "prior": (1.0, 0.1)}.get(self.fit), confidence=CONFIDENCE)


@dataclass(frozen=True)
class Planted:
    """The truth of one study: tau_0 + 8 P^a, its scatter in log, and the standard error that its intervals tell."""

    exponent: float
    floor: float = 0.0
    sigma: float = SIGMA
    error: float = 0.0

    @classmethod
    def drawn(cls, setting: Setting, rng: np.random.Generator) -> "Planted":
        """For one study."""
        prior = usual_prior()
        assert prior.scatter is not None
        if setting.planted != "prior":
            mean, sd = (float(x) for x in f"{setting.planted} ± 0".split(" ± ")[:2])
            exponent = float(mean + sd * rng.standard_normal()) if sd else mean
            told = setting.fit == "forecast"  # no other fit asks what the intervals say
            return cls(exponent, error=SIGMA / math.exp(rng.normal(*prior.scatter)) if told else 0.0)
        exponent = float(rng.normal(*prior.exponent))
        share = float(rng.beta(*prior.floor)) if setting.share is None else setting.share
        error = math.exp(rng.uniform(*np.log(ERRORS)))
        sigma = error * math.exp(rng.normal(*prior.scatter)) * setting.scatter
        return cls(exponent, share / (1 - share) * PREFACTOR * SIZES[setting.sizes][0] ** exponent, sigma, error)

    def median(self, setting: Setting, size: int) -> float:
        """The law's onset at a size."""
        return (self.floor + PREFACTOR * size**self.exponent) * setting.bent(size)


TABLES = ("runs", "twins", "forecasts", "bends", "departures")


def settings(table: str = "runs") -> Iterator[Setting]:
    """The rows of a table."""
    if table == "runs":
        for sizes, runs in ((3, 2), (5, 3)):
            for censoring in ("none", "right", "grid", "both"):
                yield Setting(sizes, runs, censoring, 1.0, "free")
                yield Setting(sizes, runs, censoring, 1.2, "free")
                yield Setting(sizes, runs, censoring, 1.0, "fixed")
                yield Setting(sizes, runs, censoring, "1 ± 0.1", "prior")
    if table == "twins":
        for sizes, pairs in ((3, 1), (3, 2), (5, 3)):
            for censoring in ("none", "right", "grid"):
                for correlation in (0.0, 0.4, 0.8):
                    yield Setting(sizes, pairs, censoring, 1.0, "free", correlation)
            yield Setting(sizes, pairs, "none", 1.0, "taken as alone", 0.8)
    if table == "forecasts":
        for sizes, runs, twins in ((2, 1, None), (3, 1, None), (2, 1, 0.7), (3, 1, 0.7), (3, 2, None), (5, 3, 0.7)):
            for censoring in ("none", "right"):
                yield Setting(sizes, runs, censoring, "prior", "forecast", twins)
        for sizes, twins in ((2, None), (3, None), (2, 0.7), (3, 0.7)):
            yield Setting(sizes, 1, "budget", "prior", "forecast", twins)
    if table == "bends":
        for sizes, runs, twins in ((3, 1, 0.8), (3, 2, None), (5, 3, None)):
            for bend in (-0.2, 0.0, 0.1, 0.2):
                for fit in ("forecast", "prior"):
                    yield Setting(sizes, runs, "none", 1.0, fit, twins, bend)
    if table == "departures":
        for sizes, runs in ((3, 1), (5, 3)):
            usual = Setting(sizes, runs, "none", "prior", "forecast", 0.7)
            yield usual
            yield from (replace(usual, bend=bend) for bend in (-0.2, 0.2))
            yield from (replace(usual, share=share) for share in (0.0, 0.5, 0.9))
            yield from (replace(usual, outliers=0.1), replace(usual, scatter=2.0))


def simulated(setting: Setting, truth: Planted, rng: np.random.Generator) -> list[Onset]:
    """One study's onsets."""
    sizes = SIZES[setting.sizes]
    onsets = []
    for size in sizes:
        median = truth.median(setting, size)
        end = math.inf
        if size == sizes[-1]:
            before = [math.log(onset.step) for onset in onsets if onset.n_train == sizes[-2]]
            end = 2 * math.exp(float(np.mean(before))) if setting.censoring == "budget" else median
        for seed in range(setting.runs):
            rho = setting.twins or 0.0
            shared = math.sqrt(rho) * rng.standard_normal()
            for half in (None,) if setting.twins is None else ("a", "b"):
                step = median * math.exp(truth.sigma * (shared + math.sqrt(1 - rho) * rng.standard_normal()))
                if setting.outliers and rng.random() < setting.outliers:
                    step *= 2.0 ** rng.choice((-1, 1))
                onsets.append(
                    _censored(
                        step,
                        math.exp(float(ndtri(0.95)) * truth.error),
                        end,
                        RunKey(size, 16, seed=seed, half=half),
                        setting.censoring,
                    )
                )
    return onsets


def _censored(step: float, within: float, end: float, run: RunKey, censoring: str) -> Onset:
    if censoring in ("right", "both", "budget") and step > end:
        return Onset(end, end, math.inf, "right", "tau", run)
    if censoring in ("grid", "both"):
        look = math.floor(math.log(step) / math.log(1.2))
        # the run is also looked at when it ends
        low, high = 1.2**look, 1.2 ** (look + 1)
        high = min(high, end) if censoring == "both" else high
        return Onset(math.sqrt(low * high), low, high, "interval", "tau", run)
    return Onset(step, step / within, step * within, "no", "tau", run)
