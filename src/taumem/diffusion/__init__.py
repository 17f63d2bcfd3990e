"""Corruption and its reversal."""

from taumem.diffusion.autoregressive import AutoregressiveDiffusion
from taumem.diffusion.denoiser import Denoiser
from taumem.diffusion.diffusion import Diffusion, stratified_times
from taumem.diffusion.gaussian import GaussianDiffusion
from taumem.diffusion.keeping import CosineKeeping, KeepSchedule, LinearBetas, Polynomial
from taumem.diffusion.learned_variance import LearnedVariance
from taumem.diffusion.masked import MaskedDiffusion, complete_in_any_order, cosine_grid, sample_in_any_order
from taumem.diffusion.sampling import denoise, sample
from taumem.diffusion.schedules import Cosine, Exploding, Flow, Linear, Schedule
from taumem.diffusion.uniform import UniformDiffusion

__all__ = [
    "AutoregressiveDiffusion",
    "Cosine",
    "CosineKeeping",
    "Denoiser",
    "Diffusion",
    "Exploding",
    "Flow",
    "GaussianDiffusion",
    "KeepSchedule",
    "LearnedVariance",
    "Linear",
    "LinearBetas",
    "MaskedDiffusion",
    "Polynomial",
    "Schedule",
    "TokenDiffusion",
    "UniformDiffusion",
    "complete_in_any_order",
    "cosine_grid",
    "denoise",
    "sample",
    "sample_in_any_order",
    "stratified_times",
]

TokenDiffusion = MaskedDiffusion | UniformDiffusion | AutoregressiveDiffusion
"""Those of tokens: each has a vocabulary, a schedule, and symbols that xt may have, a mask among them or none."""
