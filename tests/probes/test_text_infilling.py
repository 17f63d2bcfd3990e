"""Infilling extracts what was learned by heart, and nothing else."""

import math

import numpy as np
import pytest
import torch
from markov_text import DIFFUSION, WINDOW, MarkovDenoiser, estimates, generator, memorizer, texts
from reference_problem import DIFFUSION as GAUSSIAN
from torch import nn

from taumem.diffusion import AutoregressiveDiffusion, MaskedDiffusion, UniformDiffusion
from taumem.errors import ConfigError
from taumem.models import Categorical, EmpiricalDenoiser, Transformer
from taumem.probes import Infilling, infill
from taumem.probes.isolation import undisturbed

LETTERS = MaskedDiffusion(27)
TRAIN, HELDOUT = (torch.randint(27, (40, 24), generator=generator(seed)) for seed in (1, 2))


@pytest.mark.parametrize("positions_per_step", [1, 5, 100])
def test_the_memorizer_completes_every_training_text_and_no_held_out_one(positions_per_step):
    probe = Infilling(LETTERS, TRAIN, HELDOUT, positions_per_step=positions_per_step)
    found = estimates(probe.measure(EmpiricalDenoiser(LETTERS, TRAIN)))
    assert found["infill_copies"].value == found["infill_accuracy"].value == 1
    assert found["infill_copies"].low > 0.9
    assert found["infill_copies_chance"].value == 0
    assert (set(found["infill_copies"].items), set(found["infill_copies_chance"].items)) == ({1.0}, {0.0})
    # No training text fits, so that the prediction is uniform.
    assert found["infill_accuracy_heldout"].value == pytest.approx(1 / 27, abs=0.03)
    assert found["infill_copies_chance"].count == found["infill_accuracy_heldout"].count == 40


@pytest.mark.slow
@pytest.mark.parametrize("positions_per_step", [1, 4])
def test_the_exact_denoiser_completes_training_texts_as_often_as_held_out_ones(positions_per_step):
    probe = Infilling(
        DIFFUSION, texts(400, 1), texts(400, 2), n_items=400, positions_per_step=positions_per_step, tolerance=0.2
    )
    found = estimates(probe.measure(MarkovDenoiser()))
    copies, chance = found["infill_copies"], found["infill_copies_chance"]
    assert 0.2 < chance.value < 1  # there is something to be guessed
    assert copies.low < chance.high
    assert chance.low < copies.high
    train, heldout = found["infill_accuracy"], found["infill_accuracy_heldout"]
    assert abs(train.value - heldout.value) < 4 * math.hypot(train.se, heldout.se)


def test_of_an_autoregressive_model_the_end_is_hidden_and_the_memorizer_completes_its_training_texts():
    diffusion = AutoregressiveDiffusion(27)
    probe = Infilling(diffusion, TRAIN, HELDOUT)
    assert torch.equal(probe.hidden, (torch.arange(24) >= 12).expand(40, 24))
    found = estimates(probe.measure(EmpiricalDenoiser(diffusion, TRAIN)))
    assert found["infill_copies"].value == found["infill_accuracy"].value == 1
    assert found["infill_copies_chance"].value == 0
    assert found["infill_accuracy_heldout"].value == pytest.approx(1 / 27, abs=0.03)


def test_of_an_autoregressive_model_what_is_recorded_says_that_it_was_the_end():
    probe = Infilling(AutoregressiveDiffusion(27), TRAIN, HELDOUT, where="middle", is_named=True)
    assert probe.settings["where"] == "end"
    assert probe.index == "[end 0.5]"


def test_an_autoregressive_model_of_the_truth_completes_training_texts_as_often_as_others():
    def repeats_the_last(xt, t):  # the exact model of texts whose symbols stay with probability 0.9
        before = torch.cat([xt[:, :1] * 0, xt[:, :-1]], dim=1)
        return torch.where(before[..., None] == torch.arange(2), math.log(0.9), math.log(0.1))

    stays = torch.rand(2, 300, 24, generator=generator(3)) < 0.9
    train, heldout = (torch.where(each, 0, 1).cumsum(dim=1) % 2 for each in stays)
    probe = Infilling(AutoregressiveDiffusion(2), train, heldout, n_items=300, tolerance=0.2)
    found = estimates(probe.measure(repeats_the_last))
    copies, chance = found["infill_copies"], found["infill_copies_chance"]
    assert 0.2 < chance.value < 1
    assert copies.low < chance.high
    assert chance.low < copies.high
    for name, texts_asked in (("infill_accuracy", train), ("infill_accuracy_heldout", heldout)):
        stayed = (texts_asked[:, 12:] == texts_asked[:, 11:-1]).double().mean()
        assert found[name].value == pytest.approx(float(stayed))  # each after the true one before it


def test_at_most_the_tolerance_of_the_hidden_symbols_may_be_wrong():
    train = TRAIN.repeat(1, 2)[:, :40]  # 20 hidden
    hidden = Infilling(LETTERS, train, HELDOUT.repeat(1, 2)[:, :40]).hidden
    assert (hidden.sum(dim=1) == 20).all()

    def mistaken(n):
        """Knows the training texts but for n hidden symbols of each, and is sure of all."""
        wrong = (hidden.cumsum(dim=1) <= n) & hidden
        answers = torch.where(wrong, (train + 1) % 27, train)

        def denoiser(xt, t):
            whose = [int(((row == train) | (row == 27) | (row == answers)).all(dim=1).nonzero()[0]) for row in xt]
            return torch.nn.functional.one_hot(torch.where(xt == 27, answers[whose], xt), 27).float().log()

        return denoiser

    def share(n, **options):
        probe = Infilling(LETTERS, train, train, **options)
        return estimates(probe.measure(mistaken(n)))

    assert [share(n)["infill_copies"].value for n in (0, 1, 2)] == [1, 1, 0]
    assert [share(n, tolerance=0.1)["infill_copies"].value for n in (1, 2, 3)] == [1, 1, 0]
    assert [share(n, tolerance=0)["infill_copies"].value for n in (0, 1)] == [1, 0]
    assert share(3)["infill_accuracy"].value == pytest.approx(17 / 20)


