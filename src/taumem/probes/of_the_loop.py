"""What a training loop itself knows: metrics of its own."""

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor

from taumem.data.items import as_tensor
from taumem.errors import ConfigError, TaumemWarning
from taumem.probes.isolation import seed_globally, undisturbed
from taumem.probes.probe import mean
from taumem.record import QUANTITIES, Reading
from taumem.record.quantities import family_of

__all__ = ["OwnMetric"]

SHOWN = ("gap_se", "samples_seen", "copy_fraction_null", "onset_step", "forecast_stop_step")
"""Names under which trackers see other numbers."""


class OwnMetric:
    """Records a metric of the caller's own: what counts for them, a reward or a score.

    Args:
        name: of the quantity in the record.
        measure: from the model to a number, or to one number per item.
        seed: of the global random states while it is measured.

    Raises:
        ConfigError: a name that is taken, or a metric that cannot be called.
    """

    def __init__(self, name: str, measure: Callable[[Any], Any], *, seed: int = 0) -> None:
        if family_of(name) in QUANTITIES or name in SHOWN:
            raise ConfigError(f"a metric has a name of its own; '{name}' is one of taumem's quantities.")
        if not name or not callable(measure):
            raise ConfigError(f"metrics={{name: f}} with f(model) -> a number; got {name!r}: {type(measure).__name__}.")
        self.name, self._measure, self.seed = name, measure, seed

    @property
    def settings(self) -> dict[str, Any]:
        """The name and the seed."""
        return {"name": self.name, "seed": self.seed}

    def measure(self, model: Any) -> Reading:
        """Ask the caller's function; one that fails leaves its number out, and nothing else.

        Warns:
            TaumemWarning: it raised, or gave no finite numbers.
        """
        try:
            with undisturbed(model):
                seed_globally(self.seed, "metric", self.name)
                answer = self._measure(model)
            values = as_tensor(answer if isinstance(answer, Tensor) else [answer], f"values of '{self.name}'")
            problem = "" if bool(values.double().isfinite().all()) and values.numel() else "it gave no finite number"
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            warnings.warn(f"the metric '{self.name}' is left out of a look: {problem}.", TaumemWarning, stacklevel=2)
            return Reading(())
        return Reading((mean(self.name, values.flatten().cpu()),))
