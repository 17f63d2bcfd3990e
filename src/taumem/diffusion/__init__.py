"""Corruption and its reversal."""

from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.diffusion import Diffusion, stratified_times
from taumem.diffusion.gaussian import GaussianDiffusion
from taumem.diffusion.sampling import sample
from taumem.diffusion.schedules import Cosine, Linear, Schedule

__all__ = [
    "Cosine",
    "Denoiser",
    "Diffusion",
    "GaussianDiffusion",
    "Linear",
    "Schedule",
    "sample",
    "stratified_times",
]
