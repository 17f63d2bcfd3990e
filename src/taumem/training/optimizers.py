"""The optimizers that the laboratory trains with, by name."""

from collections.abc import Iterable
from typing import Literal, get_args

import torch
from torch import nn
from torch.optim import Optimizer

from taumem.errors import ConfigError

__all__ = ["OptimizerName", "make_optimizer"]

OptimizerName = Literal["adamw", "adam", "sgd", "rmsprop"]


def make_optimizer(
    name: OptimizerName,
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
) -> Optimizer:
    """Make an optimizer.

    Args:
        name: ``adamw`` and ``adam`` (one and the same without weight decay), ``sgd``, ``rmsprop`` (without momentum).
        parameters: to train.
        learning_rate: of its steps.
        weight_decay: decoupled from the gradient in ``adamw``, added to the gradient in the others.
        momentum: of ``sgd``, in [0, 1); the others take none.

    Raises:
        ConfigError: there is no such optimizer, or a momentum out of its range.
    """
    if name not in get_args(OptimizerName):
        raise ConfigError(f"an optimizer is one of {', '.join(get_args(OptimizerName))}; got {name!r}.")
    if not 0 <= momentum < 1:
        raise ConfigError(f"momentum is in [0, 1); got {momentum}.")
    parameters = list(parameters)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, fused=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=learning_rate, alpha=0.999, weight_decay=weight_decay)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
