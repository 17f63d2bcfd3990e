"""How far the samples of a grammar's model obey the grammar, and whether they are training strings."""

import torch

from taumem.data import RandomHierarchyModel
from taumem.diffusion import Denoiser
from taumem.probes.probe import share
from taumem.record import Estimate, Reading
from taumem.shapes import Items

__all__ = ["GrammarLevels"]


class GrammarLevels:
    """Parses samples, and looks them up in the training set. All shares come with their exact 95 % intervals.

    ``valid[1]`` ... ``valid[L]``: of samples that parse up to each level. ``copy_fraction``: of samples that are
    training strings. ``copy_fraction_chance``: what that would be if the valid samples were drawn from the grammar
    itself: P / P_max of them (by probability, where strings differ in it). ``novel_valid``: of samples that are in the
    language and no training strings.

    Args:
        grammar: of the training strings.
        train: training strings [P, d].
        keep: how many samples to keep in the record, with the level that each reaches and whether it is a copy.

    Reference: Favero et al. 2025, arXiv 2505.16959, section 5.
    """

    def __init__(self, grammar: RandomHierarchyModel, train: Items, *, keep: int = 32) -> None:
        self.grammar = grammar
        self.train = set(map(tuple, train.tolist()))
        self.share_of_language = float(grammar.log_prob(torch.tensor(sorted(self.train))).exp().sum())
        self.keep = keep

    def measure(self, samples: Items, denoiser: Denoiser, generator: torch.Generator) -> Reading:
        """Parse the samples and count the copies; neither the denoiser nor the generator is used."""
        samples = samples.cpu()
        reached = self.grammar.levels(samples).reached
        copied = torch.tensor([tuple(string) in self.train for string in samples.tolist()])
        valid = reached == self.grammar.L
        levels = [share(f"valid[{level}]", int((reached >= level).sum()), len(samples)) for level in self._levels]
        return Reading(
            (
                *levels,
                share("copy_fraction", int(copied.sum()), len(samples)),
                self._chance(levels[-1]),
                share("novel_valid", int((valid & ~copied).sum()), len(samples)),
            ),
            {
                "samples": samples[: self.keep].short().numpy(),
                "level": reached[: self.keep].byte().numpy(),
                "copied": copied[: self.keep].numpy(),
            },
        )

    @property
    def _levels(self) -> range:
        return range(1, self.grammar.L + 1)

    def _chance(self, valid: Estimate) -> Estimate:
        """Scale the share of valid samples, and its interval, by the training strings' share of the language."""
        scaled = {end: self.share_of_language * getattr(valid, end) for end in ("value", "low", "high")}
        return valid.model_copy(update={"quantity": "copy_fraction_chance", **scaled})
