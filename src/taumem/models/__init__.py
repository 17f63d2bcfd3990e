"""Denoisers: networks, and exact optima."""

from taumem.models.autoencoder import Autoencoder
from taumem.models.belief import BeliefDenoiser, Beliefs, propagate
from taumem.models.categorical import Categorical, OneHot
from taumem.models.empirical import EmpiricalDenoiser
from taumem.models.mixture import MixtureDenoiser
from taumem.models.mlp import MLP
from taumem.models.ngram import KneserNey, fit_ngram
from taumem.models.precondition import Preconditioned
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
    "KneserNey",
    "MixtureDenoiser",
    "OneHot",
    "Preconditioned",
    "Transformer",
    "TreeUNet",
    "UNet",
    "fit_ngram",
    "propagate",
]
