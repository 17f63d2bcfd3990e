"""Questions to a model in training, which change nothing about it."""

from taumem.probes.agreement import Agreement
from taumem.probes.attacks import PIA, Attack, AveragedLoss, MembershipAttacks, SecMI, usual_attacks
from taumem.probes.copies import Copies
from taumem.probes.coverage import Coverage
from taumem.probes.cycling import Cycling, Restore, cycle
from taumem.probes.empirical_gap import EmpiricalGap
from taumem.probes.fid import FIDAndKID
from taumem.probes.grammar_levels import GrammarLevels
from taumem.probes.image_quality import ImageQuality
from taumem.probes.infilling import Infilling, infill
from taumem.probes.likelihood import BitsPerSymbol
from taumem.probes.loss_gap import LossGap, SymmetricGap
from taumem.probes.membership_inference import membership
from taumem.probes.motif_use import MotifUse
from taumem.probes.novelty import CanonicalForm, Novelty
from taumem.probes.part_copies import PartCopies
from taumem.probes.predictive_entropy import PredictiveEntropy
from taumem.probes.probe import CountsCopies, ItemLoss, Probe, SampleProbe, Sampler, share
from taumem.probes.quality import TextQuality, whole_words
from taumem.probes.spectrum import GradientSpectrum, gradient_spectrum
from taumem.probes.text_copies import TextCopies
from taumem.probes.true_membership import TrueMembership
from taumem.probes.uturns import UTurns

__all__ = [
    "PIA",
    "Agreement",
    "Attack",
    "AveragedLoss",
    "BitsPerSymbol",
    "CanonicalForm",
    "Copies",
    "CountsCopies",
    "Coverage",
    "Cycling",
    "EmpiricalGap",
    "FIDAndKID",
    "GradientSpectrum",
    "GrammarLevels",
    "ImageQuality",
    "Infilling",
    "ItemLoss",
    "LossGap",
    "MembershipAttacks",
    "MotifUse",
    "Novelty",
    "PartCopies",
    "PredictiveEntropy",
    "Probe",
    "Restore",
    "SampleProbe",
    "Sampler",
    "SecMI",
    "SymmetricGap",
    "TextCopies",
    "TextQuality",
    "TrueMembership",
    "UTurns",
    "cycle",
    "gradient_spectrum",
    "infill",
    "membership",
    "share",
    "usual_attacks",
    "whole_words",
]
