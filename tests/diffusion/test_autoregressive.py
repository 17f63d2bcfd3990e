"""Text from left to right, against the chain rule, the strings it must generate, and the exact optimum."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from small_languages import Language, markov, random_language

from taumem.diffusion import AutoregressiveDiffusion, sample
from taumem.errors import ConfigError
from taumem.models import MLP, Categorical, EmpiricalDenoiser, OneHot, Transformer
from taumem.training import Learner, train

F64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class ChainRule:
    """log p(x_i | x_1 ... x_(i-1)) of a language, one position after another."""

    def __init__(self, language: Language) -> None:
        self.language, self.vocabulary = language, int(language.strings.max()) + 1

    def __call__(self, xt, t):
        answers = torch.full((*xt.shape, self.vocabulary), 1 / self.vocabulary, dtype=F64)
        for k, text in enumerate(xt):
            for i in range(len(text)):
                begins = (self.language.strings[:, :i] == text[:i]).all(dim=1)
                for a in range(self.vocabulary if begins.any() else 0):
                    goes_on = begins & (self.language.strings[:, i] == a)
                    p = self.language.probabilities
                    answers[k, i, a] = p[goes_on].sum() / p[begins].sum()
        return answers.log()


def test_the_loss_of_all_positions_is_the_likelihood_of_the_text():
    language, diffusion = random_language(3, 4), AutoregressiveDiffusion(3)
    t = torch.linspace(0, 1, len(language.strings), dtype=F64)
    found = diffusion.loss(ChainRule(language), language.strings, t, diffusion.noise(language.strings, seeded()))
    torch.testing.assert_close(found, -language.probabilities.log() / 4)


@pytest.mark.parametrize(
    ("t", "noise", "hidden"), [(0.0, 0.9, 1), (0.25, 0.0, 1), (0.5, 0.0, 2), (0.6, 0.7, 3), (1.0, 0.9, 4)]
)
def test_the_loss_of_what_is_hidden_is_that_of_the_end(t, noise, hidden):
    language, diffusion = random_language(3, 4), AutoregressiveDiffusion(3, "hidden")
    n = len(language.strings)
    found = diffusion.loss(ChainRule(language), language.strings, torch.full((n,), t), torch.full((n,), noise))
    begins = language.strings[:, None, : 4 - hidden] == language.strings[None, :, : 4 - hidden]
    beginning = begins.all(dim=2).double() @ language.probabilities
    torch.testing.assert_close(found, -(language.probabilities / beginning).log() / hidden)


def test_on_average_a_share_t_of_the_positions_is_hidden_and_they_are_the_last_ones():
    diffusion, x0 = AutoregressiveDiffusion(3), torch.zeros(20_000, 7, dtype=torch.long)
    xt = diffusion.corrupt(x0, torch.full((20_000,), 0.33), diffusion.noise(x0, seeded()))
    hidden = (xt == diffusion.mask).int()
    assert (hidden.diff(dim=1) >= 0).all()
    assert set(hidden.sum(dim=1).tolist()) == {2, 3}
    assert float(hidden.double().mean()) == pytest.approx(0.33, abs=4 * 0.5 / 7 / math.sqrt(20_000))


def test_under_the_same_noise_what_is_hidden_stays_hidden():
    diffusion, x0 = AutoregressiveDiffusion(3), torch.zeros(50, 8, dtype=torch.long)
    noise = diffusion.noise(x0, seeded())
    steps = [diffusion.corrupt(x0, torch.full((50,), t), noise) == 3 for t in np.linspace(0, 1, 30)]
    assert all((earlier <= later).all() for earlier, later in pairwise(steps))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3])
def test_the_exact_model_draws_from_its_language_in_however_few_steps(steps):
    language, diffusion = random_language(3, 3), AutoregressiveDiffusion(3)
    made = sample(diffusion, ChainRule(language), 2000, (3,), seeded(), steps=steps)
    expected = language.probabilities.numpy() * 2000
    assert stats.chisquare(language.counts(made), expected).pvalue > 1e-3


def test_a_beginning_is_left_as_it_is_and_what_a_step_leaves_hidden_is_the_end():
    language, diffusion = markov(0.9, 6), AutoregressiveDiffusion(2)
    xt = torch.tensor([[0, 1, 1, 2, 2, 2], [1, 2, 2, 2, 2, 2]])
    x = diffusion.reverse(ChainRule(language), xt, 0.9, 0.4, seeded())
    assert ((x == 2) == torch.tensor([0, 0, 0, 0, 1, 1]).bool()).all()
    assert torch.equal(x[xt != 2], xt[xt != 2])


def test_the_memorizer_answers_by_the_shares_of_the_training_texts_that_begin_so():
    language = random_language(3, 5)
    data = language.draw(20, seeded(1))
    diffusion, asked = AutoregressiveDiffusion(3), language.draw(30, seeded(2))
    counted = Language(data, torch.full((20,), 1 / 20, dtype=F64))
    found = EmpiricalDenoiser(diffusion, data)(asked, torch.full((30,), 0.5, dtype=F64))
    torch.testing.assert_close(found, ChainRule(counted)(asked, None))
    at_once = EmpiricalDenoiser(diffusion, data)(torch.full((1, 5), diffusion.mask), torch.ones(1, dtype=F64))
    torch.testing.assert_close(at_once[0, 0].exp(), torch.bincount(data[:, 0], minlength=3) / 20, check_dtype=False)


def test_no_other_model_has_a_lower_training_loss_than_the_memorizer():
    diffusion, data = AutoregressiveDiffusion(3), random_language(3, 5).draw(12, seeded(1))
    optimum, t = EmpiricalDenoiser(diffusion, data), torch.ones(12, dtype=F64)

    def loss(denoiser) -> float:
        return float(diffusion.loss(denoiser, data, t, torch.zeros(12)).mean())

    # The entropy of the choice among the training texts, whatever the order of the symbols.
    _, counts = data.unique(dim=0, return_counts=True)
    assert loss(optimum) == pytest.approx(float(torch.special.entr(counts / 12).sum()) / 5, rel=1e-5)
    for seed in range(5):
        other = torch.randn(5, 3, generator=seeded(seed), dtype=F64)  # what it knows of a text is its beginning alone
        assert loss(lambda xt, t, other=other: torch.log_softmax(optimum(xt, t) + 0.1 * other, dim=-1)) > loss(optimum)


def test_what_the_memorizer_generates_are_its_training_texts():
    diffusion, data = AutoregressiveDiffusion(5), torch.randint(5, (6, 12), generator=seeded(1))
    made = sample(diffusion, EmpiricalDenoiser(diffusion, data), 300, (12,), seeded(2), steps=1)
    same = (made[:, None] == data).all(dim=2)
    assert same.any(dim=1).all()
    assert stats.chisquare(same.sum(dim=0).numpy()).pvalue > 1e-3


@pytest.mark.slow
def test_a_network_that_is_trained_long_enough_goes_on_as_its_training_texts_do():
    diffusion, data = AutoregressiveDiffusion(5), torch.randint(5, (4, 16), generator=seeded(5))
    network = Transformer(16, 5, width=32, heads=2, causal=True)
    learner = Learner.start(Categorical(network, diffusion), learning_rate=3e-3)
    for step in train(learner, diffusion, data, batch_size=16, seed=0):
        if step.index == 300:
            break
    with torch.no_grad():
        begun = diffusion.corrupt(data, torch.full((4,), 0.75), torch.zeros(4))
        assert torch.equal(diffusion.reverse(learner.denoiser, begun, 0.75, 0.0, seeded()), data)


@pytest.mark.parametrize("network", [Transformer(8, 3), OneHot(MLP((8, 4)), AutoregressiveDiffusion(3))])
def test_a_network_that_reads_what_it_is_asked_for_is_refused(network):
    with pytest.raises(ConfigError, match=f"causal=True; got {type(network).__name__}"):
        Categorical(network, AutoregressiveDiffusion(3))


@pytest.mark.parametrize(
    ("options", "words"), [({"vocabulary": 0}, "at least 1 symbol"), ({"weighting": "elbo"}, "'elbo'")]
)
def test_what_cannot_be_used_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        AutoregressiveDiffusion(**{"vocabulary": 3} | options)