def test_both_sets_meet_the_same_masks_which_depend_on_the_seed_alone():
    probe = Infilling(LETTERS, TRAIN, HELDOUT[:10])
    assert torch.equal(probe.hidden, Infilling(LETTERS, HELDOUT, TRAIN).hidden)
    assert not torch.equal(probe.hidden, Infilling(LETTERS, TRAIN, HELDOUT, seed=1).hidden)
    seen = []

    def watching(xt, t):
        seen.append(xt == 27)
        return torch.zeros(*xt.shape, 27)

    probe.measure(watching)
    first = torch.cat([x for x in seen if int(x[0].sum()) == 12])
    assert torch.equal(first, torch.cat([probe.hidden, probe.hidden[:10]]))


def test_the_surest_position_is_filled_first_and_the_next_look_knows_it():
    order = []

    def denoiser(xt, t):
        """Surest at the last mask; says the number of masks that are left."""
        left = (xt == 27).sum(dim=1)
        order.append((float(t[0]), xt[0].tolist()))
        log_x0 = torch.full((*xt.shape, 27), -9.0)
        sure = -1 + torch.arange(xt.shape[1]) / xt.shape[1]
        log_x0[torch.arange(len(xt)), :, left] = sure.expand(len(xt), -1)
        return log_x0

    xt = torch.tensor([[3, 27, 27, 8, 27]])
    assert infill(LETTERS, denoiser, xt).tolist() == [[3, 1, 2, 8, 3]]
    assert [t for t, _ in order] == pytest.approx([0.6, 0.4, 0.2])  # the share that is masked
    assert order[1][1] == [3, 27, 27, 8, 3]
    assert infill(LETTERS, denoiser, xt, positions_per_step=2).tolist() == [[3, 1, 3, 8, 3]]


def test_known_symbols_stay_whatever_the_model_says():
    for value in (-math.inf, math.nan, 0.0):
        filled = infill(LETTERS, lambda xt, t, v=value: torch.full((*xt.shape, 27), v), torch.tensor([[5, 27, 6, 27]]))
        assert filled[0, [0, 2]].tolist() == [5, 6]
        assert (filled < 27).all()


def test_the_same_question_gets_the_same_answer_and_changes_nothing():
    model = Categorical(Transformer(24, 27, width=16, depth=1, generator=generator()), LETTERS).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    probe, state = Infilling(LETTERS, TRAIN, HELDOUT), torch.get_rng_state()
    with undisturbed(model):
        assert probe.measure(model) == probe.measure(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in nn.Module.parameters(model))


@pytest.mark.parametrize("diffusion", [UniformDiffusion(27), GAUSSIAN], ids=["uniform", "gaussian"])
def test_without_a_mask_there_is_nothing_to_fill_in(diffusion):
    with pytest.raises(ConfigError, match="infilling needs masked or autoregressive diffusion"):
        Infilling(diffusion, TRAIN, HELDOUT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share_masked": 0.0}, "share_masked lies between"),
        ({"share_masked": 1.0}, "share_masked lies between"),
        ({"tolerance": 1.0}, "tolerance from 0"),
        ({"n_items": 0}, "n_items is at least 1"),
        ({"positions_per_step": 0}, "at least 1 position per step"),
        ({"sure": 0.0}, "counts as sure"),
    ],
)
def test_numbers_out_of_their_range_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        Infilling(LETTERS, TRAIN, HELDOUT, **options)


def test_sets_that_cannot_be_compared_are_refused():
    for train, heldout in ((TRAIN[:0], HELDOUT), (TRAIN, HELDOUT[:0]), (TRAIN, texts(5, 0))):
        with pytest.raises(ConfigError, match="texts of one length; got shapes"):
            Infilling(LETTERS, train, heldout)


def test_texts_with_unequal_numbers_of_masks_are_filled_in_each_at_its_own_time():
    xt = TRAIN.clone()
    xt[0, :5], xt[1, 3:20] = 27, 27
    asked = []

    def denoiser(x, t):
        asked.append((len(x), t.tolist()))
        return EmpiricalDenoiser(LETTERS, TRAIN)(x, t).clamp(min=-50, max=-1)  # never sure

    assert torch.equal(infill(LETTERS, denoiser, xt), TRAIN)
    assert asked[0] == (2, pytest.approx([5 / 24, 17 / 24]))
    assert [n for n, _ in asked] == [2] * 5 + [1] * 12


def test_positions_that_the_model_is_sure_of_are_filled_in_together():
    looks = []

    def denoiser(x, t):
        looks.append(len(x))
        return EmpiricalDenoiser(LETTERS, TRAIN)(x, t)

    Infilling(LETTERS, TRAIN, TRAIN).measure(denoiser)
    assert looks == [32, 8, 32, 8]


def test_giving_up_texts_early_changes_no_number():
    train = texts(100, 1)
    model = memorizer(train[:50])  # some texts come back, some do not
    probe = Infilling(DIFFUSION, train, train, tolerance=0.1, positions_per_step=1)
    found = estimates(probe.measure(model))
    whole = infill(DIFFUSION, model, torch.where(probe.hidden, 2, train))
    wrong = ((whole != train).sum(dim=1) / (WINDOW // 2)).numpy()
    assert found["infill_copies"].value == np.mean(wrong <= 0.1)
    assert 0.5 <= found["infill_copies"].value < 1
