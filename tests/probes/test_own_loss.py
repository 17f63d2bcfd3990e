"""A loss of one's own is tried before it is believed."""

import math
import random

import numpy as np
import pytest
import torch
from reference_problem import DIFFUSION, EXACT, items
from torch import nn

from taumem.diffusion import GaussianDiffusion, MaskedDiffusion, UniformDiffusion
from taumem.errors import ConfigError, DataError
from taumem.models import MLP
from taumem.probes import LossGap, SymmetricGap

TRAIN, HELDOUT = items(32, 1), items(32, 2)
SETS = {"train": TRAIN, "heldout": HELDOUT}


def good(denoiser, x0, t, noise):
    xt = (1 - t[:, None]) * x0 + t[:, None] * noise
    return (denoiser(xt, t) - (noise - x0)).square().mean(dim=1)


def plain(denoiser, x0, t, noise):
    return (denoiser(x0 + t[:, None] * noise, t) - x0).square()


BAD = {
    "draws its noise": (
        lambda d, x0, t, noise: good(d, x0, t, torch.randn_like(x0)),
        "asked twice .* gives different numbers: it draws noise, times or dropout itself",
    ),
    "draws its times": (
        lambda d, x0, t, noise: good(d, x0, torch.rand(len(x0)), noise),
        "gives different numbers",
    ),
    "draws with numpy": (
        lambda d, x0, t, noise: good(d, x0, t, noise) + torch.from_numpy(np.random.rand(len(x0))),  # noqa: NPY002
        "gives different numbers",
    ),
    "noise of its own seed": (
        lambda d, x0, t, noise: good(
            d, x0, t, torch.randn(x0.shape, generator=torch.Generator().manual_seed(0), dtype=x0.dtype)
        ),
        "ignores the noise it is given",
    ),
    "no noise": (lambda d, x0, t, noise: good(d, x0, t, torch.zeros_like(x0)), "ignores the noise it is given"),
    "one time": (lambda d, x0, t, noise: good(d, x0, torch.full_like(t, 0.5), noise), "ignores the t it is given"),
    "a mean": (lambda d, x0, t, noise: plain(d, x0, t, noise).mean(), r"shape \(\), a mean or sum over the batch"),
    "a mean for each": (
        lambda d, x0, t, noise: plain(d, x0, t, noise).mean().expand(len(x0)),
        "depends on the items it is asked about with",
    ),
    "sorted": (lambda d, x0, t, noise: good(d, x0, t, noise).sort().values, "depends on the items it is asked about"),
    "in place": (lambda d, x0, t, noise: good(d, x0.add_(1), t, noise), "changes in place the items or the noise"),
    "a number": (lambda d, x0, t, noise: float(plain(d, x0, t, noise).mean()), "returned float"),
    "a sum in a list": (lambda d, x0, t, noise: [1.0], r"shape \(1,\), a mean or sum over the batch"),
    "unreduced": (plain, r"of 8 items has shape \(8, 8\), not one number per item"),
    "too few": (lambda d, x0, t, noise: plain(d, x0, t, noise).mean(dim=1)[:-1], r"shape \(7,\), not one"),
    "nothing": (lambda d, x0, t, noise: None, "returned NoneType"),
    "a dictionary": (lambda d, x0, t, noise: {"loss": good(d, x0, t, noise)}, "returned dict"),
    "complex": (lambda d, x0, t, noise: good(d, x0, t, noise).to(torch.complex64), "returned Tensor"),
    "not finite": (lambda d, x0, t, noise: good(d, x0, t, noise) / 0, "at t = 0.15 the loss of 8 of 8 items is not"),
    "no function": (7, "a loss is called; got int"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("probe", [LossGap, SymmetricGap])
def test_a_loss_that_makes_a_gap_meaningless_is_refused_with_the_way_to_write_it(name, probe):
    loss, message = BAD[name]
    sets = (SETS,) if probe is LossGap else (TRAIN, EXACT, HELDOUT)
    with pytest.raises(ConfigError, match=message) as caught:
        probe(DIFFUSION, *sets, loss=loss).measure(EXACT)
    assert name == "not finite" or "rite loss(denoiser, x0, t, noise) -> [batch]" in str(caught.value)


@pytest.mark.parametrize("times", [(0.3,), (0.15, 0.35, 0.55), (0.4, 0.4)])
def test_at_a_single_time_too_a_loss_that_ignores_it_is_refused(times):
    with pytest.raises(ConfigError, match="ignores the t it is given"):
        LossGap(DIFFUSION, SETS, loss=BAD["one time"][0], times=times).measure(EXACT)
    LossGap(DIFFUSION, SETS, loss=good, times=times).measure(EXACT)


@pytest.mark.parametrize(
    "same",
    [
        lambda losses: losses.numpy(),
        lambda losses: losses.tolist(),
        lambda losses: losses[:, None],
        lambda losses: losses.double(),
    ],
)
def test_arrays_lists_and_a_trailing_axis_are_taken_as_one_number_per_item(same):
    found = LossGap(DIFFUSION, SETS, loss=lambda *asked: same(good(*asked))).measure(EXACT)
    for ours, theirs in zip(found.estimates, LossGap(DIFFUSION, SETS, loss=good).measure(EXACT).estimates, strict=True):
        assert ours.value == pytest.approx(theirs.value, rel=1e-5, abs=1e-7)


class Zero(nn.Module):
    """A network as it starts: its last layer is zero, and it answers alike to everything."""

    def forward(self, xt, t):
        return torch.zeros_like(xt)


class Wrapped(nn.Module):
    """A network that is called by a part of it, and takes what it is asked in a dictionary."""

    def __init__(self):
        super().__init__()
        self.part = Zero()

    def forward(self, asked):
        return self.part(**asked)


def by_part(model, xt, t):
    return model.part(xt, t)


def by_dictionary(model, xt, t):
    return model({"xt": xt, "t": t})


@pytest.mark.parametrize("ask", [by_part, by_dictionary])
def test_a_model_that_has_learned_nothing_yet_may_be_asked_in_any_way(ask):
    model = Wrapped()
    LossGap(DIFFUSION, SETS, loss=lambda d, x0, t, noise: good(lambda xt, at: ask(d, xt, at), x0, t, noise)).measure(
        model
    )
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (BAD["draws its noise"][0], "gives different numbers"),
        (lambda *asked: good(*asked).mean().expand(len(asked[1])), "depends on the items it is asked about with"),
    ],
)
def test_a_bad_loss_is_refused_though_it_gives_the_first_time_no_weight(bad, message):
    with pytest.raises(ConfigError, match=message):
        LossGap(DIFFUSION, SETS, loss=lambda d, x0, t, noise: (t > 0.2) * bad(d, x0, t, noise)).measure(EXACT)


