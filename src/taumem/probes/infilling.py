"""Extraction: half of a text is hidden; does the model put back what was there?

Of a text that was learned by heart, half is enough to find the rest. For masked diffusion of texts this shows copies
much earlier than samples from scratch do, which have to hit upon a training text first.
"""

import math
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from taumem.data.items import as_symbols
from taumem.diffusion import AutoregressiveDiffusion, Denoiser, Diffusion, MaskedDiffusion
from taumem.diffusion.keeping import time_when
from taumem.diffusion.tokens import Tokens, predict
from taumem.errors import ConfigError
from taumem.probes.isolation import undisturbed
from taumem.probes.probe import items_for, mean, share
from taumem.randomness import generator_for
from taumem.record import Estimate, Reading
from taumem.shapes import Items, Times

__all__ = ["Infilling", "Where", "infill"]

Where = Literal["random", "start", "middle", "end"]
"""Which part of a text is hidden: positions drawn at random, or one stretch of it."""

SURE = 0.99
"""Positions with a symbol of this probability are filled in together: all but independent of each other."""

ITEMS_AT_ONCE = 32
"""Texts that the model looks at together: on a CPU, larger batches take longer for each text."""


class Infilling:
    """Hides half of each text, and lets the model fill it in, always where it is surest.

    ``infill_copies``: of the training texts, the share that come back with at most a ``tolerance`` of the hidden
    symbols wrong; ``infill_copies_chance``: of held-out texts, under the same masks: what can be guessed. Both with
    their exact 95 % intervals, and with which texts these are: 1 or 0 for each. ``infill_accuracy`` and
    ``infill_accuracy_heldout``: the mean share of the hidden
    symbols that the model finds at its first look, from the visible ones alone. Nothing is drawn but the masks, which
    are the same at every look.

    An autoregressive model can only go on: of each text the end is hidden, and it is completed symbol by symbol, each
    the most probable one after all before it. Its accuracy is that of each hidden symbol after the true ones before it.

    A text is given up as soon as too many symbols are wrong, which changes no number and spares most of the time.

    Args:
        diffusion: masked or autoregressive diffusion; other corruptions do not say what is to be filled in.
        train: training texts [P, window], symbols; the first ``n_items`` are asked about.
        heldout: texts [n, window] that the model never saw; likewise.
        share_masked: of the positions that are hidden, in (0, 1); rounded to whole positions, at least one.
        where: which positions: drawn at random, or a stretch at the start, in the middle or at the end; always at the
            end of what is read from left to right.
        is_named: whether the quantities are told apart by place and share, as ``infill_copies[middle 0.5]``, so that
            several such probes can be asked in one monitor.
        tolerance: largest share of the hidden symbols that may be wrong in a copy, in [0, 1).
        n_items: how many texts of each set, at most.
        positions_per_step: as in :func:`infill`, and so is ``sure``. With 1 the probe is the most sensitive and the
            slowest: of 32 texts of 64 letters, half of them learned by heart, it found 48 %, with 2 41 % and with 4
            29 %, in 1.9, 1.0 and 0.6 s for 2 x 128 texts (0.25 million parameters, one core). Compare runs that were
            asked alike.
        seed: of the masks.

    Raises:
        ConfigError: a diffusion without a mask, no texts, texts of different shapes, or a number out of its range.
        DataError: texts that are no symbols of the diffusion's vocabulary.

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
        where: Where = "random",
        is_named: bool = False,
        tolerance: float = 0.05,
        n_items: int = 128,
        positions_per_step: int = 4,
        sure: float = SURE,
        seed: int = 0,
    ) -> None:
        if not isinstance(diffusion, MaskedDiffusion | AutoregressiveDiffusion):
            raise ConfigError(
                "infilling needs masked or autoregressive diffusion, where a mask says what is hidden; got "
                f"{type(diffusion).__name__}."
            )
        if not (0 < share_masked < 1 and 0 <= tolerance < 1 and n_items >= 1):
            raise ConfigError(
                "share_masked lies between 0 and 1, tolerance from 0 to below 1, and n_items is at least 1; got "
                f"{share_masked}, {tolerance} and {n_items}."
            )
        _check_pace(positions_per_step, sure)
        train, heldout = items_for(diffusion, train, "training texts"), items_for(diffusion, heldout, "held-out texts")
        if not len(train) or not len(heldout) or train.shape[1:] != heldout.shape[1:]:
            raise ConfigError(
                "infilling needs training and held-out texts of one length; got shapes "
                f"{tuple(train.shape)} and {tuple(heldout.shape)}."
            )
        self.diffusion = diffusion
        self.train, self.heldout = train[:n_items], heldout[:n_items]
        # What comes after is hidden from those that read from left to right, wherever the mask is asked for.
        self.where: Where = "end" if isinstance(diffusion, AutoregressiveDiffusion) else where
        self.share_masked = share_masked
        self.index = f"[{self.where} {share_masked:g}]" if is_named else ""
        self.tolerance = tolerance
        self.pace = (positions_per_step, sure)
        self.seed = seed
        n = max(len(self.train), len(self.heldout))
        self.hidden = _masks(n, train.shape[1], share_masked, self.where, seed).to(train.device)

    @property
    def settings(self) -> dict[str, Any]:
        """What is hidden and what may be wrong, the pace, the seed of the masks and the numbers of texts."""
        return {
            "share_masked": self.share_masked,
            **({} if self.where == "random" else {"where": self.where}),  # a record of before is what it was
            "tolerance": self.tolerance,
            "positions_per_step": self.pace[0],
            "sure": self.pace[1],
            "seed": self.seed,
            "n_items": {"train": len(self.train), "heldout": len(self.heldout)},
        }

    def measure(self, denoiser: Denoiser) -> Reading:
        """Fill in the texts of both sets."""
        with undisturbed(denoiser):
            known, found = self._fill_in(denoiser, self.train)
            guessed, found_heldout = self._fill_in(denoiser, self.heldout)
        return Reading(
            (
                _share(f"infill_copies{self.index}", known),
                _share(f"infill_copies_chance{self.index}", guessed),
                mean(f"infill_accuracy{self.index}", found),
                mean(f"infill_accuracy_heldout{self.index}", found_heldout),
            )
        )

    def _fill_in(self, denoiser: Denoiser, texts: Items) -> tuple[Bool[Tensor, "n"], Float[Tensor, "n"]]:
        """Say which texts come back, and what share of each one's hidden symbols is found at the first look."""
        hidden, mask = self.hidden[: len(texts)], self.diffusion.mask
        n_hidden = hidden.sum(dim=1).double()
        x = torch.where(hidden, mask, texts)
        asked = torch.arange(len(x), device=x.device)
        sureness, symbols = _look(self.diffusion, denoiser, x)
        from_the_rest = isinstance(self.diffusion, MaskedDiffusion)
        guessed = symbols if from_the_rest else _look(self.diffusion, denoiser, texts)[1]
        found = ((guessed == texts) & hidden).sum(dim=1) / n_hidden
        while True:
            x[asked] = torch.where(_surest(sureness, *self.pace), symbols, x[asked])
            recovered = ((x != texts) & (x != mask)).sum(dim=1) / n_hidden <= self.tolerance
            asked = (recovered & (x == mask).any(dim=1)).nonzero()[:, 0]
            if len(asked) == 0:
                return recovered, found
            sureness, symbols = _look(self.diffusion, denoiser, x[asked])


