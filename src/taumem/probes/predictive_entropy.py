"""How sure a model is of what it cannot see: it grows surer of its training texts than of others."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from taumem.diffusion import AutoregressiveDiffusion, Denoiser, TokenDiffusion
from taumem.diffusion.tokens import Tokens, predict
from taumem.errors import ConfigError
from taumem.probes.isolation import undisturbed
from taumem.probes.loss_gap import TIMES
from taumem.probes.probe import BLOCK, check_times, in_blocks, items_for, mean
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["PredictiveEntropy"]


class PredictiveEntropy:
    """Measures the entropy of the predicted symbols at corrupted positions, in nats per position.

        S_entropy = mean over corrupted positions i of  - sum_a p(x0_i = a | xt) log p(x0_i = a | xt)

    for each set S (``train_entropy``, ``heldout_entropy``, ...) at each diffusion time t, and averaged over the times
    (t None). A position is corrupted if xt differs from x0 there: under masked diffusion, if it is masked. For the
    exact denoiser it is what the loss is too, on average; a model that is surer than its loss is overconfident. It lies
    between 0 and the logarithm of the vocabulary's size. An autoregressive model is asked at each hidden position after
    the true symbols before it, as by its loss.

    Args:
        diffusion: corrupts the texts.
        sets: texts [n, window] of each set, by its name.
        times: diffusion times in (0, 1), the same at every look.
        seed: of the noise, which is that of no other probe, and the same for all sets and at every look.
        block: texts that the model looks at together.

    Raises:
        ConfigError: no set, an empty one, a time outside (0, 1), or one so early that it corrupts nothing.
        DataError: texts that are no symbols of the diffusion's vocabulary.
    """

    def __init__(
        self,
        diffusion: TokenDiffusion,
        sets: Mapping[str, Items],
        *,
        times: Sequence[float] = TIMES,
        seed: int = 0,
        block: int = BLOCK,
    ) -> None:
        check_times(times)
        sets = {name: items_for(diffusion, items, f"texts of '{name}'") for name, items in sets.items()}
        if not sets or any(len(items) == 0 for items in sets.values()):
            raise ConfigError(
                f"the predictive entropy needs texts in each set, and at least one set; got {list(sets)}."
            )
        self.diffusion = diffusion
        self.times = tuple(times)
        self.seed = seed
        self.block = block
        self.corrupted = {
            name: [self._corrupt(name, items, k) for k in range(len(times))] for name, items in sets.items()
        }

    @property
    def settings(self) -> dict[str, Any]:
        """The diffusion times, the seed of the noise and the numbers of texts."""
        n_items = {name: len(by_time[0][0]) for name, by_time in self.corrupted.items()}
        return {"times": list(self.times), "seed": self.seed, "n_items": n_items}

    def measure(self, denoiser: Denoiser) -> Reading:
        """Ask at each time, under the same noise at every look."""
        with undisturbed(denoiser):
            return self._measure(denoiser)

    def _measure(self, denoiser: Denoiser) -> Reading:
        estimates: list[Estimate] = []
        for name, by_time in self.corrupted.items():
            influences = []
            for (xt, places), t in zip(by_time, self.times, strict=True):
                entropy = in_blocks(partial(self._entropy, denoiser, t), self.block, xt)
                influences.append(_mean_and_deviations(entropy, places))
                estimates.append(mean(f"{name}_entropy", influences[-1], t=t))
            # The same texts at all times: their deviations go together.
            estimates.append(mean(f"{name}_entropy", torch.stack(influences).mean(dim=0)))
        return Reading(tuple(estimates))

    def _corrupt(self, name: str, items: Items, k: int) -> tuple[Tokens, Bool[Tensor, "n *item"]]:
        noise = self.diffusion.noise(items, generator_for(self.seed, "predictive entropy", k, device=items.device))
        xt = self.diffusion.corrupt(items, torch.full((len(items),), self.times[k], device=items.device), noise)
        if not bool((places := xt != items).any()):
            raise ConfigError(
                f"at t = {self.times[k]:g} no symbol of the set '{name}' is corrupted; "
                "ask at a later time, or about more texts."
            )
        return items if isinstance(self.diffusion, AutoregressiveDiffusion) else xt, places

    def _entropy(self, denoiser: Denoiser, t: float, xt: Tokens) -> Float[Tensor, "n *item"]:
        log_x0 = predict(denoiser, xt, torch.full((len(xt),), t, device=xt.device), self.diffusion.vocabulary)
        entropy: Tensor = torch.special.entr(log_x0.double().exp()).sum(dim=-1)
        return entropy


def _mean_and_deviations(values: Float[Tensor, "n *item"], places: Bool[Tensor, "n *item"]) -> Float[Tensor, "n"]:
    """Give numbers, one for each item, whose mean is the mean over all places, and whose spread gives its error.

    The mean is a ratio of two sums over items, r = sum_i h_i / sum_i n_i with n_i places in item i; to first order,
    item i moves it as if r were the mean of r + (h_i - r n_i) / mean(n).
    """
    h, n = (torch.where(places, values, 0).flatten(1).sum(dim=1), places.flatten(1).sum(dim=1).double())
    ratio = h.sum() / n.sum()
    return ratio + (h - ratio * n) / n.mean()
