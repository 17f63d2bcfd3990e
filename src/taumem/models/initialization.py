"""Initial weights from a generator of one's own, not from torch's global one."""

import functools
import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Generator, nn

__all__ = ["initialize", "without_global_draws"]

P = ParamSpec("P")
R = TypeVar("R")


def without_global_draws(construct: Callable[P, R]) -> Callable[P, R]:
    """Let a constructor leave the global random state as it found it: torch's layers draw weights as they are made."""

    @functools.wraps(construct)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.random.fork_rng(devices=[]):
            return construct(*args, **kwargs)

    return quiet


def initialize(module: nn.Module, generator: Generator | None = None) -> None:
    """Draw the weights of every convolution and linear layer as torch does by default, but from a generator.

    Args:
        module: whose weights to draw; normalizations are left as they are.
        generator: None takes a fixed one.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
