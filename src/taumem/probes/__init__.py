"""Questions to a model in training, which change nothing about it."""

from taumem.probes.agreement import Agreement
from taumem.probes.copies import Copies
from taumem.probes.empirical_gap import EmpiricalGap
from taumem.probes.grammar_levels import GrammarLevels
from taumem.probes.loss_gap import LossGap, SymmetricGap
from taumem.probes.membership import membership
from taumem.probes.probe import ItemLoss, Probe, SampleProbe, Sampler, share

__all__ = [
    "Agreement",
    "Copies",
    "EmpiricalGap",
    "GrammarLevels",
    "ItemLoss",
    "LossGap",
    "Probe",
    "SampleProbe",
    "Sampler",
    "SymmetricGap",
    "membership",
    "share",
]
