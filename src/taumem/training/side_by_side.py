"""Many U-Nets as one: the channels of all stand side by side, and every convolution has a group for each member.

Items of the members stand in turn, [batch x E, channels, ...]. Whatever has no parameters treats each item by itself
and needs not know of members; a layer with parameters sees the same memory as [batch, E x channels, ...], with as many
times the groups. So nothing is copied, and the processor gets products that are large enough to be worth its while.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import Tensor, nn
from torch.func import functional_call

from taumem.models import Preconditioned, UNet
from taumem.models.unet import Downsample, Pointwise, Upsample
from taumem.shapes import Batch, Times

Joined = Callable[[Mapping[str, Tensor], Batch, Times], Batch]

__all__ = ["can_stand_side_by_side", "side_by_side"]

LAYERS = (nn.Conv2d, Downsample, Pointwise, Upsample, nn.GroupNorm, nn.Linear)


def can_stand_side_by_side(denoiser: nn.Module) -> bool:
    """Whether members of this kind can be computed so: U-Nets, all of whose parameters are in layers that have groups.

    Others might mix the items of a batch, or use their parameters in ways that nobody here knows of.
    """
    network = denoiser.network if type(denoiser) is Preconditioned else denoiser
    with_parameters = [m for m in network.modules() if next(m.parameters(recurse=False), None) is not None]
    return type(network) is UNet and all(type(layer) in LAYERS for layer in with_parameters)


def side_by_side(denoiser: nn.Module, n: int) -> Joined:
    """Make the one network that computes what n members do.

    Args:
        denoiser: one of them, which :func:`can_stand_side_by_side`; it is left as it is.
        n: how many.

    Returns:
        A function of the members' parameters by name, each stacked along a first axis of n, of items of the members in
        turn [batch x n, ...] and of their times; it gives what the members predict, in the same order.
    """
    network = copy.deepcopy(denoiser)
    for parameter in network.parameters():
        parameter.data = parameter.data.new_empty(0)  # those of the members stand in for it
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear):
            network.set_submodule(name, _Linears(layer, n))
        elif isinstance(layer, nn.GroupNorm):
            layer.num_groups *= n
            _on_channels_of_all(layer, n)
        elif isinstance(layer, nn.Conv2d):
            layer.groups *= n
            _on_channels_of_all(layer, n)

    def joined(parameters: Mapping[str, Tensor], xt: Batch, t: Times) -> Batch:
        own = {name: stack if stack.ndim == 3 else stack.flatten(0, 1) for name, stack in parameters.items()}
        return cast(Batch, functional_call(network, own, (xt, t)))

    return joined


def _on_channels_of_all(layer: nn.Module, n: int) -> None:
    """Let a layer see items [batch x n, channels, ...] as [batch, n x channels, ...], and turn back what it gives."""

    def beside(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        h, *others = arguments
        return h.reshape(h.shape[0] // n, n * h.shape[1], *h.shape[2:]), *others

    def in_turn(layer: nn.Module, arguments: tuple[Any, ...], h: Tensor) -> Tensor:
        return h.reshape(h.shape[0] * n, h.shape[1] // n, *h.shape[2:])

    layer.register_forward_pre_hook(beside)
    layer.register_forward_hook(in_turn)


class _Linears(nn.Module):
    """A linear layer for each of n members, of vectors: weights [n, outer, inner], biases [n x outer]."""

    def __init__(self, layer: nn.Linear, n: int) -> None:
        super().__init__()
        self.n = n
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, h: Tensor) -> Tensor:
        of_each = h.reshape(-1, self.n, h.shape[-1]).transpose(0, 1) @ self.weight.mT
        turned = of_each.transpose(0, 1)
        out = turned if self.bias is None else turned + self.bias.view(self.n, -1)
        return out.reshape(-1, out.shape[-1])
