"""The transformer against a plain one written here, its symmetries, its sizes, and as one batched program."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from taumem.diffusion import AutoregressiveDiffusion, MaskedDiffusion, UniformDiffusion
from taumem.errors import ConfigError
from taumem.models import Categorical, Transformer, transformer
from taumem.training import Learner, train

F64 = torch.float64
SMALL = {"width": 16, "depth": 2, "heads": 2, "stem": 5}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def texts(n: int, length: int, symbols: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randint(symbols, (n, length), generator=seeded(seed))


def times(n: int) -> torch.Tensor:
    return torch.linspace(0.1, 0.9, n)


def n_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def stirred(network: nn.Module) -> nn.Module:
    generator = seeded(7)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return network


class Plain:
    """One text by the formulas, position by position, in numpy; rotations are products of complex numbers."""

    def __init__(self, network: Transformer, heads: int, gelu: bool) -> None:
        self.weights = {name: p.detach().numpy() for name, p in network.named_parameters()}
        self.network, self.heads, self.gelu = network, heads, gelu

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]

    def norm(self, name: str, x: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        if c is None:
            return x * self.weights[f"{name}.norm.weight"] + self.weights[f"{name}.norm.bias"]
        scale, shift = np.split(self.linear(f"{name}.modulate", c), 2)
        return x * (1 + scale) + shift

    def gate(self, name: str, c: np.ndarray | None) -> np.ndarray:
        return np.ones(1) if c is None else self.linear(f"{name}.gate", c)

    def attention(self, name: str, xs: list[np.ndarray]) -> list[np.ndarray]:
        qkv = [np.split(self.linear(f"{name}.qkv", x), 3) for x in xs]
        out = [[] for _ in xs]
        for head in range(self.heads):
            q, k, v = ([np.split(part[which], self.heads)[head] for part in qkv] for which in range(3))
            half = len(q[0]) // 2
            speed = 10_000.0 ** (-np.arange(half) / half)
            q, k = ([(x[:half] + 1j * x[half:]) * np.exp(1j * n * speed) for n, x in enumerate(r)] for r in (q, k))
            for i, query in enumerate(q):
                seen = slice(i + 1 if self.network.causal else None)
                scores = np.array([(query * key.conj()).real.sum() for key in k[seen]]) / math.sqrt(2 * half)
                share = np.exp(scores - scores.max())
                out[i].append(sum(s * value for s, value in zip(share / share.sum(), v[seen], strict=True)))
        return [self.linear(f"{name}.leave", np.concatenate(parts)) for parts in out]

    def mlp(self, name: str, x: np.ndarray) -> np.ndarray:
        x = self.linear(f"{name}.0", x)
        erf = np.vectorize(math.erf)
        return self.linear(f"{name}.2", x * (1 + erf(x / math.sqrt(2))) / 2 if self.gelu else np.maximum(x, 0))

    def time(self, t: float) -> np.ndarray | None:
        if self.network.time is None:
            return None
        half = self.network.width // 2
        angles = 1000 * t * 10_000.0 ** (-np.arange(half) / half)
        c = np.concatenate([np.cos(angles), np.sin(angles)])
        for layer in (0, 2):
            c = self.linear(f"time.{layer}", c)
            c = c / (1 + np.exp(-c))
        return c

    def __call__(self, text: list[int], t: float) -> np.ndarray:
        eye, (before, behind), c = np.eye(self.network.symbols), self.network.around, self.time(t)
        hs = []
        for i in range(len(text)):
            around = [eye[text[j]] if 0 <= j < len(text) else 0 * eye[0] for j in range(i - before, i + behind + 1)]
            hs.append(self.linear("stem", np.concatenate(around)))
        for k in range(len(self.network.attend)):
            name = f"attend.{k}"
            mixed = self.attention(f"{name}.branch", [self.norm(f"{name}.norm", h, c) for h in hs])
            hs = [h + self.gate(name, c) * m for h, m in zip(hs, mixed, strict=True)]
            name = f"transform.{k}"
            hs = [h + self.gate(name, c) * self.mlp(f"{name}.branch", self.norm(f"{name}.norm", h, c)) for h in hs]
        return np.stack([self.linear("leave", self.norm("norm", h, c)) for h in hs])


@pytest.mark.parametrize(
    "options", [{}, {"time_conditioning": True}, {"activation": "gelu"}, {"stem": 1, "heads": 4}, {"causal": True}]
)
def test_the_network_is_what_its_formulas_say_position_by_position(options):
    options = SMALL | options
    network = stirred(Transformer(12, 5, **options)).double()
    plain = Plain(network, options["heads"], options.get("activation") == "gelu")
    xt, t = texts(3, 9), times(3).double()
    expected = np.stack([plain(x, time) for x, time in zip(xt.tolist(), t.tolist(), strict=True)])
    np.testing.assert_allclose(network(xt, t).detach(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("length", [1, 3, 12])
@pytest.mark.parametrize("options", [{}, {"symbols": 5}, {"time_conditioning": True}, {"mlp_ratio": 0.5, "heads": 8}])
def test_each_position_gets_a_logit_for_each_symbol_whatever_the_length(length, options):
    network = Transformer(12, 5, **(SMALL | options))
    assert network(texts(2, length, 5), times(2)).shape == (2, length, 5)


# Counted by hand: stem, depth * (qkv, join, two layers of the MLP, two norms), norm, logits.
SIZES = [
    ({}, 252 * 96 + 96 + 2 * (96 * 288 + 288 + 97 * 96 + 96 * 384 + 384 + 385 * 96 + 4 * 96) + 2 * 96 + 97 * 27),
    ({"width": 768, "depth": 12, "heads": 12}, 85_271_067),
]


@pytest.mark.parametrize(("options", "expected"), SIZES)
def test_the_sizes_are_those_of_the_prototype_and_of_md4_s_text8_model(options, expected):
    with torch.device("meta"):  # without memory for the weights
        network = Transformer(256, 27, **options)
    assert n_parameters(network) == expected
    assert next(network.parameters()).is_meta


def test_the_prototype_s_size_is_a_quarter_of_a_million():
    assert n_parameters(Transformer(64, 27)) == 250_779


@torch.no_grad()
def test_positions_count_by_their_distances_only_so_all_may_be_shifted(monkeypatch):
    network = stirred(Transformer(40, 5, **SMALL)).double()
    xt, t = texts(3, 30), times(3).double()
    expected = network(xt, t)
    start_later = transformer._rotation(530, network.angles, t)
    monkeypatch.setattr(transformer, "_rotation", lambda n, angles, like: tuple(part[500:] for part in start_later))
    torch.testing.assert_close(network(xt, t), expected, rtol=1e-9, atol=1e-9)
    still = torch.ones(30, network.angles, dtype=F64), torch.zeros(30, network.angles, dtype=F64)
    monkeypatch.setattr(transformer, "_rotation", lambda n, angles, like: still)
    assert (network(xt, t) - expected).abs().max() > 1e-3


@torch.no_grad()
def test_a_stem_of_1_sees_no_ends_and_a_wider_one_sees_them():
    same = torch.full((1, 40), 3)
    logits = stirred(Transformer(40, 5, **(SMALL | {"stem": 1})))(same, times(1))
    torch.testing.assert_close(logits, logits[:, :1].expand(1, 40, 5), rtol=1e-4, atol=1e-5)
    logits = stirred(Transformer(40, 5, **(SMALL | {"stem": 5})))(same, times(1))
    assert (logits - logits[:, 20:21]).abs().max() > 1e-2


@torch.no_grad()
def test_the_stem_of_a_shifted_text_is_shifted_except_near_the_ends():
    network = stirred(Transformer(40, 5, **SMALL))
    seen = []
    network.stem.register_forward_hook(lambda layer, given, out: seen.append(out))
    xt = texts(2, 40)
    network(xt, times(2))
    network(xt[:, 7:], times(2))
    torch.testing.assert_close(seen[0][:, 9:], seen[1][:, 2:])
    assert ((seen[0][:, 7:9] - seen[1][:, :2]).abs().amax(dim=2) > 1e-3).all()


@torch.no_grad()
def test_a_text_read_backward_is_another_text():
    network = stirred(Transformer(12, 5, **(SMALL | {"stem": 1})))
    xt = texts(1, 12)
    assert (network(xt.flip(1), times(1)).flip(1) - network(xt, times(1))).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("stem", [1, 5])
def test_every_position_is_read_by_every_other(stem):
    network = stirred(Transformer(12, 5, **(SMALL | {"stem": stem})))
    xt = texts(1, 12).expand(12, 12).clone()
    changed = xt.clone()
    changed.diagonal().add_(1).remainder_(6)
    assert ((network(changed, times(12)) - network(xt, times(12))).abs().amax(dim=2) > 0).all()


@torch.no_grad()
def test_a_text_is_read_alike_whatever_stands_beside_it_and_nothing_is_changed():
    network = stirred(Transformer(12, 5, **SMALL, time_conditioning=True))
    xt, t, order = texts(6, 12), times(6), torch.randperm(6, generator=seeded(2))
    kept = xt.clone()
    torch.testing.assert_close(network(xt[order], t[order]), network(xt, t)[order])
    assert torch.equal(xt, kept)


@torch.no_grad()
def test_the_time_is_read_only_if_it_is_asked_for():
    xt, early, late = texts(3, 12), torch.full((3,), 0.2), torch.full((3,), 0.7)
    blind, seeing = (stirred(Transformer(12, 5, **SMALL, time_conditioning=on)) for on in (False, True))
    assert torch.equal(blind(xt, early), blind(xt, late))
    assert (seeing(xt, early) - seeing(xt, late)).abs().max() > 1e-3


@torch.no_grad()
def test_with_time_conditioning_every_block_starts_as_the_identity():
    network = Transformer(12, 5, **SMALL, time_conditioning=True)
    h, c = torch.randn(2, 12, 16, generator=seeded()), torch.randn(2, 1, 16, generator=seeded(1))
    turn = torch.ones(12, 4), torch.zeros(12, 4)
    for attend, transform in zip(network.attend, network.transform, strict=True):
        assert torch.equal(attend(h, c, turn), h)
        assert torch.equal(transform(h, c), h)
    xt = texts(3, 12)
    assert torch.equal(network(xt, torch.full((3,), 0.2)), network(xt, torch.full((3,), 0.7)))


@torch.no_grad()
@pytest.mark.parametrize("stem", [1, 5])
def test_a_causal_one_answers_from_what_stands_before_a_position_and_from_all_of_it(stem):
    network = stirred(Transformer(12, 5, **SMALL | {"stem": stem}, causal=True))
    xt, t = texts(4, 12), times(4)
    answers = network(xt, t)
    for i in range(12):
        changed = xt.clone()
        changed[:, i] = (xt[:, i] + 1) % 5
        moved = (network(changed, t) - answers).abs().amax(dim=(0, 2))
        assert float(moved[: i + 1].max()) == 0
        assert (moved[i + 1 :] > 1e-6).all()
    # It may be asked about a beginning alone.
    torch.testing.assert_close(network(xt[:, :7], t), answers[:, :7])


@torch.no_grad()
@pytest.mark.parametrize("stem", [1, 9])
def test_the_stem_starts_with_variance_1(stem):
    network = Transformer(64, 27, width=512, stem=stem, generator=seeded(1))
    inside = network.stem.weight.reshape(512, stem, 28)[:, :, texts(200, stem, 28)[:, 0]].sum(dim=1)
    assert float(inside.var()) == pytest.approx(1, rel=0.15)


def test_initial_weights_come_from_the_generator_alone():
    first, again, other, fixed, fixed_again = (
        nn.utils.parameters_to_vector(Transformer(12, 5, **SMALL, generator=generator).parameters())
        for generator in (seeded(1), seeded(1), seeded(2), None, None)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(fixed, fixed_again)


MASKED, UNIFORM, AUTOREGRESSIVE = MaskedDiffusion(5), UniformDiffusion(5), AutoregressiveDiffusion(5)
CONDITIONING = pytest.mark.parametrize("time_conditioning", [False, True])


@CONDITIONING
def test_the_loss_reaches_every_parameter_by_a_finite_gradient(time_conditioning):
    denoiser = Categorical(stirred(Transformer(12, 5, **SMALL, time_conditioning=time_conditioning)), MASKED)
    x0, t = texts(16, 12, 5), times(16)
    MASKED.loss(denoiser, x0, t, MASKED.noise(x0, seeded(1))).mean().backward()
    for name, p in denoiser.named_parameters():
        assert torch.isfinite(p.grad).all(), name
        assert p.grad.any(), name


# On a CPU, torch asks one member after another for its attention, and says so.
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@CONDITIONING
@pytest.mark.parametrize("diffusion", [MASKED, UNIFORM, AUTOREGRESSIVE], ids=["masked", "uniform", "autoregressive"])
def test_an_ensemble_learns_as_one_batched_program(diffusion, time_conditioning):
    options = SMALL | {"symbols": diffusion.symbols, "time_conditioning": time_conditioning}
    options["causal"] = diffusion is AUTOREGRESSIVE
    models = [Categorical(stirred(Transformer(12, 5, **options, generator=seeded(k))), diffusion) for k in range(3)]
    stacked, _ = stack_module_state(models)
    x0, t = texts(12, 12, 5).reshape(3, 4, 12), times(12).reshape(3, 4)
    noise = torch.stack([diffusion.noise(x, seeded(k)) for k, x in enumerate(x0)])

    def loss(parameters, *batch):
        return diffusion.loss(lambda xt, t: functional_call(models[0], parameters, (xt, t)), *batch).mean()

    together = vmap(grad(loss))(stacked, x0, t, noise)
    for k, model in enumerate(models):
        diffusion.loss(model, x0[k], t[k], noise[k]).mean().backward()
        for name, p in model.named_parameters():
            torch.testing.assert_close(together[name][k], p.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_training_on_few_texts_leads_to_texts_known_by_heart():
    data = texts(4, 16, 5, seed=5)
    learner = Learner.start(Categorical(Transformer(16, 5, width=32, heads=2), MASKED), learning_rate=3e-3)
    for step in train(learner, MASKED, data, batch_size=16, seed=0):
        if step.index == 300:
            break
    half = data.clone()
    half[:, ::2] = MASKED.mask
    with torch.no_grad():
        found = learner.denoiser(half, torch.full((4,), 0.5)).argmax(dim=-1)
    assert (found == data)[:, ::2].float().mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 27), {}, "positions 0"),
        ((64, 1), {}, "vocabulary 1"),
        ((64, 27), {"symbols": 1}, "symbols 1"),
        ((64, 27), {"stem": 4}, "an odd number; got 4"),
        ((64, 27), {"stem": -1}, "an odd number; got -1"),
        ((64, 27), {"activation": "rule"}, "no activation 'rule'; did you mean 'relu'"),
        ((64, 27), {"depth": 0}, "got 96, 0, 2 and 384"),
        ((64, 27), {"mlp_ratio": 0.0}, "got 96, 2, 2 and 0"),
        ((64, 27), {"width": 96, "heads": 5}, "a multiple of 10; got 96"),
        ((64, 27), {"width": 6, "heads": 2}, "a multiple of 4; got 6"),
    ],
)
def test_a_transformer_that_cannot_be_built_is_refused(arguments, options, message):
    with pytest.raises(ConfigError, match=message):
        Transformer(*arguments, **options)


def test_texts_longer_than_the_positions_are_refused():
    with pytest.raises(ConfigError, match="has 12 positions; got texts of 13 symbols"):
        Transformer(12, 5, **SMALL)(texts(2, 13), times(2))
