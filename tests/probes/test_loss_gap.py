"""The loss probes: fixed items, fixed noise, the same for every set."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference_problem import DIFFUSION, EXACT, by_name, items, memorized

from taumem.diffusion import MaskedDiffusion, Polynomial
from taumem.errors import ConfigError
from taumem.probes import LossGap, SymmetricGap
from taumem.probes.loss_gap import paired_losses

TRAIN, HELDOUT = items(32, 1), items(32, 2)
SETS = {"train": TRAIN, "heldout": HELDOUT}


def losses_seen(denoiser, x0, t, noise):
    """A user's own loss: the noise itself, so that the test sees what the probe hands over."""
    return noise.square().mean(dim=1) + t


def test_two_sets_of_one_size_meet_the_same_noise_item_by_item_and_a_fresh_one_at_each_time():
    a, b = (paired_losses(DIFFUSION, EXACT, x, (0.2, 0.4), seed=0, loss=losses_seen) for x in (TRAIN, HELDOUT))
    assert torch.equal(a, b)
    assert not torch.isclose(a[0] - 0.2, a[1] - 0.4).any()
    assert not torch.isclose(a, paired_losses(DIFFUSION, EXACT, TRAIN, (0.2, 0.4), seed=1, loss=losses_seen)).any()


def test_the_same_question_twice_has_the_same_answer():
    probe = LossGap(DIFFUSION, SETS)
    assert probe.measure(EXACT) == probe.measure(EXACT)


def test_another_set_changes_no_other_number():
    alone = by_name(LossGap(DIFFUSION, SETS).measure(EXACT))
    sets = {"twin": items(7, 3), **SETS, "zoo": items(64, 4)}
    together = by_name(LossGap(DIFFUSION, sets).measure(EXACT))
    assert {key: together[key] for key in alone} == alone
    assert {name for name, _ in set(together) - set(alone)} == {"twin_loss", "zoo_loss"}


def test_another_time_changes_no_number_of_the_times_before_it():
    few, more = (by_name(LossGap(DIFFUSION, SETS, times=ts).measure(EXACT)) for ts in ((0.2,), (0.2, 0.6)))
    for quantity in ("train_loss", "heldout_loss", "gap"):
        assert few[quantity, 0.2] == more[quantity, 0.2]


def test_the_numbers_are_those_of_plain_arithmetic():
    times = (0.2, 0.6)
    found = by_name(LossGap(DIFFUSION, SETS, times=times).measure(EXACT))
    tables = {}
    for name, x0 in SETS.items():
        tables[name] = paired_losses(DIFFUSION, EXACT, x0, times, seed=0).double().numpy()
        for t, row in zip(times, tables[name], strict=True):
            assert found[f"{name}_loss", t].value == pytest.approx(row.mean())
        average = found[f"{name}_loss", None]
        assert average.value == pytest.approx(tables[name].mean())
        np.testing.assert_allclose(average.items, tables[name].mean(axis=0), rtol=1e-6)
    ratio = tables["train"].mean() / tables["heldout"].mean()
    assert found["gap", None].value == pytest.approx(1 - ratio)
    for t, a, b in zip(times, tables["train"], tables["heldout"], strict=True):
        assert found["gap", t].value == pytest.approx(1 - a.mean() / b.mean())
    residuals = tables["train"].mean(axis=0) - ratio * tables["heldout"].mean(axis=0)
    assert found["gap", None].se == pytest.approx(residuals.std(ddof=1) / 32**0.5 / tables["heldout"].mean())


def test_the_loss_of_each_item_is_the_diffusions_own():
    t = torch.full((32,), 0.35)
    table = paired_losses(DIFFUSION, EXACT, TRAIN, (0.35,), seed=0)
    noise = []
    paired_losses(
        DIFFUSION, EXACT, TRAIN, (0.35,), seed=0, loss=lambda d, x, t, eps: noise.append(eps) or t + eps[:, 0]
    )
    assert torch.equal(table[0], DIFFUSION.loss(EXACT, TRAIN, t, noise[-1]))


