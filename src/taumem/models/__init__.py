"""Denoisers: networks, and exact optima."""

from taumem.models.autoencoder import Autoencoder
from taumem.models.belief import BeliefDenoiser, Beliefs, propagate
from taumem.models.categorical import Categorical, OneHot
from taumem.models.empirical import EmpiricalDenoiser
from taumem.models.gradient_flow import GradientFlow, Moments
from taumem.models.mixture import MixtureDenoiser
from taumem.models.mlp import MLP
from taumem.models.ngram import KneserNey, fit_ngram
from taumem.models.precondition import Preconditioned
from taumem.models.sine_features import SineFeatures, moments_of_draws, moments_of_items, moments_of_mixture
from taumem.models.transformer import Transformer
from taumem.models.tree import TreeUNet
from taumem.models.unet import UNet

__all__ = [
    "MLP",
    "Autoencoder",
    "BeliefDenoiser",
    "Beliefs",
    "Categorical",
    "EmpiricalDenoiser",
    "GradientFlow",
    "KneserNey",
    "MixtureDenoiser",
    "Moments",
    "OneHot",
    "Preconditioned",
    "SineFeatures",
    "Transformer",
    "TreeUNet",
    "UNet",
    "fit_ngram",
    "moments_of_draws",
    "moments_of_items",
    "moments_of_mixture",
    "propagate",
]
