"""The grammar's U-Net node by node, the denoisers of tokens made of networks, and what they learn."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from taumem.diffusion import Denoiser, LinearBetas, MaskedDiffusion, UniformDiffusion, stratified_times
from taumem.errors import ConfigError
from taumem.models import MLP, Categorical, EmpiricalDenoiser, OneHot, TreeUNet
from taumem.training import Learner, train

F64 = torch.float64
MASKED, UNIFORM = MaskedDiffusion(4), UniformDiffusion(4, LinearBetas(), "kl")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strings(n: int, positions: int, symbols: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(symbols, (n, positions), generator=seeded(seed))


def stirred(network: nn.Module) -> nn.Module:
    generator = seeded(7)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return network


def node_by_node(tree: TreeUNet, s: int, depth: int, xt: np.ndarray, t: float) -> np.ndarray:
    """The logits of one string, by the formula of the docstring, one node of the tree after another."""
    weights = {name: p.detach().numpy() for name, p in tree.named_parameters()}
    features = np.cos(math.pi * t * np.arange(1, tree.time_features + 1))

    def timed(layer: int) -> np.ndarray:
        return weights[f"time.{layer}.weight"] @ features if tree.time_features else np.zeros(1)

    heights = [[np.eye(tree.symbols)[symbol] for symbol in xt]]
    for level in range(depth):
        below, nodes = heights[-1], []
        for node in range(len(below) // s):
            children = np.concatenate([below[node * s + child] for child in range(s)])
            nodes.append(
                np.maximum(weights[f"up.{level}.weight"] @ children + weights[f"up.{level}.bias"] + timed(level), 0)
            )
        heights.append(nodes)
    g = heights[depth]
    for level in range(depth - 1, 0, -1):
        nodes = []
        for child in range(len(heights[level])):
            given = weights[f"down.{level - 1}.weight"] @ g[child // s] + weights[f"down.{level - 1}.bias"]
            part = np.split(given, s)[child % s]
            own = weights[f"skip.{level - 1}.weight"] @ heights[level][child]
            nodes.append(np.maximum(part + own + timed(2 * depth - 1 - level), 0))
        g = nodes
    logits = [np.split(weights["leave.weight"] @ node + weights["leave.bias"], s) for node in g]
    return np.concatenate(logits)


@pytest.mark.parametrize(
    ("s", "depth", "widths", "time_features"),
    [(2, 3, [3, 5, 4], 0), (2, 3, 4, 6), (3, 2, [5, 2], 2), (2, 1, 4, 3), (4, 1, 3, 0)],
)
def test_the_network_is_what_its_formula_says_node_by_node(s, depth, widths, time_features):
    tree = stirred(TreeUNet(s, depth, 4, widths, time_features=time_features)).double()
    xt, t = strings(3, s**depth, 5), torch.tensor([0.1, 0.6, 1.0], dtype=F64)
    expected = np.stack([node_by_node(tree, s, depth, x, float(time)) for x, time in zip(xt.numpy(), t, strict=True)])
    np.testing.assert_allclose(tree(xt, t).detach(), expected, rtol=1e-10, atol=1e-12)


def test_one_width_stands_for_all_levels():
    one, listed = TreeUNet(2, 3, 4, 6, generator=seeded(1)), TreeUNet(2, 3, 4, [6, 6, 6], generator=seeded(1))
    xt, t = strings(3, 8, 5), torch.rand(3, generator=seeded())
    assert torch.equal(one(xt, t), listed(xt, t))


def test_the_size_is_that_of_the_prototype_whose_clocks_are_known():
    assert sum(p.numel() for p in TreeUNet(2, 3, 8, [48, 128, 384]).parameters()) == 242_432


def test_without_time_features_the_time_is_not_read_and_with_them_it_is():
    xt, early, late = strings(3, 8, 5), torch.full((3,), 0.2), torch.full((3,), 0.7)
    blind, seeing = TreeUNet(2, 3, 4, 6), TreeUNet(2, 3, 4, 6, time_features=4)
    assert torch.equal(blind(xt, early), blind(xt, late))
    assert (seeing(xt, early) - seeing(xt, late)).abs().max() > 1e-3


def test_every_position_is_read_by_every_other():
    tree = stirred(TreeUNet(2, 3, 4, 16))
    xt = strings(1, 8, 5).expand(8, 8).clone()
    changed = xt.clone()
    changed.diagonal().add_(1).remainder_(5)
    t = torch.full((8,), 0.5)
    assert ((tree(changed, t) - tree(xt, t)).abs().amax(dim=2) > 0).all()


def test_initial_weights_have_he_s_variance_and_biases_are_zero():
    for layer in TreeUNet(2, 3, 8, [48, 128, 384], time_features=6, generator=seeded(1)).modules():
        if isinstance(layer, nn.Linear):
            # A sample variance of n uniform numbers has the relative standard error sqrt(0.8 / n).
            error = 5 * math.sqrt(0.8 / layer.weight.numel())
            assert float(layer.weight.detach().var()) == pytest.approx(2 / layer.in_features, rel=error)
            assert layer.bias is None or not layer.bias.any()


def test_initial_weights_come_from_the_generator_alone():
    first, again, other, fixed, fixed_again = (
        nn.utils.parameters_to_vector(TreeUNet(2, 3, 4, 6, generator=generator).parameters())
        for generator in (seeded(1), seeded(1), seeded(2), None, None)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(fixed, fixed_again)


DENOISERS = {
    "tree, masked": lambda: Categorical(TreeUNet(2, 3, 4, 8), MASKED),
    "tree, uniform": lambda: Categorical(TreeUNet(2, 3, 4, 8, symbols=4, time_features=6), UNIFORM),
    "MLP, masked": lambda: Categorical(OneHot(MLP((8, MASKED.symbols), width=16), MASKED), MASKED),
    "MLP, uniform": lambda: Categorical(OneHot(MLP((8, UNIFORM.symbols), width=16), UNIFORM), UNIFORM),
}


@pytest.mark.parametrize("diffusion", [MASKED, UNIFORM], ids=["masked", "uniform"])
def test_an_ensemble_learns_as_one_batched_program(diffusion):
    models = [
        Categorical(stirred(TreeUNet(2, 3, 4, [5, 6, 7], symbols=diffusion.symbols, generator=seeded(k))), diffusion)
        for k in range(3)
    ]
    stacked, _ = stack_module_state(models)
    x0, t = strings(12, 8, 4).reshape(3, 4, 8), torch.rand(3, 4, generator=seeded())
    noise = torch.stack([diffusion.noise(x, seeded(k)) for k, x in enumerate(x0)])

    def loss(parameters, *batch):
        return diffusion.loss(lambda xt, t: functional_call(models[0], parameters, (xt, t)), *batch).mean()

    together = vmap(grad(loss))(stacked, x0, t, noise)
    for k, model in enumerate(models):
        diffusion.loss(model, x0[k], t[k], noise[k]).mean().backward()
        for name, p in model.named_parameters():
            torch.testing.assert_close(together[name][k], p.grad)


@pytest.fixture(params=DENOISERS.values(), ids=DENOISERS.keys())
def denoiser(request) -> Denoiser:
    return stirred(request.param())


def asked(denoiser: Categorical, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return strings(n, 8, denoiser.diffusion.symbols), torch.linspace(0.05, 0.95, n)


@torch.no_grad()
def test_predictions_are_normalized_log_probabilities_for_each_symbol_of_the_vocabulary(denoiser):
    xt, t = asked(denoiser)
    log_x0 = denoiser(xt, t)
    assert log_x0.shape == (6, 8, 4)
    torch.testing.assert_close(log_x0.exp().sum(dim=-1), torch.ones(6, 8))


@torch.no_grad()
def test_an_item_is_denoised_alike_whatever_stands_beside_it_and_nothing_is_changed(denoiser):
    xt, t = asked(denoiser)
    kept = xt.clone()
    order = torch.randperm(6, generator=seeded(2))
    torch.testing.assert_close(denoiser(xt[order], t[order]), denoiser(xt, t)[order])
    torch.testing.assert_close(denoiser(xt[:1], t[:1]), denoiser(xt, t)[:1])
    assert torch.equal(xt, kept)


@torch.no_grad()
def test_under_masked_noise_a_symbol_that_is_seen_is_certain_and_the_others_are_the_networks():
    denoiser = stirred(DENOISERS["tree, masked"]())
    xt, t = asked(denoiser)
    log_x0, hidden = denoiser(xt, t), xt == MASKED.mask
    assert torch.equal(log_x0[~hidden].argmax(dim=-1), xt[~hidden])
    assert torch.equal(log_x0[~hidden].max(dim=-1).values, torch.zeros(int((~hidden).sum())))
    torch.testing.assert_close(log_x0[hidden], torch.log_softmax(denoiser.network(xt, t), dim=-1)[hidden])


def test_the_loss_reaches_every_parameter_by_a_finite_gradient(denoiser):
    x0, t = strings(16, 8, 4), stratified_times(16, seeded())
    denoiser.diffusion.loss(denoiser, x0, t, denoiser.diffusion.noise(x0, seeded(1))).mean().backward()
    for name, p in denoiser.named_parameters():
        # A masked string tells its own time; the MLP reads it all the same, and its columns for outputs
        # beyond the vocabulary are the only ones that nothing reaches.
        assert torch.isfinite(p.grad).all(), name
        assert p.grad.any(), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("diffusion", "denoiser"),
    [
        (MASKED, lambda: Categorical(TreeUNet(2, 3, 4, [16, 32, 64]), MASKED)),
        (UNIFORM, lambda: Categorical(TreeUNet(2, 3, 4, [16, 32, 64], symbols=4, time_features=6), UNIFORM)),
        (MASKED, lambda: Categorical(OneHot(MLP((8, 5), width=64), MASKED), MASKED)),
    ],
    ids=["tree, masked", "tree, uniform", "MLP, masked"],
)
def test_training_on_few_strings_leads_to_the_empirical_optimum(diffusion, denoiser):
    data, levels = strings(6, 8, 4, seed=5), torch.linspace(0.1, 0.6, 200)
    learner = Learner.start(denoiser(), learning_rate=5e-3)

    def excess() -> float:
        x0 = data[strings(200, 1, 6, seed=3)[:, 0]]
        noise = diffusion.noise(x0, seeded(4))
        with torch.no_grad():
            losses = [diffusion.loss(model, x0, levels, noise) for model in (learner.denoiser, optimum)]
        return float((losses[0] - losses[1]).mean())

    optimum = EmpiricalDenoiser(diffusion, data)
    before = excess()
    for step in train(learner, diffusion, data, batch_size=24, seed=0):
        if step.index == 400:
            break
    assert before > 1
    assert excess() < 0.2 * before


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((2, 3, 8, [48, 128]), {}, "names 2 levels and the tree has L = 3"),
        ((2, 3, 8, []), {}, "names 0 levels"),
        ((2, 2, 8, [48, 0]), {}, r"got \[48, 0\]"),
        ((1, 3, 8), {}, "got s = 1"),
        ((2, 0, 8), {}, "L = 0"),
        ((2, 3, 1), {}, "vocabulary 1"),
        ((2, 3, 8), {"symbols": 1}, "symbols 1"),
        ((2, 3, 8), {"time_features": -1}, "-1"),
    ],
)
def test_a_tree_that_cannot_be_built_is_refused(arguments, options, message):
    with pytest.raises(ConfigError, match=message):
        TreeUNet(*arguments, **options)


def test_strings_of_another_length_are_refused():
    with pytest.raises(ConfigError, match="8 leaves; got strings of 4"):
        TreeUNet(2, 3, 4)(strings(2, 4, 5), torch.rand(2, generator=seeded()))
