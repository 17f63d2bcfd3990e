"""Every probe by itself: it leaves model and random states alone, and refuses what it cannot measure."""

import random

import numpy as np
import pytest
import torch
from markov_text import DIFFUSION as MASKED
from markov_text import texts
from reference_problem import DIFFUSION, EXACT, items, memorized
from torch import nn

from taumem.data import RandomHierarchyModel
from taumem.errors import TaumemError
from taumem.models import EmpiricalDenoiser
from taumem.probes import (
    Agreement,
    BitsPerSymbol,
    Copies,
    EmpiricalGap,
    GrammarLevels,
    Infilling,
    LossGap,
    PredictiveEntropy,
    SymmetricGap,
    TextCopies,
    TextQuality,
    infill,
    membership,
)

VECTORS, STRINGS = ({"train": make(12, 1), "heldout": make(80, 2)} for make in (items, texts))
GRAMMAR = RandomHierarchyModel(v=6, m=3, s=2, L=2)
STRINGS_OF_GRAMMAR = GRAMMAR.split(8, 8).train


class Restless(nn.Module):
    """A model that draws, and that changes when it is merely called in training mode."""

    def __init__(self, symbols: int = 0) -> None:
        super().__init__()
        self.symbols = symbols
        self.inner = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(32 if symbols else 8))
        self.frozen = nn.Dropout(0.5).eval()

    def forward(self, xt, t):
        torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
        out = self.frozen(self.inner(xt.float()))
        return out[..., None] * torch.tensor([1.0, -1.0]) if self.symbols else out


PROBES = {
    "LossGap": lambda model: LossGap(DIFFUSION, VECTORS),
    "the exact model of LossGap": lambda model: LossGap(DIFFUSION, VECTORS, exact=model, empirical=model),
    "SymmetricGap": lambda model: SymmetricGap(DIFFUSION, VECTORS["train"], model, VECTORS["heldout"]),
    "EmpiricalGap": lambda model: EmpiricalGap(DIFFUSION, *VECTORS.values()),
    "Infilling": lambda model: Infilling(MASKED, *STRINGS.values()),
    "BitsPerSymbol": lambda model: BitsPerSymbol(MASKED, STRINGS, n_times=2),
    "PredictiveEntropy": lambda model: PredictiveEntropy(MASKED, STRINGS),
}


