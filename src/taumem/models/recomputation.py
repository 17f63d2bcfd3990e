"""Activation checkpointing: stages of a network that keep their inputs alone, and are computed twice.

What a network remembers of a batch until the backward pass is most of what large ones take of memory. A stage that is
computed once more in the backward pass keeps nothing but its inputs: about a third more time, for a fraction of the
memory. Losses and gradients are the same to the last bit.

Reference: Chen et al. 2016, arXiv 1604.06174.
"""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from taumem.errors import ConfigError

__all__ = ["InStages", "checkpoint_activations"]


class InStages(nn.Module):
    """A network whose parts can be computed twice."""

    def __init__(self) -> None:
        super().__init__()
        self.recomputes = False

    def through(self, stage: nn.Module, *inputs: object) -> torch.Tensor:
        """Compute a stage; with gradients, so that it keeps its inputs alone, if that was asked for."""
        again = self.recomputes and torch.is_grad_enabled()
        out: torch.Tensor = checkpoint(stage, *inputs, use_reentrant=False) if again else stage(*inputs)
        return out


def checkpoint_activations(model: nn.Module) -> None:
    """Have all networks in a model that come in stages compute these twice.

    Raises:
        ConfigError: there are none.
    """
    networks = [module for module in model.modules() if isinstance(module, InStages)]
    if not networks:
        raise ConfigError("checkpoint_activations is for networks in stages: a U-Net of images, or a transformer.")
    for network in networks:
        network.recomputes = True
