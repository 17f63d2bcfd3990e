"""Attacks on membership: each gives every item an error, which is lower for items that the model was trained on.

``SecMI`` and ``PIA`` add no noise of their own: they ask whether the model agrees with itself at an item, and need
Gaussian diffusion, whose reversal has a deterministic form. ``AveragedLoss`` is the attack that every diffusion takes,
tokens included: the loss, over several draws of the noise, so that the luck of a draw (of a mask) counts less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from taumem.data.items import as_items, refuse_other_scale
from taumem.diffusion import Denoiser, Diffusion, GaussianDiffusion
from taumem.diffusion.gaussian import per_item
from taumem.errors import ConfigError
from taumem.probes.isolation import undisturbed
from taumem.probes.loss_gap import TIMES, paired_losses
from taumem.probes.membership_inference import membership
from taumem.probes.probe import BLOCK, check_times, in_blocks, items_for, mean
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Batch, Items, PerItem

__all__ = ["PIA", "Attack", "AveragedLoss", "MembershipAttacks", "SecMI", "usual_attacks"]


class Attack(Protocol):
    """Gives each item an error; a low one is taken for a sign of membership."""

    @property
    def name(self) -> str:
        """What stands in the brackets of its quantities."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """What must be known to make it again, as JSON."""
        ...

    def errors(self, denoiser: Denoiser, items: Items, block: int) -> Float[Tensor, "n"]:
        """Give the error of each item, from ``block`` of them at a time."""
        ...


@dataclass(frozen=True)
class SecMI:
    """The error of one deterministic step forth and back, at a place to which the item was carried without any noise.

        xt  = the item, carried from time 0 to t by n_steps deterministic steps (DDIM, run backward)
        error = mean |back(forth(xt)) - xt|^2,    forth: one more step, from t to t (1 + 1/n_steps); back: the reverse

    A model that knows an item knows the way through it. It costs n_steps + 2 times what a loss does at one time.

    Args:
        diffusion: Gaussian.
        t: diffusion time of the comparison. The paper's noise (sigma_t about 0.3) is that of 0.2 on a cosine schedule.
        n_steps: of the way there, at least 1.

    Raises:
        ConfigError: tokens, a time whose next step is out of (0, 1), or no step.

    Reference: Duan et al. 2023, arXiv 2302.01316 (SecMI, the t-error; its statistic, without a trained classifier).
    """

    diffusion: GaussianDiffusion
    t: float = 0.2
    n_steps: int = 10
    name = "secmi"

    def __post_init__(self) -> None:
        _check_gaussian(self.diffusion, self.name)
        if self.n_steps < 1:
            raise ConfigError(f"secmi carries an item to t in at least 1 step; got n_steps = {self.n_steps}.")
        check_times((self.t, self.t * (1 + 1 / self.n_steps)))

    @property
    def settings(self) -> dict[str, Any]:
        """The time and the steps."""
        return {"t": self.t, "n_steps": self.n_steps}

    def errors(self, denoiser: Denoiser, items: Items, block: int) -> Float[Tensor, "n"]:
        """Give the squared distance of each item's state at t from where it comes back to."""
        return in_blocks(partial(self._errors, denoiser), block, items)

    def _errors(self, denoiser: Denoiser, x0: Batch) -> PerItem:
        step, xt = self.t / self.n_steps, x0
        for k in range(self.n_steps):
            xt = self._carried(denoiser, xt, k * step, (k + 1) * step)
        forth = self._carried(denoiser, xt, self.t, self.t + step)
        back = self._carried(denoiser, forth, self.t + step, self.t)
        return (back - xt).square().flatten(1).mean(dim=1)

    def _carried(self, denoiser: Denoiser, xt: Batch, t: float, s: float) -> Batch:
        """One deterministic step from t to s, which may be later: the predicted noise is put back at s."""
        times = xt.new_full((len(xt),), t)
        x0_hat, eps_hat = _predicted(self.diffusion, denoiser, xt, times)
        alpha_s, sigma_s = (per_item(scale, xt) for scale in self.diffusion.scales(torch.full_like(times, s)))
        return alpha_s * x0_hat + sigma_s * eps_hat


