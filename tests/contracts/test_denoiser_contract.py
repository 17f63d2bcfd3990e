"""What every denoiser owes. A new one joins by a line in CASES."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from taumem.data import GaussianMixture
from taumem.diffusion import Denoiser, Exploding, Flow, GaussianDiffusion, Schedule
from taumem.models import MLP, EmpiricalDenoiser, MixtureDenoiser, Preconditioned, SineFeatures, UNet
from taumem.training import power_average

DIFFUSION = GaussianDiffusion()
IMAGE = (1, 8, 8)


@dataclass(frozen=True)
class Case:
    """A denoiser, and the shape of what it denoises."""

    build: Callable[[], Denoiser]
    shape: tuple[int, ...]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(network: nn.Module) -> nn.Module:
    """Move all weights off their initial values: a network whose last layer is zero would keep any contract."""
    generator = seeded(7)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return network


def network(
    make: Callable[..., nn.Module], predicts: str = "v", schedule: Schedule = DIFFUSION.schedule, **options
) -> Case:
    diffusion = GaussianDiffusion(schedule)
    return Case(lambda: Preconditioned(stirred(make(IMAGE, **options)), diffusion, predicts).eval(), IMAGE)


CASES = {
    **{f"U-Net {predicts}": network(UNet, predicts) for predicts in ("eps", "v", "x0")},
    **{f"MLP {predicts}": network(MLP, predicts, width=32) for predicts in ("eps", "v", "x0")},
    **{f"U-Net {predicts} of flow matching": network(UNet, predicts, Flow()) for predicts in ("eps", "v", "x0")},
    **{f"U-Net {predicts} of exploding noise": network(UNet, predicts, Exploding()) for predicts in ("v", "x0")},
    # Which know no time: it enters by what they predict, if that is not x0 itself.
    **{f"random features {predicts}": network(SineFeatures, predicts, width=32) for predicts in ("eps", "v")},
    "U-Net with dropout": network(UNet, dropout=0.5),
    "U-Net with attention, on patches": network(UNet, patch=2, attention=(4,), blocks=2),
    "averaged MLP": Case(lambda: power_average(Preconditioned(stirred(MLP(IMAGE)), DIFFUSION)).module.eval(), IMAGE),
    "empirical": Case(lambda: EmpiricalDenoiser(DIFFUSION, torch.randn((20, *IMAGE), generator=seeded())), IMAGE),
    "mixture": Case(lambda: MixtureDenoiser(DIFFUSION, GaussianMixture.two_modes(8)), (8,)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request) -> Case:
    return request.param


def asked(case: Case, n: int = 6) -> tuple[Denoiser, Tensor, Tensor]:
    return case.build(), torch.randn((n, *case.shape), generator=seeded(1)), torch.linspace(0.05, 0.95, n)


@torch.no_grad()
def test_the_prediction_has_the_shape_and_type_of_what_is_denoised(case):
    denoiser, xt, t = asked(case)
    x0_hat = denoiser(xt, t)
    assert x0_hat.shape == xt.shape
    assert x0_hat.dtype == xt.dtype
    assert torch.isfinite(x0_hat).all()


@torch.no_grad()
def test_a_batch_of_one_is_a_batch(case):
    denoiser, xt, t = asked(case)
    torch.testing.assert_close(denoiser(xt[:1], t[:1]), denoiser(xt, t)[:1], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_item_is_denoised_alike_whatever_stands_beside_it(case):
    denoiser, xt, t = asked(case)
    order = torch.randperm(len(xt), generator=seeded(2))
    torch.testing.assert_close(denoiser(xt[order], t[order]), denoiser(xt, t)[order], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_not_even_a_ruined_item_disturbs_its_neighbors(case):
    denoiser, xt, t = asked(case)
    ruined = xt.clone()
    ruined[::2] = float("nan")
    torch.testing.assert_close(denoiser(ruined, t)[1::2], denoiser(xt, t)[1::2], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_same_question_gets_the_same_answer(case):
    denoiser, xt, t = asked(case)
    assert torch.equal(denoiser(xt, t), denoiser(xt, t))


@torch.no_grad()
def test_the_question_is_left_as_it_was(case):
    denoiser, xt, t = asked(case)
    kept = xt.clone(), t.clone()
    denoiser(xt, t)
    assert torch.equal(xt, kept[0])
    assert torch.equal(t, kept[1])


@torch.no_grad()
def test_the_answer_depends_on_the_time(case):
    denoiser, xt, _ = asked(case)
    early, late = (denoiser(xt, torch.full((len(xt),), t)) for t in (0.2, 0.8))
    assert (early - late).abs().max() > 1e-3
