"""Augmentation: how images are mirrored and shifted, and that nothing else of a run changes by it."""

import copy
from itertools import islice

import pytest
import torch
from scipy import stats
from torch.nn import functional

from taumem.diffusion import GaussianDiffusion
from taumem.errors import ConfigError
from taumem.models import MLP, Preconditioned
from taumem.training import Augmentation, Learner, Member, load_checkpoint, save_checkpoint, train, train_together
from taumem.training.loop import Draws

DIFFUSION = GaussianDiffusion()
BOTH = Augmentation(flips=True, shifts=1)


def images(n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn((n, 1, 4, 5), generator=torch.Generator().manual_seed(seed))


def learner(seed: int = 0) -> Learner:
    network = MLP((1, 4, 5), width=8, depth=1, generator=torch.Generator().manual_seed(seed))
    return Learner.start(Preconditioned(network, DIFFUSION), learning_rate=1e-2, ema_window=0.1)


def weights(of: Learner) -> list[torch.Tensor]:
    return [p.detach().clone() for p in (*of.denoiser.parameters(), *of.averaged.parameters())]


def trained(steps: int, of: Learner | None = None, **options) -> Learner:
    of = of or learner()
    for _ in islice(train(of, DIFFUSION, images(), batch_size=4, seed=3, **options), steps):
        pass
    return of


def shifted(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """By padding with the border and cutting out, as torch does it."""
    padded = functional.pad(image[None], (1, 1, 1, 1), mode="replicate")[0]
    return padded[:, 1 - down : 5 - down, 1 - right : 6 - right]


def test_an_image_is_mirrored_or_left_alone_half_the_time_each():
    x0 = images(50)
    seen = torch.stack([Augmentation(flips=True).of(x0, 0, step) for step in range(1, 101)])
    mirrored = (seen == x0.flip(3)).flatten(2).all(2)
    assert bool((mirrored | (seen == x0).flatten(2).all(2)).all())
    assert stats.binomtest(int(mirrored.sum()), mirrored.numel(), 0.5).pvalue > 1e-3
    assert stats.binomtest(int((mirrored[1:] == mirrored[:-1]).sum()), mirrored[1:].numel(), 0.5).pvalue > 1e-3


@pytest.mark.slow
def test_an_image_is_shifted_by_each_amount_equally_often_with_its_border_repeated():
    x0, counts = images(1), dict.fromkeys([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)], 0)
    for step in range(1, 1801):
        seen = Augmentation(shifts=1).of(x0, 0, step)[0]
        (where,) = (by for by in counts if torch.equal(seen, shifted(x0[0], *by)))
        counts[where] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_shifts_are_the_same_whether_images_are_mirrored_too_or_not():
    x0 = images(8)
    symmetric = x0 + x0.flip(3)
    assert torch.equal(Augmentation(shifts=2).of(symmetric, 1, 5), Augmentation(True, 2).of(symmetric, 1, 5))


def test_off_it_gives_the_batch_itself_and_a_run_is_what_it_was():
    x0 = images()
    assert Augmentation().of(x0, 0, 1) is x0
    for one, other in zip(weights(trained(12)), weights(trained(12, augmentation=Augmentation())), strict=True):
        assert torch.equal(one, other)


def test_it_changes_the_images_and_no_other_draw_of_a_step():
    plain, augmented = (Draws(DIFFUSION, images(), 4, 3, how).at(7) for how in (Augmentation(), BOTH))
    assert torch.equal(BOTH.of(plain[0], 3, 7), augmented[0])
    assert not torch.equal(plain[0], augmented[0])
    assert torch.equal(plain[1], augmented[1])
    assert torch.equal(plain[2], augmented[2])


def test_the_training_set_stays_as_it_is_and_so_does_the_global_random_state():
    data, before = images(), torch.get_rng_state()
    Draws(DIFFUSION, data, 4, 3, BOTH).at(1)
    assert torch.equal(data, images())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_resumed_run_is_the_unbroken_one(tmp_path):
    whole, first, resumed = trained(12, augmentation=BOTH), trained(5, augmentation=BOTH), learner()
    save_checkpoint(first, tmp_path / "half")
    load_checkpoint(resumed, tmp_path / "half")
    for one, other in zip(weights(whole), weights(trained(7, resumed, augmentation=BOTH)), strict=True):
        assert torch.equal(one, other)
    assert any(not torch.equal(a, b) for a, b in zip(weights(whole), weights(trained(12)), strict=True))


def test_members_of_an_ensemble_are_augmented_as_they_would_be_alone():
    members = [Member(learner(k), images(5 + k, seed=k), seed=k) for k in range(3)]
    apart = copy.deepcopy(members)
    for _ in islice(train_together(members, DIFFUSION, batch_size=4, augmentation=BOTH), 12):
        pass
    for member, one in zip(members, apart, strict=True):
        alone = train(one.learner, DIFFUSION, one.data, batch_size=4, seed=one.seed, augmentation=BOTH)
        for _ in islice(alone, 12):
            pass
        for a, b in zip(weights(member.learner), weights(one.learner), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("data", "augmentation", "message"),
    [
        (torch.zeros(4, 8), Augmentation(flips=True), r"for images.*\[8\]"),
        (torch.zeros(4, 1, 4, 4, dtype=torch.long), Augmentation(shifts=1), "int64"),
        (torch.zeros(4, 1, 4, 8), Augmentation(shifts=4), "4 x 8 out of sight"),
    ],
)
def test_what_it_cannot_change_is_refused_before_training(data, augmentation, message):
    with pytest.raises(ConfigError, match=message):
        next(train(learner(), DIFFUSION, data, batch_size=2, seed=0, augmentation=augmentation))
    with pytest.raises(ConfigError, match=message):
        next(train_together([Member(learner(), data, 0)], DIFFUSION, batch_size=2, augmentation=augmentation))


@pytest.mark.parametrize("shifts", [-1, 1.5, True])
def test_shifts_are_a_number_of_pixels(shifts):
    with pytest.raises(ConfigError, match="number of pixels"):
        Augmentation(shifts=shifts)
