"""Extraction: half of a text is hidden; does the model put back what was there?

Of a text that was learned by heart, half is enough to find the rest. For masked diffusion of texts this shows copies
much earlier than samples from scratch do, which have to hit upon a training text first.
"""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from taumem.diffusion import Denoiser, Diffusion, MaskedDiffusion
from taumem.diffusion.masked import _time_when as time_when
from taumem.diffusion.tokens import Tokens, predict
from taumem.errors import ConfigError
from taumem.probes.probe import mean, share
from taumem.randomness import generator_for
from taumem.record import Reading
from taumem.shapes import Items

__all__ = ["Infilling", "infill"]

ITEMS_AT_ONCE = 32
"""Texts filled in together: on a CPU, larger batches take longer for each text."""


class Infilling:
    """Hides half of each text, and lets the model fill it in, always where it is surest.

    ``infill_copies``: of the training texts, the share that come back with at most a ``tolerance`` of the hidden
    symbols wrong; ``infill_copies_chance``: of held-out texts, under the same masks: what can be guessed. Both with
    their exact 95 % intervals. ``infill_accuracy`` and ``infill_accuracy_heldout``: the mean share of the hidden
    symbols that are found. Nothing is drawn but the masks, which are the same at every look.

    Args:
        diffusion: masked diffusion; other corruptions do not say what is to be filled in.
        train: training texts [P, window], symbols; the first ``n_items`` are asked about.
        heldout: texts [n, window] that the model never saw; likewise.
        share_masked: of the positions that are hidden, in (0, 1); rounded to whole positions, at least one.
        tolerance: largest share of the hidden symbols that may be wrong in a copy, in [0, 1).
        n_items: how many texts of each set, at most.
        positions_per_step: positions that one look of the model fills in. 1 is exact: each symbol knows all earlier
            ones. More take proportionally less time.
        seed: of the masks.

    Raises:
        ConfigError: a diffusion without a mask, no texts, texts of different shapes, or a number out of its range.

    Reference: Carlini et al. 2023, arXiv 2202.07646 (extraction: given a part of a text, is the rest verbatim?); Kim
    et al. 2025, arXiv 2502.06768 (masked diffusion: where it is surest first).
    """

    def __init__(
        self,
        diffusion: Diffusion,
        train: Items,
        heldout: Items,
        *,
        share_masked: float = 0.5,
        tolerance: float = 0.05,
        n_items: int = 128,
        positions_per_step: int = 8,
        seed: int = 0,
    ) -> None:
        if not isinstance(diffusion, MaskedDiffusion):
            raise ConfigError(
                f"infilling needs masked diffusion, where a mask says what is hidden; got {type(diffusion).__name__}."
            )
        if not (0 < share_masked < 1 and 0 <= tolerance < 1):
            raise ConfigError(
                "share_masked lies between 0 and 1, and tolerance from 0 to below 1; got "
                f"{share_masked} and {tolerance}."
            )
        if n_items < 1 or positions_per_step < 1:
            raise ConfigError(
                f"n_items and positions_per_step must be at least 1; got {n_items} and {positions_per_step}."
            )
        if not len(train) or not len(heldout) or train.shape[1:] != heldout.shape[1:]:
            raise ConfigError(
                "infilling needs training and held-out texts of one length; got shapes "
                f"{tuple(train.shape)} and {tuple(heldout.shape)}."
            )
        self.diffusion = diffusion
        self.train, self.heldout = train[:n_items], heldout[:n_items]
        self.tolerance = tolerance
        self.positions_per_step = positions_per_step
        n = max(len(self.train), len(self.heldout))
        self.hidden = _masks(n, train.shape[1:], share_masked, seed).to(train.device)

    def measure(self, denoiser: Denoiser, generator: Generator) -> Reading:
        """Fill in the texts of both sets; the generator is not used."""
        known, unknown = (self._found(denoiser, texts) for texts in (self.train, self.heldout))
        return Reading(
            (
                share("infill_copies", self._count(known), len(known)),
                share("infill_copies_chance", self._count(unknown), len(unknown)),
                mean("infill_accuracy", known),
                mean("infill_accuracy_heldout", unknown),
            )
        )

    def _found(self, denoiser: Denoiser, texts: Items) -> Float[Tensor, "n"]:
        """The share of each text's hidden symbols that the model finds."""
        hidden = self.hidden[: len(texts)]
        xt = torch.where(hidden, self.diffusion.mask, texts)
        parts = [infill(self.diffusion, denoiser, x, self.positions_per_step) for x in torch.split(xt, ITEMS_AT_ONCE)]
        right = (torch.cat(parts) == texts) & hidden
        return right.flatten(1).sum(dim=1).double() / hidden.flatten(1).sum(dim=1)

    def _count(self, found: Float[Tensor, "n"]) -> int:
        # Rounded, so that 1 - 0.95 is no more than a tolerance of 0.05.
        return int(((1 - found).round(decimals=12) <= self.tolerance).sum())


@torch.no_grad()
def infill(diffusion: MaskedDiffusion, denoiser: Denoiser, xt: Tokens, positions_per_step: int = 1) -> Tokens:
    """Replace each mask by the symbol that the model finds most probable, where it is surest first.

    Nothing is drawn. The model is told the time t at which, on average, as many positions are masked.

    Args:
        diffusion: says what the mask is, and when how much is masked.
        denoiser: the model.
        xt: texts with as many masks in each [batch, ...].
        positions_per_step: how many positions one look of the model fills in, at least 1.

    Returns:
        Texts without masks [batch, ...].

    Raises:
        ConfigError: texts with unequal numbers of masks.
    """
    x = xt.flatten(1)
    counts = (x == diffusion.mask).sum(dim=1)
    if len(x) == 0 or bool((counts != counts[0]).any()):
        raise ConfigError("texts that are filled in together need equal numbers of masks, and at least one text.")
    for left in range(int(counts[0]), 0, -positions_per_step):
        t = torch.full((len(x),), time_when(left / x.shape[1], diffusion.schedule), device=x.device)
        log_x0 = predict(denoiser, x.reshape(xt.shape), t, diffusion.vocabulary).flatten(1, -2)
        sureness, symbols = log_x0.max(dim=-1)
        # Never below a position that is known already, whatever the model says.
        sureness = sureness.clamp(min=torch.finfo(sureness.dtype).min)
        sureness = sureness.masked_fill(x != diffusion.mask, -torch.inf)
        surest = sureness.argsort(dim=1, descending=True, stable=True)[:, : min(positions_per_step, left)]
        x = x.scatter(1, surest, symbols.gather(1, surest))
    return x.reshape(xt.shape)


def _masks(n: int, item_shape: tuple[int, ...], share_masked: float, seed: int) -> Bool[Tensor, "n *item"]:
    """Hide the same number of positions of each text, drawn at random."""
    # On the CPU, so that the masks are the same wherever the model is.
    order = torch.rand((n, torch.Size(item_shape).numel()), generator=generator_for(seed, "infilling")).argsort(dim=1)
    n_hidden = max(1, round(share_masked * order.shape[1]))
    hidden = torch.zeros(order.shape, dtype=torch.bool).scatter(1, order[:, :n_hidden], True)
    return hidden.reshape(n, *item_shape)
