"""Activation checkpointing: the same numbers, and less to remember."""

import pytest
import torch

from taumem.diffusion import GaussianDiffusion, MaskedDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, Categorical, Preconditioned, Transformer, UNet
from taumem.models.recomputation import checkpoint_activations


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def unet():
    network = UNet((3, 8, 8), channels=8, multipliers=(1, 2), blocks=2, attention=(8,), dropout=0.2, generator=seeded())
    return Preconditioned(network, GaussianDiffusion()), torch.randn(4, 3, 8, 8, generator=seeded(1))


def transformer():
    diffusion = MaskedDiffusion(5)
    network = Transformer(12, 5, symbols=diffusion.symbols, width=16, depth=3, time_conditioning=True)
    return Categorical(network, diffusion), torch.randint(0, 5, (4, 12), generator=seeded(1))


@pytest.mark.parametrize("make", [unet, transformer])
def test_losses_and_gradients_are_the_same_to_the_last_bit(make):
    found = []
    for again in (False, True):
        model, x0 = make()
        with torch.no_grad():
            for k, weights in enumerate(model.parameters()):  # what starts at zero would hide errors
                weights += 0.1 * torch.randn(weights.shape, generator=seeded(k))
        if again:
            checkpoint_activations(model)
        diffusion = model.diffusion if hasattr(model, "diffusion") else MaskedDiffusion(5)
        kept: list[torch.Tensor] = []
        with (
            torch.random.fork_rng(),
            torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x) or x, lambda x: x),
        ):
            torch.manual_seed(5)  # of dropout
            noise = diffusion.noise(x0, seeded(2))
            loss = diffusion.loss(model, x0, torch.tensor([0.1, 0.4, 0.6, 0.9]), noise)
            loss.sum().backward()
        found.append((loss.detach(), [weights.grad for weights in model.parameters()], len(kept)))
    (loss, gradients, n_kept), (again_loss, again_gradients, n_kept_again) = found
    assert torch.equal(loss, again_loss)
    assert all(torch.equal(a, b) for a, b in zip(gradients, again_gradients, strict=True))
    assert n_kept_again < n_kept / 2


def test_a_network_without_stages_is_refused():
    with pytest.raises(ConfigError, match="networks in stages"):
        checkpoint_activations(Preconditioned(MLP((4,)), GaussianDiffusion()))
