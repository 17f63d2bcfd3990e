"""The guard in other people's training loops: one thin module per framework, imported when it is first used.

::

    from taumem.integrations import AccelerateGuard        # Accelerate, and the training scripts of diffusers
    from taumem.integrations import LightningGuard         # lightning.pytorch and pytorch_lightning
    from taumem.integrations import TransformersGuard      # the Trainer of Transformers
    from taumem.integrations import IgniteGuard            # Ignite, and the trainers of MONAI
    from taumem.integrations import TensorBoard, WeightsAndBiases, MLflow, Trackio    # sinks of the guard

Each takes a :class:`taumem.Guard` that was made beforehand, so that whatever the guard can do, it can do everywhere.
A loop of one's own needs none of them: ``if guard(model, step): break``.
"""

from importlib import import_module
from typing import Any

__all__ = [
    "AccelerateGuard",
    "IgniteGuard",
    "LightningGuard",
    "MLflow",
    "TensorBoard",
    "Trackio",
    "TransformersGuard",
    "WeightsAndBiases",
]

FRAMEWORKS = ("accelerate", "ignite", "lightning", "transformers")


def __getattr__(name: str) -> Any:
    """Import a name from its module, and with it the framework that the module is for."""
    if name not in __all__:
        raise AttributeError(f"taumem.integrations has no {name!r}. It has: {', '.join(__all__)}.")
    home = name.removesuffix("Guard").lower()
    return getattr(import_module(f"{__name__}.{home if home in FRAMEWORKS else 'trackers'}"), name)


def __dir__() -> list[str]:
    return list(__all__)