@pytest.mark.parametrize("model", [Zero(), lambda xt, t: torch.zeros_like(xt)])
@pytest.mark.parametrize(
    "loss",
    [
        good,  # of the noise, but not of t
        lambda d, x0, t, noise: plain(d, x0, t, noise).mean(dim=1),  # of neither
        lambda d, x0, t, noise: (d(xt=x0 + t[:, None] * noise, t=t) - x0).square().mean(dim=1),
    ],
)
def test_a_model_that_has_learned_nothing_yet_is_no_fault_of_the_loss(model, loss):
    LossGap(DIFFUSION, SETS, loss=loss).measure(model)


def test_a_loss_that_hardly_corrupts_is_no_fault_of_taumems_own():
    texts = torch.zeros(2, 1, dtype=torch.long)
    for diffusion in (MaskedDiffusion(2), UniformDiffusion(2)):
        gap = LossGap(diffusion, {"train": texts, "heldout": texts}, loss=diffusion.loss, times=(0.999,))
        gap.measure(lambda xt, t: torch.zeros(*xt.shape, 2) - math.log(2))
    still = torch.zeros(3, 4)
    diffusion = GaussianDiffusion()
    for loss in (None, diffusion.loss):
        gap = LossGap(diffusion, {"train": still, "heldout": still}, loss=loss, times=(0.5,))
        gap.measure(lambda xt, t: xt)


