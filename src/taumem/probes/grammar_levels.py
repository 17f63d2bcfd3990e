"""How far the samples of a grammar's model obey the grammar, and whether they are training strings."""

from typing import Any

import torch

from taumem.data import RandomHierarchyModel
from taumem.data.items import as_items, as_symbols
from taumem.probes.probe import share
from taumem.record import CopyRule, Estimate, Reading
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

    Raises:
        DataError: no training strings; strings or samples that are not of the grammar's length and symbols.

    Reference: Favero et al. 2025, arXiv 2505.16959, section 5.
    """

    def __init__(self, grammar: RandomHierarchyModel, train: Items, *, keep: int = 32) -> None:
        self.grammar = grammar
        self.strings = as_items(
            as_symbols(train, "training strings", vocabulary=grammar.v), "training strings", least=1
        )
        self.train = set(map(tuple, self.strings.tolist()))
        self.share_of_language = float(grammar.log_prob(torch.tensor(sorted(self.train))).exp().sum())
        self.keep = keep

    @property
    def copy_rule(self) -> CopyRule:
        """A copy is a training string."""
        return CopyRule(measure="identical", threshold=0)

    @property
    def settings(self) -> dict[str, Any]:
        """How many distinct training strings there are."""
        return {"n_items": {"train": len(self.train)}}

    def measure(self, samples: Items) -> Reading:
        """Parse the samples and count the copies."""
        samples = as_symbols(samples, "samples", vocabulary=self.grammar.v, like=self.strings).cpu()
        reached = self.grammar.levels(samples).reached
        copied = torch.tensor([tuple(string) in self.train for string in samples.tolist()])
        valid = reached == self.grammar.L
        valid_up_to = [
            share(f"valid[{grammar_level}]", int((reached >= grammar_level).sum()), len(samples))
            for grammar_level in range(1, self.grammar.L + 1)
        ]
        return Reading(
            (
                *valid_up_to,
                share("copy_fraction", int(copied.sum()), len(samples)),
                self._chance(valid_up_to[-1]),
                share("novel_valid", int((valid & ~copied).sum()), len(samples)),
            ),
            {
                "samples": samples[: self.keep].short().numpy(),
                "level": reached[: self.keep].byte().numpy(),
                "copied": copied[: self.keep].numpy(),
            },
        )

    def _chance(self, valid: Estimate) -> Estimate:
        """Scale the share of valid samples, and its interval, by the training strings' share of the language."""
        scaled = {end: self.share_of_language * getattr(valid, end) for end in ("value", "low", "high")}
        return valid.model_copy(update={"quantity": "copy_fraction_chance", **scaled})