def _share(quantity: str, found: Bool[Tensor, "n"]) -> Estimate:
    """The share of texts that come back, and which: 1 and 0."""
    items = tuple(found.double().tolist())
    return share(quantity, int(found.sum()), len(found)).model_copy(update={"items": items})


def infill(
    diffusion: MaskedDiffusion | AutoregressiveDiffusion,
    denoiser: Denoiser,
    xt: Tokens,
    *,
    positions_per_step: int = 1,
    sure: float = SURE,
) -> Tokens:
    """Replace each mask by the symbol that the model finds most probable, where it is surest first.

    Autoregressive models fill in the first mask of a text first.

    Nothing is drawn. The model is told the time t at which, on average, as many positions are masked.

    Args:
        diffusion: says what the mask is, and when how much is masked.
        denoiser: the model.
        xt: texts with masks [n, window].
        positions_per_step: how many positions one look of the model fills in: with 1, each symbol knows all that came
            before it. So many more need proportionally fewer looks, and recover fewer texts.
        sure: positions with a symbol of at least this probability, in (0, 1], are filled in besides.

    Returns:
        Texts without masks [n, window].

    Raises:
        ConfigError: a number out of its range.
        DataError: texts that are no symbols of the diffusion's vocabulary, or its mask.
    """
    _check_pace(positions_per_step, sure)
    x = as_symbols(xt, "texts", vocabulary=diffusion.mask + 1).clone()
    with undisturbed(denoiser):
        while len(asked := (x == diffusion.mask).any(dim=1).nonzero()[:, 0]):
            sureness, symbols = _look(diffusion, denoiser, x[asked])
            x[asked] = torch.where(_surest(sureness, positions_per_step, sure), symbols, x[asked])
    return x