@dataclass(frozen=True)
class PIA:
    """The error of the noise that the model predicts, when the noise is the one that it sees in the clean item.

        eps   = the noise predicted at the item itself, at time ``start``
        error = (mean |eps_hat(alpha_t x0 + sigma_t eps, t) - eps|^p)^(1/p)

    Two questions to the model, and no noise that is drawn.

    Args:
        diffusion: Gaussian.
        t: diffusion time of the comparison. The paper's noise (sigma_t about 0.6) is that of 0.4 on a cosine schedule.
        start: time at which the clean item is asked about, above 0: sigma_t is 0.016 there, 0.010 in the paper.
        power: p, at least 1; the paper takes 4.

    Raises:
        ConfigError: tokens, a time out of (0, 1), or a power below 1.

    Reference: Kong et al. 2023, arXiv 2305.18355 (PIA, the proximal initialization attack).
    """

    diffusion: GaussianDiffusion
    t: float = 0.4
    start: float = 0.01
    power: float = 4.0
    name = "pia"

    def __post_init__(self) -> None:
        _check_gaussian(self.diffusion, self.name)
        check_times((self.start, self.t))
        if self.power < 1:
            raise ConfigError(f"pia takes a mean of powers of at least 1; got power = {self.power}.")

    @property
    def settings(self) -> dict[str, Any]:
        """Both times and the power."""
        return {"t": self.t, "start": self.start, "power": self.power}

    def errors(self, denoiser: Denoiser, items: Items, block: int) -> Float[Tensor, "n"]:
        """Give the distance between the two predictions of each item's noise."""
        return in_blocks(partial(self._errors, denoiser), block, items)

    def _errors(self, denoiser: Denoiser, x0: Batch) -> PerItem:
        start, t = (x0.new_full((len(x0),), time) for time in (self.start, self.t))
        _, eps = _predicted(self.diffusion, denoiser, x0, start)
        _, eps_hat = _predicted(self.diffusion, denoiser, self.diffusion.corrupt(x0, t, eps), t)
        return (eps_hat - eps).abs().pow(self.power).flatten(1).mean(dim=1).pow(1 / self.power)


@dataclass(frozen=True)
class AveragedLoss:
    """The loss of each item, averaged over several draws of the noise at several times: for every diffusion.

    The loss under one draw is partly the draw's: which symbols a mask hides, which way noise points. Four draws at
    three times cost as much as SecMI does.

    Args:
        diffusion: draws the noise, and gives the loss.
        times: diffusion times in (0, 1).
        n_draws: of the noise at each time, at least 1.
        seed: of the noise.

    Raises:
        ConfigError: a time out of (0, 1), or no draw.

    Reference: Carlini et al. 2023, arXiv 2301.13188, section 5 (the loss, averaged over noise).
    """

    diffusion: Diffusion
    times: tuple[float, ...] = TIMES
    n_draws: int = 4
    seed: int = 0
    name = "averaged"

    def __post_init__(self) -> None:
        check_times(self.times)
        if self.n_draws < 1:
            raise ConfigError(f"a loss is averaged over at least 1 draw of the noise; got n_draws = {self.n_draws}.")

    @property
    def settings(self) -> dict[str, Any]:
        """The times, and how the noise is drawn."""
        return {"times": list(self.times), "n_draws": self.n_draws, "seed": self.seed}

    def errors(self, denoiser: Denoiser, items: Items, block: int) -> Float[Tensor, "n"]:
        """Give the mean loss of each item; sets of one size meet the same noise, item by item."""
        seeds = [generator_for(self.seed, "averaged loss", k).initial_seed() for k in range(self.n_draws)]
        tables = [paired_losses(self.diffusion, denoiser, items, self.times, seed=s, block=block) for s in seeds]
        return torch.stack(tables).double().mean(dim=(0, 1))


