"""Denoisers: networks, and exact optima."""

from taumem.models.empirical import EmpiricalDenoiser
from taumem.models.mixture import MixtureDenoiser
from taumem.models.mlp import MLP
from taumem.models.precondition import Preconditioned
from taumem.models.unet import UNet

__all__ = ["MLP", "EmpiricalDenoiser", "MixtureDenoiser", "Preconditioned", "UNet"]