def _check_pace(positions_per_step: int, sure: float) -> None:
    if positions_per_step < 1 or not 0 < sure <= 1:
        raise ConfigError(
            "each look fills in at least 1 position per step, and those of a probability in (0, 1] that counts as "
            f"sure; got {positions_per_step} and {sure}."
        )


def _look(
    diffusion: MaskedDiffusion | AutoregressiveDiffusion, denoiser: Denoiser, x: Tokens
) -> tuple[Float[Tensor, "n window"], Tokens]:
    """Give the log-probability of the best symbol of each masked position (-inf of others), and that symbol.

    Behind its first mask an autoregressive model has nothing to say.
    """
    masked = x == diffusion.mask
    t = _times(diffusion, x.shape[1]).to(x.device)[masked.sum(dim=1)]
    parts = zip(torch.split(x, ITEMS_AT_ONCE), torch.split(t, ITEMS_AT_ONCE), strict=True)
    best = [predict(denoiser, *part, diffusion.vocabulary).max(dim=-1) for part in parts]
    sureness, symbols = (torch.cat(values) for values in zip(*best, strict=True))
    # A masked position comes before those that are known, whatever the model says.
    sureness = sureness.nan_to_num(nan=-math.inf).clamp(min=torch.finfo(sureness.dtype).min)
    if isinstance(diffusion, AutoregressiveDiffusion):
        masked &= masked.cumsum(dim=1) == 1
    return sureness.masked_fill(~masked, -math.inf), symbols


def _surest(sureness: Float[Tensor, "n window"], count: int, sure: float) -> Bool[Tensor, "n window"]:
    """Choose the ``count`` surest masked positions of each text (of equals the first), and all that are sure enough."""
    place = sureness.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (sureness > -math.inf) & ((place < count) | (sureness >= math.log(sure)))


def _times(diffusion: MaskedDiffusion | AutoregressiveDiffusion, positions: int) -> Times:
    """Give the time at which, on average, k of so many positions are masked, for k = 0, 1, ..."""
    return time_when(torch.arange(positions + 1, dtype=torch.float64) / positions, diffusion.schedule).float()


def _masks(n: int, positions: int, share_masked: float, where: Where, seed: int) -> Bool[Tensor, "n window"]:
    """Hide the same number of positions of each text."""
    n_hidden = max(1, round(share_masked * positions))
    if where == "random":
        # On the CPU, so that the masks are the same wherever the model is.
        order = torch.rand((n, positions), generator=generator_for(seed, "infilling")).argsort(dim=1)
    else:
        first = {"start": 0, "middle": (positions - n_hidden) // 2, "end": positions - n_hidden}[where]
        order = (torch.arange(positions) + first).expand(n, -1) % positions
    return torch.zeros(order.shape, dtype=torch.bool).scatter(1, order[:, :n_hidden], True)
