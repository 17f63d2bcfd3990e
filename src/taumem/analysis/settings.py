"""The settings of an experiment by keys that name their section, such as ``training.learning_rate``."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from taumem.errors import ConfigError, nearest_name, option
from taumem.record import RunRecord

__all__ = ["PARAMETERS", "check_covariate", "flat", "numbers_of", "settings_of"]

PARAMETERS = "parameters"
"""What the number of weights that training changes is called among the settings, where a run has counted them."""


def flat(content: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting with its whole key, whatever it is nested in.

    >>> list(flat({"training": {"clip": 1.0, "betas": (0.9, 0.999)}, "twins": True}))
    [('training.clip', 1.0), ('training.betas', [0.9, 0.999]), ('twins', True)]
    """
    for key, value in content.items():
        name = f"{section}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        else:
            yield name, list(value) if isinstance(value, tuple) else value


def numbers_of(experiment: Mapping[str, Any]) -> dict[str, float]:
    """The settings that are finite numbers; what is on or off is 1 or 0.

    >>> numbers_of({"training": {"learning_rate": 1e-3, "batch_size": "P"}, "twins": True})
    {'training.learning_rate': 0.001, 'twins': 1.0}
    """
    return {
        key: float(value) for key, value in flat(experiment) if isinstance(value, int | float) and math.isfinite(value)
    }


def check_covariate(name: str, settings: Collection[Mapping[str, float]]) -> None:
    """Refuse a covariate that no law can have: no setting of these runs, or the same in all.

    Args:
        name: of the setting.
        settings: of each run.

    Raises:
        ConfigError: none of the runs has it, or several do and none differs from another.
    """
    covariate = option("covariates", "covariate")
    values = [own[name] for own in settings if name in own]
    if not values:
        known = {each for own in settings for each in own}
        told = nearest_name(name, known) if known else "they have none at all."
        raise ConfigError(f"{covariate}: none of these runs has a setting '{name}' that is a number; {told}")
    if len(values) > 1 and len(set(values)) == 1:
        raise ConfigError(
            f"{covariate}: all of these runs have {name} = {values[0]:g}; name a setting in which they differ."
        )


def settings_of(record: RunRecord) -> dict[str, float]:
    """The numbers of a run's experiment, and how many weights it trains, which its learning rate is the mean over."""
    rate = record.curve_or_none("learning_rate")
    counted = {} if rate is None or not len(rate) else {PARAMETERS: float(rate.counts[0])}
    return numbers_of(record.header.experiment) | counted
