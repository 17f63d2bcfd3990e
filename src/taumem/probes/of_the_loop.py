"""What a training loop itself knows: the state of its optimizer, and metrics of its own."""

import math
import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from taumem.data.items import as_tensor
from taumem.errors import ConfigError, TaumemWarning
from taumem.probes.isolation import seed_globally, undisturbed
from taumem.probes.probe import mean
from taumem.record import QUANTITIES, Estimate, Reading
from taumem.record.quantities import family_of

__all__ = ["OptimizerState", "OwnMetric"]

SECOND_MOMENTS = ("exp_avg_sq", "square_avg")
"""What optimizers call their running mean of squared gradients: Adam and its kin, RMSprop."""


SHOWN = ("gap_se", "samples_seen", "copy_fraction_null", "onset_step", "forecast_stop_step")
"""Names under which trackers see other numbers."""


class OptimizerState:
    """Records what sets the pace of training: the learning rate, and the size of the gradient that it is divided by.

    ``learning_rate``: the mean over all parameters. ``root_second_moment``: the mean over all parameters of sqrt(v), v
    the running mean of squared gradients, corrected for its start where the optimizer does so; left out where the
    optimizer keeps none (SGD). Their ratio is how far a step moves weights along a lasting gradient.

    Args:
        optimizer: any of torch's kind: with ``param_groups`` and ``state``.

    Raises:
        ConfigError: it is none.
    """

    def __init__(self, optimizer: Any) -> None:
        if not all(hasattr(optimizer, name) for name in ("param_groups", "state")):
            raise ConfigError(f"optimizer is one of torch's kind; got {type(optimizer).__name__}.")
        self.optimizer: Optimizer = optimizer

    @property
    def settings(self) -> dict[str, Any]:
        """The optimizer's kind."""
        return {"optimizer": type(self.optimizer).__name__}

    def measure(self, model: Any) -> Reading:
        """Read the state as it is now; the model is not asked."""
        n = sum_of_rates = n_moments = sum_of_roots = 0.0
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                n += parameter.numel()
                sum_of_rates += parameter.numel() * float(group["lr"])
                state = self.optimizer.state.get(parameter, {})
                moment = next((state[name] for name in SECOND_MOMENTS if isinstance(state.get(name), Tensor)), None)
                if moment is not None:
                    n_moments += moment.numel()
                    sum_of_roots += float(moment.double().sqrt().sum()) / _start(group, state) ** 0.5
        if not n:
            return Reading(())
        estimates = [Estimate(quantity="learning_rate", value=sum_of_rates / n, count=int(n))]
        if n_moments:
            root = sum_of_roots / n_moments
            estimates.append(Estimate(quantity="root_second_moment", value=root, count=int(n_moments)))
        return Reading(tuple(estimates))


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


def _start(group: dict[str, Any], state: dict[str, Any]) -> float:
    """By which factor the running mean is short of the mean of squares, after so few steps; 1 where it starts right."""
    betas, step = group.get("betas"), state.get("step")
    if betas is None or step is None:
        return 1.0
    decay = float(betas[1])
    return max(1.0 - math.pow(decay, float(step)), 1e-12)