class MembershipAttacks:
    """Measures how well each of some attacks tells training items from held-out ones.

    For an attack a: ``train_error[a]`` and ``heldout_error[a]``, with the error of each item; ``membership_auc[a]`` and
    ``membership_tpr[a]``, as :func:`taumem.probes.membership` of the losses gives them without a name.

    Args:
        diffusion: of the model.
        train: training items.
        heldout: items that the model never saw.
        attacks: each with a name of its own; None takes :func:`usual_attacks`.
        block: items that a model looks at together.

    Raises:
        ConfigError: no attack, two of one name, or an empty set.
        DataError: items that the diffusion cannot corrupt; sets of another shape or scale.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        train: Items,
        heldout: Items,
        *,
        attacks: Sequence[Attack] | None = None,
        block: int = BLOCK,
    ) -> None:
        attacks = usual_attacks(diffusion) if attacks is None else attacks
        names = [attack.name for attack in attacks]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"attacks have a name of their own each, and are at least one; got {names}.")
        train = items_for(diffusion, train, "training items")
        heldout = as_items(items_for(diffusion, heldout, "held-out items"), "held-out items", like=train)
        if not len(train) or not len(heldout):
            raise ConfigError(
                f"membership needs training and held-out items; got {len(train)} and {len(heldout)} of them."
            )
        refuse_other_scale(heldout, train, "held-out items")
        self.attacks, self.block = tuple(attacks), block
        self.train, self.heldout = train, heldout

    @property
    def settings(self) -> dict[str, Any]:
        """Those of each attack, and the numbers of items."""
        return {
            **{attack.name: attack.settings for attack in self.attacks},
            "n_items": {"train": len(self.train), "heldout": len(self.heldout)},
        }

    def measure(self, denoiser: Denoiser) -> Reading:
        """Ask every attack about both sets."""
        with undisturbed(denoiser):
            found = [self._found(attack, denoiser) for attack in self.attacks]
        return Reading(tuple(estimate for each in found for estimate in each))

    def _found(self, attack: Attack, denoiser: Denoiser) -> list[Estimate]:
        train, heldout = (attack.errors(denoiser, items, self.block) for items in (self.train, self.heldout))
        named = {"train": train, "heldout": heldout}
        means = [mean(f"{name}_error[{attack.name}]", errors, keep_items=True) for name, errors in named.items()]
        told = [
            estimate.model_copy(update={"quantity": f"{estimate.quantity}[{attack.name}]"})
            for estimate in membership(train, heldout)
        ]
        return [*means, *told]


def usual_attacks(diffusion: Diffusion, times: Sequence[float] = TIMES, *, seed: int = 0) -> tuple[Attack, ...]:
    """The attacks that a diffusion takes: SecMI and PIA where its noise is Gaussian, and the averaged loss.

    A diffusion of one time has no steps between times, which SecMI and PIA take: of it, it is the averaged loss alone.

    Args:
        diffusion: of the model.
        times: diffusion times of the averaged loss, in (0, 1).
        seed: of its noise.
    """
    averaged = AveragedLoss(diffusion, tuple(times), seed=seed)
    if not isinstance(diffusion, GaussianDiffusion) or diffusion.is_of_one_time:
        return (averaged,)
    return (SecMI(diffusion), PIA(diffusion), averaged)


def _predicted(diffusion: GaussianDiffusion, denoiser: Denoiser, xt: Batch, t: PerItem) -> tuple[Batch, Batch]:
    """The clean item and the noise that a model sees in xt."""
    t = t.clamp(diffusion.t_min, diffusion.t_max)  # at 0 nothing hides the item, and there is no noise to see
    x0_hat = denoiser(xt, t)
    alpha_t, sigma_t = (per_item(scale, xt) for scale in diffusion.scales(t))
    return x0_hat, (xt - alpha_t * x0_hat) / sigma_t


def _check_gaussian(diffusion: object, name: str) -> None:
    if not isinstance(diffusion, GaussianDiffusion):
        raise ConfigError(
            f"the attack '{name}' carries items without noise of its own, which Gaussian diffusion alone can do; got "
            f"{type(diffusion).__name__}. Of tokens, ask for AveragedLoss."
        )
