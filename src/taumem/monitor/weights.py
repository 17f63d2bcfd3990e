"""Which weights are asked: those that are trained, or their moving average, however a trainer holds it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
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
    parameters = _averaged_parameters(model, ema)
    before = [p.detach().clone() for p in parameters]
    ema.store(parameters)
    try:
        ema.copy_to(parameters)
        yield model
    finally:
        try:
            ema.restore(parameters)
        finally:  # whatever the average does, training goes on with its own weights
            for p, was in zip(parameters, before, strict=True):
                if not torch.equal(p, was):
                    p.data.copy_(was)


def _averaged_parameters(model: Any, ema: Any) -> list[nn.Parameter]:
    """Those that an average is of: all, those that are trained, or those of one member of the model.

    Raises:
        ConfigError: its shadow parameters are of none of these.
    """
    members = model.values() if isinstance(model, Mapping) else model if isinstance(model, tuple | list) else ()
    everything = _parameters(model)
    ways = [everything, [p for p in everything if p.requires_grad], *map(_parameters, members)]
    shadows = getattr(ema, "shadow_params", None)
    if shadows is None:
        return everything
    shapes = [tuple(shadow.shape) for shadow in shadows]
    for parameters in ways:
        if [tuple(p.shape) for p in parameters] == shapes:
            return parameters
    raise ConfigError(
        f"ema averages {len(shapes)} tensors, and the model has {len(everything)}, {len(ways[1])} of them trained: "
        "hand over the network that it averages."
    )


def _parameters(model: Any) -> list[nn.Parameter]:
    found = [p for module in modules_of(model) for p in module.parameters(recurse=False)]
    return list(dict.fromkeys(found))


def state_of(model: Any) -> Any:
    """The weights of a model as they are now, on the CPU; of several, by their names or places."""
    if isinstance(model, nn.Module):
        return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    members = model.items() if isinstance(model, dict) else enumerate(model) if isinstance(model, tuple | list) else ()
    return {key: state_of(member) for key, member in chain(members) if modules_of(member)}