def test_a_users_own_loss_is_asked_with_the_model_and_takes_the_place_of_the_diffusions():
    asked = []

    def loss(denoiser, x0, t, noise):
        asked.append(denoiser)
        return (x0 - denoiser(x0 + t[:, None] * noise, t)).abs().sum(dim=1)

    found = by_name(LossGap(DIFFUSION, SETS, loss=loss, times=(0.3,)).measure(EXACT))
    assert all(denoiser is EXACT for denoiser in asked)
    expected = paired_losses(DIFFUSION, EXACT, TRAIN, (0.3,), seed=0, loss=loss).double().mean()
    assert found["train_loss", 0.3].value == pytest.approx(float(expected))
    twin = memorized(HELDOUT)
    (gap,) = SymmetricGap(DIFFUSION, TRAIN, twin, HELDOUT, loss=loss).measure(EXACT).estimates
    own = sum(
        float(paired_losses(DIFFUSION, d, x, (0.15, 0.35, 0.55), seed=0, loss=loss).double().mean())
        for d, x in ((EXACT, TRAIN), (twin, HELDOUT))
    )
    cross = sum(
        float(paired_losses(DIFFUSION, d, x, (0.15, 0.35, 0.55), seed=0, loss=loss).double().mean())
        for d, x in ((twin, TRAIN), (EXACT, HELDOUT))
    )
    assert gap.value == pytest.approx(1 - own / cross)


def test_the_symmetric_gap_does_not_change_when_the_two_models_change_places():
    ours, theirs = memorized(TRAIN), memorized(HELDOUT)
    (a,) = SymmetricGap(DIFFUSION, TRAIN, theirs, HELDOUT).measure(ours).estimates
    (b,) = SymmetricGap(DIFFUSION, HELDOUT, ours, TRAIN).measure(theirs).estimates
    assert a.value == pytest.approx(b.value)
    assert a.se == pytest.approx(b.se)


def test_no_gradient_is_kept():
    network = torch.nn.Linear(8, 8)

    def loss(denoiser, x0, t, noise):
        answer = network(x0 + t[:, None] * noise).square().mean(dim=1)
        assert not answer.requires_grad
        return answer

    LossGap(DIFFUSION, SETS, loss=loss).measure(EXACT)


@pytest.mark.parametrize(
    ("sets", "name"),
    [
        ({"heldout": HELDOUT}, "train"),
        ({"train": TRAIN}, "heldout"),
        ({"train": TRAIN[:0], "heldout": HELDOUT}, "train"),
        ({**SETS, "twin": TRAIN[:0]}, "twin"),
    ],
)
def test_a_set_that_is_missing_or_empty_is_refused_by_name(sets, name):
    with pytest.raises(ConfigError, match=f"needs items in the set '{name}'; got"):
        LossGap(DIFFUSION, sets)


@given(st.sampled_from([(), (0.0,), (1.0,), (0.5, -0.1), (0.5, 2.0), (float("nan"),)]))
def test_times_outside_the_open_interval_are_refused(times):
    for make in (
        lambda: LossGap(DIFFUSION, SETS, times=times),
        lambda: SymmetricGap(DIFFUSION, TRAIN, EXACT, HELDOUT, times=times),
    ):
        with pytest.raises(ConfigError, match="asks at diffusion times between 0 and 1, at least one"):
            make()


def test_where_nothing_of_the_heldout_items_is_lost_there_is_no_gap_and_it_is_told():
    masked, texts = MaskedDiffusion(3, Polynomial(20.0)), torch.zeros(4, 8, dtype=torch.long)

    def denoiser(xt, t):
        return torch.full((*xt.shape, 3), 1 / 3).log()

    with pytest.raises(ConfigError, match=r"unseen items is 0 at t = 0\.1.*ask at a later time"):
        LossGap(masked, {"train": texts, "heldout": texts}, times=(0.1, 0.9)).measure(denoiser)
