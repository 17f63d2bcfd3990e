"""Which weights are asked: those that are trained, or their moving average, however a trainer holds it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from taumem.errors import ConfigError
from taumem.probes.isolation import modules_of

__all__ = ["averaged", "check_average", "state_of", "unwrapped"]

SWAPS = ("store", "copy_to", "restore")


def unwrapped(model: Any) -> Any:
    """The model without the wrapper of several processes, whose forward pass would talk to the others."""
    return model.module if isinstance(model, DistributedDataParallel) else model


def check_average(ema: Any) -> None:
    """Refuse what is no average of weights.

    Raises:
        ConfigError: it is neither a module nor has it ``store``, ``copy_to`` and ``restore``.
    """
    if not isinstance(ema, nn.Module) and not all(callable(getattr(ema, name, None)) for name in SWAPS):
        raise ConfigError(
            f"ema is a module that holds averaged weights (such as torch's AveragedModel), or an object with store, "
            f"copy_to and restore (such as diffusers' EMAModel); got {type(ema).__name__}."
        )


@contextmanager
def averaged(model: Any, ema: Any) -> Iterator[Any]:
    """The model with its averaged weights; after, the model has its own weights again.

    Args:
        model: that is trained.
        ema: its average: a module of its own, or what swaps its weights into the model.
    """
    if isinstance(ema, nn.Module) and not all(callable(getattr(ema, name, None)) for name in SWAPS):
        inner = getattr(ema, "ema_model", None)
        yield ema.module if isinstance(ema, AveragedModel) else inner if isinstance(inner, nn.Module) else ema
        return
    parameters = [p for module in modules_of(model) for p in module.parameters(recurse=False)]
    unique = list(dict.fromkeys(parameters))
    ema.store(unique)
    try:
        ema.copy_to(unique)
        yield model
    finally:
        ema.restore(unique)


def state_of(model: Any) -> Any:
    """The weights of a model as they are now, on the CPU; of several, by their names or places."""
    if isinstance(model, nn.Module):
        return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    members = model.items() if isinstance(model, dict) else enumerate(model) if isinstance(model, tuple | list) else ()
    return {key: state_of(member) for key, member in chain(members) if modules_of(member)}
