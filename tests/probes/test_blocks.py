"""Many items go through the model in blocks: memory is bounded, and the numbers are those of one pass."""

import pytest
import torch
from markov_text import DIFFUSION as MASKED
from markov_text import MarkovDenoiser, texts
from reference_problem import DIFFUSION, EXACT, items, memorized

from taumem.errors import ConfigError
from taumem.probes import BitsPerSymbol, EmpiricalGap, Infilling, LossGap, PredictiveEntropy, SymmetricGap
from taumem.probes.probe import in_blocks

N = 300  # more than the block unless another one is asked for
VECTORS, STRINGS = ({"train": make(N, 1), "heldout": make(N + 20, 2)} for make in (items, texts))
TWINS = VECTORS["train"], memorized(VECTORS["heldout"]), VECTORS["heldout"]
CHAIN = MarkovDenoiser()
PROBES = {
    "LossGap": (lambda **block: LossGap(DIFFUSION, VECTORS, exact=memorized(TWINS[0]), **block), EXACT),
    "SymmetricGap": (lambda **block: SymmetricGap(DIFFUSION, *TWINS, **block), EXACT),
    "EmpiricalGap": (lambda **block: EmpiricalGap(DIFFUSION, *VECTORS.values(), **block), EXACT),
    "PredictiveEntropy": (lambda **block: PredictiveEntropy(MASKED, STRINGS, **block), CHAIN),
    "BitsPerSymbol": (lambda **block: BitsPerSymbol(MASKED, STRINGS, n_times=2, **block), CHAIN),
}


class Peak:
    """A model that notes the largest batch it has seen."""

    def __init__(self, denoiser) -> None:
        self.denoiser, self.batch = denoiser, 0

    def __call__(self, xt, t):
        self.batch = max(self.batch, len(xt))
        return self.denoiser(xt, t)


@pytest.mark.slow
@pytest.mark.parametrize("block", [None, 1, 7, N, 1000])
@pytest.mark.parametrize("name", PROBES)
def test_no_batch_exceeds_the_block_and_the_numbers_are_those_of_one_pass(name, block):
    make, denoiser = PROBES[name]
    model = Peak(denoiser)
    parts = make(**({} if block is None else {"block": block})).measure(model).estimates
    assert model.batch == min(256 if block is None else block, N + 20)
    for found, whole in zip(parts, make(block=1000).measure(denoiser).estimates, strict=True):
        assert (found.quantity, found.t, found.count) == (whole.quantity, whole.t, whole.count)
        assert found.value == pytest.approx(whole.value, rel=1e-5, abs=1e-6)
        assert (found.se or 0) == pytest.approx(whole.se or 0, rel=1e-4, abs=1e-6)
        assert found.items is None or found.items == pytest.approx(whole.items, rel=1e-4, abs=1e-6)


def test_texts_are_filled_in_a_few_at_a_time():
    model = Peak(MarkovDenoiser())
    Infilling(MASKED, *STRINGS.values(), n_items=N).measure(model)
    assert model.batch == 32


def test_the_twin_and_the_optima_are_asked_in_blocks_too():
    twin, exact, empirical = Peak(TWINS[1]), Peak(EXACT), Peak(EXACT)
    SymmetricGap(DIFFUSION, TWINS[0], twin, TWINS[2], block=50).measure(EXACT)
    LossGap(DIFFUSION, VECTORS, exact=exact, empirical=empirical, block=50)
    assert (twin.batch, exact.batch, empirical.batch) == (50, 50, 50)


def test_a_block_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="at least 1 item at a time; got block = 0"):
        in_blocks(torch.square, 0, torch.ones(3))