def states() -> tuple:
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_that_is_asked_by_itself_leaves_the_model_and_the_random_states_alone(name):
    model = Restless(2 if name in ("Infilling", "BitsPerSymbol", "PredictiveEntropy") else 0).train()
    model.frozen.eval()
    before = states(), [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    probe = PROBES[name](model)
    first = probe.measure(model)
    assert states() == before[0]
    assert [m.training for m in model.modules()] == before[1]
    assert all(torch.equal(value, before[2][key]) for key, value in model.state_dict().items())
    assert torch.is_grad_enabled()
    assert probe.measure(model) == first  # no dropout
    assert probe.measure(model.eval()) == first


def test_filling_in_leaves_the_model_alone_too():
    model, before = Restless(2).train(), states()
    infill(MASKED, model, torch.full((3, 32), MASKED.mask))
    assert model.training
    assert states() == before


def drawn(denoiser, generator):
    return torch.randn(6, 8, generator=generator)


# Each is asked with items that it can measure, and then with others in their place.
ASKED = {
    "samples of Copies": lambda x: Copies(*VECTORS.values()).measure(x),
    "training items of Copies": lambda x: Copies(x, VECTORS["heldout"]),
    "held-out items of Copies": lambda x: Copies(VECTORS["train"], x),
    "samples of Agreement": lambda x: Agreement(EXACT, drawn).measure(x),
    "the twin's samples": lambda x: Agreement(EXACT, lambda d, g: x).measure(items(6, 3)),
    "training items of LossGap": lambda x: LossGap(DIFFUSION, VECTORS | {"train": x}),
    "held-out items of LossGap": lambda x: LossGap(DIFFUSION, VECTORS | {"heldout": x}),
    "the twin's items of LossGap": lambda x: LossGap(DIFFUSION, VECTORS | {"twin": x}),
    "items of SymmetricGap": lambda x: SymmetricGap(DIFFUSION, x, EXACT, VECTORS["heldout"]),
    "the other's items of SymmetricGap": lambda x: SymmetricGap(DIFFUSION, VECTORS["train"], EXACT, x),
    "training items of EmpiricalGap": lambda x: EmpiricalGap(DIFFUSION, x, VECTORS["heldout"]),
    "held-out items of EmpiricalGap": lambda x: EmpiricalGap(DIFFUSION, VECTORS["train"], x),
    "items of the empirical optimum": lambda x: EmpiricalDenoiser(DIFFUSION, x),
    "training losses": lambda x: membership(x[:, 0], torch.rand(9)),
    "held-out losses": lambda x: membership(torch.rand(9), x[:, 0]),
}
ASKED_TEXT = {
    "training texts of TextCopies": lambda x: TextCopies(x, STRINGS["heldout"]),
    "held-out texts of TextCopies": lambda x: TextCopies(STRINGS["train"], x),
    "samples of TextCopies": lambda x: TextCopies(*STRINGS.values()).measure(x),
    "training texts of Infilling": lambda x: Infilling(MASKED, x, STRINGS["heldout"]),
    "held-out texts of Infilling": lambda x: Infilling(MASKED, STRINGS["train"], x),
    "texts to be filled in": lambda x: infill(MASKED, EmpiricalDenoiser(MASKED, STRINGS["train"]), x),
    "texts of BitsPerSymbol": lambda x: BitsPerSymbol(MASKED, {"train": x}),
    "texts of PredictiveEntropy": lambda x: PredictiveEntropy(MASKED, {"train": x}),
    "texts of LossGap": lambda x: LossGap(MASKED, STRINGS | {"train": x}),
    "held-out texts of TextQuality": lambda x: TextQuality(x, lambda t: ["a b c"] * len(t), {"b"}),
    "samples of TextQuality": lambda x: TextQuality(STRINGS["heldout"], lambda t: ["a b c"] * len(t), {"b"}).measure(x),
}


def as_nan(x):
    x = x.clone().float()
    x[2, 0] = torch.nan
    return x


SPOILED = {
    "NaN": as_nan,
    "infinite": lambda x: as_nan(x).nan_to_num(nan=torch.inf),
    "all NaN": lambda x: torch.full_like(x.float(), torch.nan),
    "complex": lambda x: x.to(torch.complex64),
    "truth values": lambda x: x > 0,
    "nothing": lambda x: None,
}


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize("what", [*ASKED, *ASKED_TEXT])
def test_what_cannot_be_measured_is_an_error_in_words_and_never_a_number(what, how):
    if how == "nothing" and "losses" in what:
        pytest.skip("there is nothing to take a column of")
    ask, x = (ASKED[what], items(6, 3)) if what in ASKED else (ASKED_TEXT[what], texts(6, 3))
    ask(x)
    with pytest.raises(TaumemError, match=r"finite|NaN|complex|bool|got NoneType|floats|float32"):
        ask(SPOILED[how](x))


@pytest.mark.parametrize("what", [w for w in (*ASKED, *ASKED_TEXT) if "losses" not in w])
@pytest.mark.parametrize("how", ["another shape", "a Dataset", "no axis"])
def test_items_of_another_shape_and_containers_of_items_are_refused_in_words(what, how):
    alone = ("the empirical", "BitsPerSymbol", "PredictiveEntropy", "to be filled", "held-out texts of TextQuality")
    if how == "another shape" and any(word in what for word in alone):
        pytest.skip("there is nothing to compare it with")
    ask, x = (ASKED[what], items(6, 3)) if what in ASKED else (ASKED_TEXT[what], texts(6, 3))
    spoiled = {"another shape": x[:, :-1], "a Dataset": torch.utils.data.TensorDataset(x), "no axis": x[:, 0]}[how]
    with pytest.raises(TaumemError):
        ask(spoiled)


def test_arrays_of_numpy_are_measured_as_the_tensors_that_they_are():
    samples = memorized(VECTORS["train"]).train
    assert Copies(*(x.numpy() for x in VECTORS.values())).measure(samples.numpy()).estimates == (
        Copies(*VECTORS.values()).measure(samples).estimates
    )
    grammar = GrammarLevels(GRAMMAR, STRINGS_OF_GRAMMAR)
    assert grammar.measure(STRINGS_OF_GRAMMAR.numpy()).estimates == grammar.measure(STRINGS_OF_GRAMMAR).estimates


@pytest.mark.parametrize(
    "bad", [STRINGS_OF_GRAMMAR.float(), STRINGS_OF_GRAMMAR + 6, STRINGS_OF_GRAMMAR[:, 1:], STRINGS_OF_GRAMMAR - 6]
)
def test_strings_of_another_alphabet_length_or_kind_are_no_invalid_ones(bad):
    with pytest.raises(TaumemError, match=r"symbols are integers from 0 to 5|they must agree"):
        GrammarLevels(GRAMMAR, STRINGS_OF_GRAMMAR).measure(bad)


def test_every_share_of_chance_has_its_interval():
    readings = [
        Copies(*VECTORS.values()).measure(VECTORS["train"]),
        TextCopies(*STRINGS.values()).measure(STRINGS["train"]),
        GrammarLevels(GRAMMAR, STRINGS_OF_GRAMMAR).measure(STRINGS_OF_GRAMMAR),
        Infilling(MASKED, *STRINGS.values()).measure(EmpiricalDenoiser(MASKED, STRINGS["train"])),
        TextQuality(STRINGS["heldout"], lambda t: ["a b c"] * len(t), {"b"}).measure(STRINGS["train"]),
    ]
    found = [e for reading in readings for e in reading.estimates if e.quantity.endswith("_chance")]
    assert {e.quantity for e in found} >= {"copy_fraction_chance", "infill_copies_chance", "dictionary_words_chance"}
    for estimate in found:
        if estimate.quantity != "longest_match_chance":
            assert estimate.low <= estimate.value <= estimate.high
            assert (estimate.confidence, estimate.count > 0) == (0.95, True)
        else:
            assert estimate.se is not None
