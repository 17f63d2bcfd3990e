"""Questions to a model in training, which change nothing about it."""

from taumem.probes.agreement import Agreement
from taumem.probes.copies import Copies
from taumem.probes.empirical_gap import EmpiricalGap
from taumem.probes.fid import FIDAndKID
from taumem.probes.gradient_spectrum import GradientSpectrum, gradient_spectrum
from taumem.probes.grammar_levels import GrammarLevels
from taumem.probes.image_quality import ImageQuality
from taumem.probes.infilling import Infilling, infill
from taumem.probes.likelihood import BitsPerSymbol
from taumem.probes.loss_gap import LossGap, SymmetricGap
from taumem.probes.membership_inference import membership
from taumem.probes.novelty import CanonicalForm, Novelty
from taumem.probes.predictive_entropy import PredictiveEntropy
from taumem.probes.probe import CountsCopies, ItemLoss, Probe, SampleProbe, Sampler, share
from taumem.probes.quality import TextQuality, whole_words
from taumem.probes.text_copies import TextCopies

__all__ = [
    "Agreement",
    "BitsPerSymbol",
    "CanonicalForm",
    "Copies",
    "CountsCopies",
    "EmpiricalGap",
    "FIDAndKID",
    "GradientSpectrum",
    "GrammarLevels",
    "ImageQuality",
    "Infilling",
    "ItemLoss",
    "LossGap",
    "Novelty",
    "PredictiveEntropy",
    "Probe",
    "SampleProbe",
    "Sampler",
    "SymmetricGap",
    "TextCopies",
    "TextQuality",
    "gradient_spectrum",
    "infill",
    "membership",
    "share",
    "whole_words",
]