def test_a_loss_is_tried_once_and_the_model_stays_as_it_was():
    asked = []

    def loss(denoiser, x0, t, noise):
        asked.append(len(x0))
        return good(denoiser, x0, t, noise)

    model = nn.Sequential(nn.Identity())
    model.forward = lambda xt, t: 0.5 * xt
    probe = LossGap(DIFFUSION, SETS, loss=loss, times=(0.2, 0.4))
    probe.measure(model)
    tried = asked.index(32)
    assert set(asked[:tried]) == {8, 4}
    probe.measure(model)
    assert asked[tried:] == [32] * 8
    assert not model._forward_pre_hooks


# --- a relative gap needs losses that are not negative ---------------------------------------------------------------


@pytest.mark.parametrize("shift", [-100.0, -1.7])
def test_a_gap_of_losses_below_zero_is_refused_in_words(shift):
    def loss(denoiser, x0, t, noise):
        return plain(denoiser, x0, t, noise).mean(dim=1) + shift

    for probe in (
        LossGap(DIFFUSION, SETS, loss=loss),
        SymmetricGap(DIFFUSION, TRAIN, lambda xt, t: xt, HELDOUT, loss=loss),
    ):
        with pytest.raises(ConfigError, match=r"needs losses of at least 0\. Give a distance or a bound"):
            probe.measure(EXACT)


# --- items of another kind -------------------------------------------------------------------------------------------


def test_sets_may_be_arrays_and_lists_and_a_dataset_is_refused_in_words():
    same = LossGap(DIFFUSION, {"train": TRAIN.numpy(), "heldout": list(HELDOUT)}).measure(EXACT)
    assert same == LossGap(DIFFUSION, SETS).measure(EXACT)
    dataset = torch.utils.data.TensorDataset(TRAIN)
    with pytest.raises(DataError, match=r"items of 'train' are one tensor .* TensorDataset of 32.*torch\.stack"):
        LossGap(DIFFUSION, {"train": dataset, "heldout": HELDOUT})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.index_fill(0, torch.tensor([3]), float("nan")), "1 of 32 items of 'train' hold NaN"),
        (lambda x: (x * 100).to(torch.uint8), r"torch.uint8; Gaussian noise is added to floats: .* x / 127.5 - 1"),
        (lambda x: x > 0, "torch.bool"),
        (lambda x: x.to(torch.complex64), "complex64"),
        (lambda x: x[:, 0], "at least one axis"),
    ],
)
def test_sets_that_cannot_be_measured_are_refused(spoil, message):
    with pytest.raises(DataError, match=message):
        LossGap(DIFFUSION, {"train": spoil(TRAIN), "heldout": HELDOUT})
    with pytest.raises(DataError, match=message.replace("items of 'train'", "our items")):
        SymmetricGap(DIFFUSION, spoil(TRAIN), EXACT, HELDOUT)


def test_a_held_out_set_on_another_scale_than_the_training_set_is_refused():
    train, heldout = (2 * torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(k)) - 1 for k in (0, 1))
    LossGap(DIFFUSION, {"train": train, "heldout": heldout})
    with pytest.raises(DataError, match=r"held-out items lie in \[0, 1\], .* in \[-1, 1\]; .* scale: 2 \* x - 1"):
        LossGap(DIFFUSION, {"train": train, "heldout": (heldout + 1) / 2})


def test_what_is_no_model_is_refused():
    with pytest.raises(ConfigError, match=r"called with \(xt, t\); got Tensor"):
        LossGap(DIFFUSION, SETS).measure(TRAIN)


def test_a_users_loss_that_draws_to_no_effect_leaves_the_global_random_states_alone():
    def loss(denoiser, x0, t, noise):
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        return good(denoiser, x0, t, noise)

    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    LossGap(DIFFUSION, SETS, loss=loss).measure(MLP((8,), width=8))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002


def test_items_are_as_they_were_after_a_loss_that_changes_them(tmp_path):
    before = TRAIN.clone()
    with pytest.raises(ConfigError, match="in place"):
        LossGap(DIFFUSION, SETS, loss=BAD["in place"][0]).measure(MLP(TRAIN.shape[1:], width=8))
    assert torch.equal(TRAIN, before)
