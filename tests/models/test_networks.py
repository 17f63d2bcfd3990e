"""The networks: their sizes against the original's, their initial state, their refusals."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from taumem.diffusion import GaussianDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, Preconditioned, UNet
from taumem.models.time_embedding import sinusoids
from taumem.models.unet import Attention


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed))


def n_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def stirred(network: nn.Module) -> nn.Module:
    generator = seeded(7)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return network


IDDPM = {"channels": 128, "multipliers": (1, 2, 2, 2), "blocks": 3, "attention": (16, 8)}

# Counted on openai/improved-diffusion's UNetModel (use_scale_shift_norm, without learned variances).
ORIGINAL = [
    ((3, 32, 32), IDDPM, 52_542_979),
    ((1, 16, 16), {"channels": 32, "multipliers": (1, 2), "blocks": 1}, 704_705),
    ((3, 32, 32), {"channels": 64, "multipliers": (1, 2, 3), "blocks": 2, "attention": (8,)}, 10_990_339),
]


@pytest.mark.parametrize(("shape", "options", "expected"), ORIGINAL)
def test_the_unet_has_as_many_parameters_as_improved_ddpms(shape, options, expected):
    assert n_parameters(UNet(shape, **options)) == expected


CONFIGURATIONS = [
    ((1, 16, 16), {}),
    ((1, 32, 32), {"patch": 2}),
    ((3, 32, 32), {"channels": 32, "multipliers": (1, 2, 2, 2), "blocks": 1, "attention": (16, 8)}),
    ((3, 16, 24), {"multipliers": (1, 2), "blocks": (2, 1)}),
    ((1, 8, 8), {"multipliers": (2,), "blocks": 1}),
    ((2, 8, 8), {"multipliers": (1, 2), "blocks": (0, 0)}),
    ((1, 28, 28), {"channels": 12, "multipliers": (1, 3), "attention": (28,), "head_channels": 8}),
    ((1, 28, 28), {"channels": 28, "patch": 4, "multipliers": (4,), "blocks": 1}),
]


@pytest.mark.parametrize(("shape", "options"), CONFIGURATIONS)
def test_the_unet_starts_as_the_zero_function_of_the_items_shape(shape, options):
    out = UNet(shape, **options)(normal(2, *shape), torch.tensor([0.1, 0.9]))
    assert torch.equal(out, torch.zeros(2, *shape))


def test_a_unet_can_be_as_small_as_a_fifth_of_a_million_parameters():
    assert n_parameters(UNet((1, 32, 32), channels=12, patch=2)) < 200_000


@pytest.mark.parametrize(
    ("options", "levels_that_attend"),
    [({}, 0), ({"attention": (16,)}, 1), ({"attention": (8,)}, 1), ({"attention": (16, 8)}, 2)],
)
def test_attention_stands_where_it_was_asked_for_and_in_the_middle(options, levels_that_attend):
    unet = UNet((1, 32, 32), patch=2, multipliers=(1, 2), blocks=1, **options)
    # Each level has one block on the way down and two on the way up.
    assert sum(isinstance(m, Attention) for m in unet.modules()) == 1 + 3 * levels_that_attend


def test_a_pixel_unshuffle_is_a_network_on_patches_as_channels():
    patched, plain = (stirred(UNet(s, patch=p)) for s, p in [((1, 16, 16), 2), ((4, 8, 8), 1)])
    xt, t = normal(3, 1, 16, 16), torch.tensor([0.1, 0.5, 0.9])
    expected = functional.pixel_shuffle(plain(functional.pixel_unshuffle(xt, 2), t), 2)
    torch.testing.assert_close(patched(xt, t), expected)


def test_attention_is_the_softmax_average_over_all_positions():
    with torch.random.fork_rng(devices=[]):  # a layer made by itself draws its weights as torch's do
        attention = stirred(Attention(12, head_channels=4))
    h = normal(2, 12, 3, 5)
    q, k, v = attention.qkv(attention.norm(h)).flatten(2).reshape(2, 3, 3, 4, 15).unbind(dim=1)
    mixed = torch.zeros(2, 3, 4, 15)
    for head in range(3):
        scores = torch.einsum("bci,bcj->bij", q[:, head], k[:, head]) / math.sqrt(4)
        mixed[:, head] = torch.einsum("bij,bcj->bci", scores.softmax(dim=2), v[:, head])
    torch.testing.assert_close(attention(h), h + attention.leave(mixed.reshape(2, 12, 3, 5)))


def test_the_time_embedding_is_that_of_ddpm_at_a_thousand_steps():
    t, width = np.array([0.0, 0.25, 1.0]), 6
    angles = 1000 * t[:, None] * np.array([1.0, 10_000 ** (-1 / 3), 10_000 ** (-2 / 3)])
    expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(sinusoids(torch.tensor(t), width), expected, atol=1e-10)


NETWORKS = {
    "U-Net": lambda **options: UNet((1, 8, 8), **options),
    "U-Net with attention": lambda **options: UNet((1, 8, 8), attention=(8, 4), blocks=1, **options),
    "MLP": lambda **options: MLP((1, 8, 8), width=16, **options),
}
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())


@each_network
def test_initial_weights_come_from_the_generator_alone(make):
    first, again, other = (make(generator=seeded(seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@each_network
def test_without_a_generator_initial_weights_are_always_the_same(make):
    first, again = make().state_dict(), make().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


@each_network
def test_construction_leaves_the_global_random_state_alone(make):
    before = torch.get_rng_state()
    make(generator=seeded(1))
    assert torch.equal(torch.get_rng_state(), before)


@each_network
def test_initial_weights_are_distributed_as_torchs_own(make):
    for layer in make(generator=seeded(1)).modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.abs().max() > 0 and layer.weight.numel() > 500:
            bound = 1 / math.sqrt(layer.weight[0].numel())
            assert layer.weight.abs().max() <= bound
            assert float(layer.weight.detach().var()) == pytest.approx(bound**2 / 3, rel=0.2)


@each_network
def test_every_parameter_learns_once_the_zeroed_layers_have_left_zero(make):
    network = make(generator=seeded(1))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    learned = set()
    # A branch's zeroed last layer moves first; only then does a gradient reach what stands before it.
    for _ in range(4):
        loss = (network(normal(4, 1, 8, 8), torch.linspace(0.1, 0.9, 4)) - normal(4, 1, 8, 8, seed=1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learned |= {name for name, p in network.named_parameters() if p.grad.abs().max() > 0}
    assert learned == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("shape", [(5,), (1, 4, 4), (2, 3)])
def test_an_mlp_takes_items_of_any_shape(shape):
    assert MLP(shape, width=16)(normal(3, *shape), torch.rand(3, generator=seeded())).shape == (3, *shape)


@pytest.mark.parametrize("predicts", ["eps", "v", "x0"])
def test_preconditioning_makes_the_loss_the_squared_error_of_the_output(predicts):
    diffusion = GaussianDiffusion(weighting=predicts)
    network = MLP((3,), width=8).double()
    x0, eps, t = normal(20, 3).double(), normal(20, 3, seed=1).double(), torch.linspace(0.01, 0.99, 20).double()
    alpha, sigma = (scale[:, None] for scale in diffusion.scales(t))
    target = {"eps": eps, "v": alpha * eps - sigma * x0, "x0": x0}[predicts]
    expected = (network(diffusion.corrupt(x0, t, eps), t) - target).square().mean(dim=1)
    found = diffusion.loss(Preconditioned(network, diffusion, predicts), x0, t, eps)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((28, 28), {}, "takes images"),
        ((1, 28, 28), {"multipliers": (1, 2, 2, 2), "blocks": 1}, "multiples of 8"),
        ((1, 16, 18), {"patch": 4}, "16x18"),
        ((1, 16, 16), {"multipliers": (1, 2), "blocks": (1, 1, 1)}, "3 levels"),
        ((1, 16, 16), {"channels": 15}, "15"),
        ((1, 16, 16), {"channels": 0}, "0"),
        ((1, 16, 16), {"patch": 0}, "patch"),
        ((1, 16, 16), {"head_channels": 0}, "head_channels"),
        ((1, 16, 16), {"multipliers": (), "blocks": ()}, "multipliers"),
        ((1, 16, 16), {"multipliers": (0, 2)}, "multipliers"),
        ((1, 16, 16), {"blocks": (-1, 0)}, "blocks"),
        ((1, 16, 16), {"attention": (7,)}, "7.*16, 8"),
    ],
)
def test_a_unet_that_cannot_be_built_is_refused(shape, options, message):
    with pytest.raises(ConfigError, match=message):
        UNet(shape, **options)


@pytest.mark.parametrize("width", [15, 1, 0])
def test_an_mlp_of_odd_width_is_refused(width):
    with pytest.raises(ConfigError, match=f"got {width}"):
        MLP((3,), width=width)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(ConfigError, match="'noise'"):
        Preconditioned(MLP((3,), width=8), GaussianDiffusion(), "noise")
