"""What the diffusions of tokens share: draws, averages, refusals."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from taumem.diffusion import MaskedDiffusion, UniformDiffusion
from taumem.diffusion.tokens import draw
from taumem.errors import ConfigError, DataError
from taumem.models import EmpiricalDenoiser

F64 = torch.float64
each_diffusion = pytest.mark.parametrize(
    "diffusion", [MaskedDiffusion(3), UniformDiffusion(3)], ids=["masked", "uniform"]
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_draws_have_the_probabilities_that_were_asked_for_normalized_or_not(scale):
    p = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    drawn = draw((scale * p).log().expand(40_000, 5), seeded())
    counts = torch.bincount(drawn, minlength=5)
    assert counts[1] == 0
    keep = [0, 2, 3, 4]
    assert stats.chisquare(counts[keep], 40_000 * p[keep].double() / p[keep].double().sum()).pvalue > 1e-3


def test_draws_at_neighboring_positions_are_independent():
    drawn = draw(torch.zeros(20_000, 2, 2), seeded())
    assert stats.chi2_contingency(np.histogram2d(*drawn.T.numpy(), bins=2)[0]).pvalue > 1e-3


def test_like_predictions_draw_like_symbols_from_equal_generators():
    a = torch.log_softmax(torch.randn(4000, 6, generator=seeded(1)), dim=1)
    b = torch.log_softmax(a + 0.1 * torch.randn(4000, 6, generator=seeded(2)), dim=1)
    overlap = torch.minimum(a.exp(), b.exp()).sum(dim=1).mean()
    agreed = (draw(a, seeded(3)) == draw(b, seeded(3))).float().mean()
    # The least that Gumbel's coupling promises, with d the total variation distance: (1 - d) / (1 + d).
    assert agreed > overlap / (2 - overlap) - 0.01
    # Apart, they would agree as seldom as strangers.
    assert (draw(a, seeded(3)) == draw(b, seeded(4))).float().mean() < 0.4


@each_diffusion
def test_the_average_is_the_mixture_of_the_candidates(diffusion):
    x0 = torch.randint(3, (7, 2, 4), generator=seeded())
    weights = torch.softmax(torch.randn(5, 7, generator=seeded(1), dtype=F64), dim=1)
    expected = np.zeros((5, 2, 4, 3))
    for b in range(5):
        for i in range(7):
            for place in np.ndindex(2, 4):
                expected[b, *place, int(x0[i, *place])] += float(weights[b, i])
    found = diffusion.average(weights, x0)
    np.testing.assert_allclose(found.exp(), expected, atol=1e-12)
    assert (found.exp().sum(dim=-1) - 1).abs().max() < 1e-12


@each_diffusion
@pytest.mark.parametrize("nothing", [0.0, math.nan])
def test_weights_that_say_nothing_give_the_uniform_prediction_and_disturb_no_other_row(diffusion, nothing):
    x0 = torch.randint(3, (4, 5), generator=seeded())
    weights = torch.full((3, 4), 0.25)
    weights[1] = nothing
    found = diffusion.average(weights, x0)
    torch.testing.assert_close(found[1], torch.full((5, 3), -math.log(3)))
    torch.testing.assert_close(found[[0, 2]], diffusion.average(torch.full((2, 4), 0.25), x0))


@each_diffusion
@pytest.mark.parametrize("t", [0.0, 0.2, 1.0])
def test_the_empirical_denoiser_answers_even_where_no_training_item_fits(diffusion, t):
    train, xt = torch.tensor([[0, 1, 0], [1, 0, 0]]), torch.tensor([[2, 2, 2], [0, 1, 0]])
    found = EmpiricalDenoiser(diffusion, train)(xt, torch.full((2,), t))
    assert not torch.isnan(found).any()
    torch.testing.assert_close(found.exp().sum(dim=-1), torch.ones(2, 3))


@each_diffusion
def test_the_likelihood_of_symbols_adds_up_to_that_of_strings(diffusion):
    x0, t = torch.randint(3, (6, 4), generator=seeded()), torch.tensor([0.1, 0.4, 0.9], dtype=F64)
    xt = diffusion.corrupt(x0[:3], t, diffusion.noise(x0[:3], seeded(1)))
    by_symbol = diffusion.log_likelihood(xt, t)
    assert by_symbol.shape == (3, 4, 3)
    expected = torch.stack([by_symbol.gather(-1, x.expand(3, 4)[..., None]).sum(dim=(1, 2)) for x in x0], dim=1)
    torch.testing.assert_close(diffusion.log_prob(xt, x0, t), expected)


@each_diffusion
def test_data_that_are_no_symbols_are_refused(diffusion):
    x0 = torch.zeros(2, 4)
    with pytest.raises(DataError, match=r"torch\.float32"):
        diffusion.corrupt(x0, torch.zeros(2), diffusion.noise(x0, seeded()))


@each_diffusion
def test_a_denoiser_that_answers_in_another_shape_is_refused(diffusion):
    x0 = torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(ConfigError, match=r"\(2, 4, 3\).*\(2, 3, 4\)"):
        diffusion.loss(lambda xt, t: torch.zeros(2, 3, 4), x0, torch.ones(2), diffusion.noise(x0, seeded()))
