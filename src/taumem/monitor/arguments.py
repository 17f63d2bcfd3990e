"""What a guard is handed over, checked, and turned into what it works with."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch

import taumem
from taumem.analysis import Forecast, Interval, Study
from taumem.analysis.cautions import of_a_forecast
from taumem.analysis.stopping import AnyOf, ForecastReached, Located, StoppingRule, rule_named
from taumem.errors import ConfigError, DataError, TaumemWarning, nearest_name
from taumem.monitor.weights import check_average
from taumem.probes.asked_items import AskedItems
from taumem.probes.loss_gap import TIMES
from taumem.probes.probe import check_times

__all__ = [
    "FORECAST_CONFIDENCE",
    "OnOnset",
    "Rule",
    "Weights",
    "check_choices",
    "checked_times",
    "chosen_rule",
    "common_places",
    "due_steps",
    "onset_forecast",
    "stop_step_of",
    "versions",
]

OnOnset = Literal["warn", "stop", "checkpoint"]
Weights = Literal["raw", "ema", "both"]
Rule = str | StoppingRule

FORECAST_CONFIDENCE = 0.25
"""Of the interval of a law whose lower end names the step to stop at: five times out of eight the onset is later."""


def check_choices(on_onset: str, batch_size: int | None, weights: str | None, ema: Any, folder: Any) -> None:
    """Refuse what a guard cannot do.

    Raises:
        ConfigError: an unknown word, or one that needs something else beside it.
    """
    for name, given, known in (
        ("on_onset", on_onset, get_args(OnOnset)),
        ("weights", weights, (None, *get_args(Weights))),
    ):
        if given not in known:
            words = [word for word in known if word is not None]
            raise ConfigError(f"{name} = {given!r}; {nearest_name(str(given), words)}")
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ConfigError(f"batch_size is the number of training examples per optimizer step; got {batch_size!r}.")
    if ema is not None:
        check_average(ema)
    elif weights in ("ema", "both"):
        raise ConfigError(f"weights = '{weights}' needs the averaged weights: give ema=...")
    if on_onset == "checkpoint" and folder is None:
        raise ConfigError("on_onset = 'checkpoint' keeps weights in the guard's folder: give folder=...")


def checked_times(times: Sequence[float] | None, timesteps: int | None) -> tuple[float, ...]:
    """The diffusion times to ask at; none where the loss draws its own.

    Raises:
        ConfigError: a time outside (0, 1), or timesteps that are no number of them.
    """
    if times is not None:
        check_times(times)
    if timesteps is not None and (isinstance(timesteps, bool) or not isinstance(timesteps, int) or timesteps < 2):
        raise ConfigError(f"timesteps is the number of whole steps that time is divided into; got {timesteps!r}.")
    return tuple(times) if times is not None else TIMES if timesteps is not None else ()


def common_places(train: AskedItems, heldout: AskedItems) -> set[int]:
    """Held-out items that are training items: of Datasets, those among the items that are asked about.

    Raises:
        DataError: all of them are.

    Warns:
        TaumemWarning: some are, and are left out.
    """
    seen = set(train.digests)
    both = {place for place, digest in zip(heldout.places, heldout.digests, strict=False) if digest in seen}
    if both and len(both) == len(heldout):
        raise DataError(
            f"all {len(both)} held-out items that are asked about are training items too; hold out items that the "
            "model never trains on."
        )
    if both:
        warnings.warn(
            f"{len(both)} of {len(heldout)} held-out items are training items too, and are left out.",
            TaumemWarning,
            stacklevel=4,
        )
    return both


def onset_forecast(
    forecast: Study | Forecast | Interval | None, n_train: int, batch_size: int | None
) -> Interval | None:
    """The interval of the onset that a forecast names, in steps.

    Raises:
        ConfigError: it is no forecast, one of another size, or a study that has none.

    Warns:
        TaumemWarning: the pilots had batches of another size, or what else speaks against the forecast.
    """
    if forecast is None or isinstance(forecast, Interval):
        return forecast
    made = forecast.forecast(n_train) if isinstance(forecast, Study) else forecast
    if not isinstance(made, Forecast):
        raise ConfigError(
            "forecast is a Study of pilots (see taumem.pilot), a Forecast or an Interval; got "
            f"{type(forecast).__name__}."
        )
    if made.n_train != n_train:
        raise ConfigError(f"the forecast is for P = {made.n_train:,}, and these are {n_train:,} training items.")
    if made.law is None:
        return made.predicted
    if batch_size is not None and made.law.batch_size not in (None, 0, batch_size):
        warnings.warn(
            f"the pilots had batches of {made.law.batch_size:,}, and this run has {batch_size:,}: the forecast holds "
            "at the pilots' batch size, learning rate and schedule.",
            TaumemWarning,
            stacklevel=4,
        )
    for caution in of_a_forecast(made.law, made.predicted):
        warnings.warn(caution, TaumemWarning, stacklevel=4)
    return made.law.predict(n_train, confidence=FORECAST_CONFIDENCE)


def chosen_rule(
    given: Rule | Sequence[Rule] | None, has_heldout: bool, has_sampler: bool, stop: Interval | None
) -> StoppingRule:
    """The rules by their names, or those that can be asked.

    Raises:
        ConfigError: an unknown name, nothing to judge by, or what is no rule.
    """
    if given is None:
        askable = {"balanced": has_heldout, "no_copies": has_heldout and has_sampler, "forecast": stop is not None}
        given = [name for name, is_askable in askable.items() if is_askable]
        if not given:
            raise ConfigError(
                "nothing to judge by: give heldout=..., items that the model never trains on; or train on all, and "
                "give forecast=taumem.pilot(...), which tells from small pilot runs when to stop."
            )
    names = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    rules = [_named(name, stop) if isinstance(name, str) else name for name in names]
    if not rules or not all(callable(getattr(rule, "judge", None)) for rule in rules):
        raise ConfigError(f"a rule is a name, or an object with judge(record, step); got {given!r}.")
    return rules[0] if len(rules) == 1 else AnyOf(tuple(rules))


def stop_step_of(rule: StoppingRule) -> float | None:
    """The step at which a forecast among the rules says stop; None without one."""
    every = rule.rules if isinstance(rule, AnyOf) else (rule,)
    return min((one.onset.low for one in every if isinstance(one, ForecastReached)), default=None)


def due_steps(rule: StoppingRule) -> tuple[int, ...]:
    """The steps at which a rule may say stop without a look: a forecast's, and the limit of a pilot."""
    every = rule.rules if isinstance(rule, AnyOf) else (rule,)
    forecasts = [math.ceil(one.onset.low) for one in every if isinstance(one, ForecastReached)]
    return (*forecasts, *(one.at_most for one in every if isinstance(one, Located) and one.at_most is not None))


def _named(name: str, stop: Interval | None) -> StoppingRule:
    if name != "forecast":
        return rule_named(name)
    if stop is None:
        raise ConfigError("the rule 'forecast' needs one: give forecast=, such as the Study that taumem.pilot returns.")
    return ForecastReached(stop)


def versions() -> dict[str, str]:
    """What a record says of the software."""
    return {"taumem": taumem.__version__, "torch": torch.__version__}
