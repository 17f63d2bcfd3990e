"""Adapters of low rank (LoRA): a pretrained network is frozen, and a small matrix is trained beside each of its own.

Reference: Hu et al. 2021, arXiv 2106.09685.
"""

import math
import warnings

from torch import Generator, nn

from taumem.errors import ConfigError
from taumem.models.initialization import without_global_draws

__all__ = ["add_adapters"]


@without_global_draws
def add_adapters(denoiser: nn.Module, rank: int, generator: Generator) -> None:
    """Freeze a network, and put trained adapters beside its linear layers and convolutions; at first they do nothing.

    Their scale is 1 (alpha is the rank), so that one learning rate serves several ranks.

    Args:
        denoiser: any module; it is changed in place.
        rank: of the adapters, from 1.
        generator: of their weights.

    Raises:
        ConfigError: peft is not installed, or there is no layer to adapt.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ConfigError(
            f"training.lora_rank needs peft, which cannot be imported ({error}); pip install 'taumem[diffusers]'."
        ) from None
    # Layers of a class of their own, which halve or double a grid, stay as they are: peft cannot make such.
    layers = [name for name, layer in denoiser.named_modules() if type(layer) in (nn.Linear, nn.Conv2d)]
    if not layers:
        raise ConfigError(f"{type(denoiser).__name__} has neither linear layers nor convolutions to adapt.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=layers), denoiser)
    for name, weight in denoiser.named_parameters():
        if "lora_A" in name:
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
