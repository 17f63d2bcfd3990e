"""Where the numbers of each look are shown: TensorBoard, W&B, MLflow, Trackio.

::

    guard = taumem.Guard(loss, train=..., heldout=..., sinks=[TensorBoard(SummaryWriter("runs/mine"))])

A sink is ``log(numbers, step)`` or an object with such a method: a function of one's own, an ``Accelerator``. The
numbers are those of :func:`taumem.monitor.sinks.numbers_of`: ``taumem/gap``, ``taumem/heldout_loss`` and the like.
Nothing is imported here: each sink is handed what its tracker gave.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MLflow", "TensorBoard", "Trackio", "WeightsAndBiases"]

Numbers = Mapping[str, float]


class TensorBoard:
    """Writes scalars.

    Args:
        writer: a ``SummaryWriter`` of ``torch.utils.tensorboard`` or ``tensorboardX``.
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def log(self, numbers: Numbers, step: int) -> None:
        """Write the numbers of a look, and bring them to disk."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()


class WeightsAndBiases:
    """Logs to a W&B run on an axis of its own, ``taumem/step``.

    W&B drops what comes with a lower step than the last, so that two writers of one run would lose each other's rows.

    Args:
        run: what ``wandb.init`` returns.
    """

    STEP = "taumem/step"

    def __init__(self, run: Any) -> None:
        self.run = run
        run.define_metric(self.STEP, hidden=True)
        run.define_metric("taumem/*", step_metric=self.STEP)

    def log(self, numbers: Numbers, step: int) -> None:
        """Log the numbers of a look."""
        self.run.log({**numbers, self.STEP: step})


class MLflow:
    """Logs metrics to an MLflow run.

    Args:
        client: the module ``mlflow``, for the active run; or an ``MlflowClient``, with a run.
        run_id: of the client's run.
    """

    def __init__(self, client: Any, run_id: str | None = None) -> None:
        self.client = client
        self.run_id = run_id

    def log(self, numbers: Numbers, step: int) -> None:
        """Log the numbers of a look; brackets in names, which MLflow refuses, become ``_``."""
        named = {re.sub(r"[^\w\-. /]", "_", name): value for name, value in numbers.items()}
        if self.run_id is None:
            self.client.log_metrics(named, step=step)
            return
        for name, value in named.items():
            self.client.log_metric(self.run_id, name, value, step=step)


class Trackio:
    """Logs to a Trackio run.

    Args:
        run: what ``trackio.init`` returns.
    """

    def __init__(self, run: Any) -> None:
        self.run = run

    def log(self, numbers: Numbers, step: int) -> None:
        """Log the numbers of a look."""
        self.run.log(dict(numbers), step=step)
