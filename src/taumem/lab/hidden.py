"""What a laboratory's run asks for hidden memorization: the probes, from what its domain says of copies."""

from dataclasses import replace

from taumem.data import Split
from taumem.diffusion import MaskedDiffusion
from taumem.errors import ConfigError
from taumem.lab.domain import Asked, Domain
from taumem.probes import CountsCopies, Cycling, Infilling, Probe, Restore, SampleProbe, Sampler, UTurns
from taumem.probes.infilling import Where

__all__ = ["hidden_probes"]

PLACES: tuple[tuple[Where, float], ...] = (("start", 0.5), ("middle", 0.5), ("end", 0.5), ("random", 0.75))
"""Of texts, which part is hidden besides a random half, and which share."""
AT_ONCE = 2
"""Hidden symbols of a text that are filled in at once, as in the domain of texts."""


def hidden_probes(asked: Asked, domain: Domain, sampler: Sampler, restore: Restore) -> list[Probe]:
    """Ask for copies among samples that were sent around, for U-turns, and of texts for what else can be called up.

    Copies are counted by the domain's own probe; chance by the same probe with held-out items in the place of the
    training items, as many if there are.

    Args:
        asked: what probes are made from.
        domain: says which probe counts copies.
        sampler: draws samples.
        restore: brings corrupted items back.

    Raises:
        ConfigError: the domain counts no copies.
    """
    split, seed = asked.split, asked.seed
    n = min(len(split.train), len(split.heldout))
    copies = _counting(domain, split)
    phantoms = _counting(domain, replace(split, train=split.heldout[:n], heldout=split.train))
    assert isinstance(copies, CountsCopies)
    rule = copies.copy_rule
    times_more = 1.0 if rule.measure == "gap_ratio" else len(split.train) / n
    found: list[Probe] = [
        Cycling(asked.diffusion, sampler, restore, copies, phantoms, times_more=times_more, seed=seed),
        UTurns(asked.diffusion, split.train, split.heldout, restore, rule=rule, n_items=asked.n_items, seed=seed),
    ]
    if rule.measure in ("hamming", "edit_distance") and isinstance(asked.diffusion, MaskedDiffusion):
        found += [
            Infilling(
                asked.diffusion,
                split.train,
                split.heldout,
                share_masked=share,
                where=where,
                is_named=True,
                n_items=asked.n_items,
                positions_per_step=AT_ONCE,
                seed=seed,
            )
            for where, share in PLACES
        ]
    return found


def _counting(domain: Domain, split: Split) -> SampleProbe:
    """The probe that counts copies of a training set."""
    for probe in domain.sample_probes(split):
        if isinstance(probe, CountsCopies):
            return probe
    raise ConfigError(
        "monitor.hidden counts copies by the probe of the data's own that does; these data have none "
        "(a sample probe with a copy_rule)."
    )
