"""What a guard is handed over, checked, and turned into what it works with."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import Any, Literal, get_args

from taumem.analysis import Forecast, Interval, Study
from taumem.analysis.cautions import of_a_forecast
from taumem.analysis.onset import refuse_time
from taumem.analysis.stopping import AnyOf, ForecastReached, Located, MembersFound, StoppingRule, rule_named
from taumem.errors import ConfigError, TaumemWarning, nearest_name
from taumem.monitor.weights import check_average
from taumem.probes.loss_gap import TIMES
from taumem.probes.probe import check_times

__all__ = [
    "FORECAST_CONFIDENCE",
    "OnOnset",
    "Rule",
    "Weights",
    "check_choices",
    "check_kinds",
    "checked_times",
    "chosen_rule",
    "due_steps",
    "onset_forecast",
    "stop_step_of",
    "whole_step",
]

OnOnset = Literal["warn", "stop", "checkpoint"]
Weights = Literal["raw", "ema", "both"]
Rule = str | StoppingRule

FORECAST_CONFIDENCE = 0.25
"""Of the interval of a law whose lower end names the step to stop at: five times out of eight the onset is later."""


def check_kinds(sinks: Any, metrics: Any, twin: Any, numbers: Mapping[str, Any]) -> None:
    """Refuse arguments of another kind than they are.

    Args:
        sinks: told the numbers of each look.
        metrics: functions by name.
        twin: another model and its items.
        numbers: whole numbers from 1 by their names; None where none was given.

    Raises:
        ConfigError: one of them is, and what was expected.
    """
    if not isinstance(sinks, Iterable) or not all(callable(getattr(sink, "log", sink)) for sink in sinks):
        raise ConfigError("sinks is a list of functions log(numbers, step), or of objects with such a method.")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise ConfigError(f"metrics={{name: f}} with f(model) -> a number; got {type(metrics).__name__}.")
    if twin is not None and not (isinstance(twin, tuple | list) and len(twin) == 2):
        raise ConfigError("twin=(the other model, the items that it trains on).")
    for name, number in numbers.items():
        try:
            is_one = number is None or (index(number) >= 1 and not isinstance(number, bool))
        except TypeError:
            is_one = False
        if not is_one:
            raise ConfigError(f"{name} is a whole number from 1; got {name} = {number!r}.")


def check_choices(on_onset: str, weights: str | None, ema: Any, folder: Any) -> None:
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
        if not isinstance(times, Sequence):
            raise ConfigError(f"times is a list of diffusion times between 0 and 1; got {times!r}.")
        check_times(times)
    if timesteps is not None and timesteps < 2:
        raise ConfigError(f"timesteps is the number of whole steps that time is divided into; got {timesteps!r}.")
    return tuple(times) if times is not None else TIMES if timesteps is not None else ()


def onset_forecast(
    forecast: Study | Forecast | Interval | None, n_train: int, batch_size: int | None
) -> Interval | None:
    """The interval of the onset that a forecast names, in steps.

    Raises:
        ConfigError: it is no forecast, one of another size, or a study that has none.

    Warns:
        TaumemWarning: a forecast for batches of another size, or what else speaks against it.
    """
    if forecast is None or isinstance(forecast, Interval):
        return forecast
    run = None if batch_size is None else {"batch_size": batch_size}  # to which the pilots' law is carried
    made = forecast.forecast(n_train, target=run) if isinstance(forecast, Study) else forecast
    if not isinstance(made, Forecast):
        raise ConfigError(
            "forecast is a Study of pilots (see taumem.pilot), a Forecast or an Interval; got "
            f"{type(forecast).__name__}."
        )
    if made.n_train != n_train:
        raise ConfigError(f"the forecast is for P = {made.n_train:,}, and these are {n_train:,} training items.")
    if made.law is None:
        return made.predicted
    refuse_time(made.law.unit, "a guard's forecast is of a step")
    forecast_at = made.predicted.batch_size or None
    if batch_size is not None and forecast_at not in (None, batch_size):
        warnings.warn(
            f"the forecast is for batches of {forecast_at:,}, and this run has {batch_size:,}: it holds at the pilots' "
            "batch size, learning rate and schedule. Hand over the Study, or study.forecast(P, batch_size=...).",
            TaumemWarning,
            stacklevel=4,
        )
    for caution in of_a_forecast(made):
        warnings.warn(caution, TaumemWarning, stacklevel=4)
    return made.law.predict(n_train, batch_size=forecast_at, confidence=FORECAST_CONFIDENCE)


def chosen_rule(
    given: Rule | Sequence[Rule] | None, stop: Interval | None, *, heldout: bool, sampler: bool, twin: bool
) -> StoppingRule:
    """The rules by their names, or those that can be asked.

    Args:
        given: a name, a rule, several of these, or None.
        stop: the interval of a forecast.
        heldout: whether there are held-out items.
        sampler: whether samples are drawn.
        twin: whether there is another model.

    Raises:
        ConfigError: an unknown name, nothing to judge by, a rule that could never say stop, or what is no rule.
    """
    askable = {
        "balanced": (heldout or twin, "held-out items (heldout=...), or another model (twin=...)"),
        "no_copies": (heldout and sampler, "a sampler (sampler=...), and held-out items, which tell what chance gives"),
        "forecast": (stop is not None, "a forecast (forecast=...), such as the Study that taumem.pilot returns"),
        "quality": (heldout, "held-out items (heldout=...)"),
        "privacy": (heldout, "held-out items (heldout=...)"),
    }
    if given is None:
        given = [name for name in ("balanced", "no_copies", "forecast") if askable[name][0]]
        if not given:
            raise ConfigError(
                "nothing to judge by: give heldout=..., items that the model never trains on; or train on all, and "
                "give forecast=taumem.pilot(...), which tells from small pilot runs when to stop."
            )
    names = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    for name in names:
        _refuse_what_cannot_be_asked(name, askable)
    rules = [_named(name, stop) if isinstance(name, str) else name for name in names]
    if not rules or not all(callable(getattr(rule, "judge", None)) and not isinstance(rule, type) for rule in rules):
        raise ConfigError(f"a rule is a name, or an object with judge(record, step); got {given!r}.")
    return rules[0] if len(rules) == 1 else AnyOf(tuple(rules))


def _refuse_what_cannot_be_asked(rule: Rule, askable: Mapping[str, tuple[bool, str]]) -> None:
    """Refuse a rule, by its name or itself, that rests on what a guard does not measure."""
    if isinstance(rule, AnyOf):
        for one in rule.rules:
            _refuse_what_cannot_be_asked(one, askable)
    elif isinstance(rule, MembersFound) and rule.attack:
        raise ConfigError(
            f"the rule MembersFound(attack='{rule.attack}') rests on an attack, and a guard makes none: leave attack "
            "out, and it judges by the loss. Attacks are made in the laboratory (monitor.membership = true)."
        )
    elif not isinstance(rule, ForecastReached):  # which brings its own forecast
        name = rule if isinstance(rule, str) else getattr(rule, "name", "")
        is_askable, needs = askable.get(name, (True, ""))
        if not is_askable:
            raise ConfigError(f"the rule '{name}' needs {needs}.")


def stop_step_of(rule: StoppingRule) -> float | None:
    """The step at which a forecast among the rules says stop; None without one."""
    return min((one.onset.low for one in _each(rule) if isinstance(one, ForecastReached)), default=None)


def due_steps(rule: StoppingRule) -> tuple[int, ...]:
    """The steps at which a rule may say stop without a look: a forecast's, and the limit of a pilot."""
    forecasts = [math.ceil(one.onset.low) for one in _each(rule) if isinstance(one, ForecastReached)]
    return (*forecasts, *(one.at_most for one in _each(rule) if isinstance(one, Located) and one.at_most is not None))


def _each(rule: StoppingRule) -> tuple[StoppingRule, ...]:
    return tuple(one for each in rule.rules for one in _each(each)) if isinstance(rule, AnyOf) else (rule,)


def _named(name: str, stop: Interval | None) -> StoppingRule:
    return ForecastReached(stop) if name == ForecastReached.name and stop is not None else rule_named(name)


def whole_step(step: object) -> int:
    """Take a number of optimizer steps.

    Raises:
        ConfigError: it is none.
    """
    try:
        found = index(step)  # type: ignore[arg-type]
    except TypeError:
        found = -1
    if found < 0 or isinstance(step, bool):
        told = repr(step) if isinstance(step, int | float | str) else type(step).__name__
        raise ConfigError(f"a step is a whole number of optimizer steps, as in guard(model, step); got {told}.")
    return found
