"""The diffusion processes that several domains share: the configs, beside what they build and how samples are drawn."""

from dataclasses import replace
from functools import partial
from typing import Literal, Self

from pydantic import Field, model_validator

from taumem.diffusion import (
    AutoregressiveDiffusion,
    Cosine,
    CosineKeeping,
    Diffusion,
    Exploding,
    Flow,
    GaussianDiffusion,
    KeepSchedule,
    LearnedVariance,
    Linear,
    LinearBetas,
    MaskedDiffusion,
    Polynomial,
    Schedule,
    UniformDiffusion,
    complete_in_any_order,
    cosine_grid,
    sample,
    sample_in_any_order,
)
from taumem.lab.sections import DiffusionConfig, Draw
from taumem.probes import Restore

__all__ = ["AutoregressiveConfig", "GaussianConfig", "MaskedConfig", "UniformConfig"]

_SCHEDULES: dict[str, Schedule] = {"cosine": Cosine(), "linear": Linear(), "flow": Flow(), "exploding": Exploding()}
_KEEPING: dict[str, KeepSchedule] = {
    "linear": Polynomial(),
    "cosine": CosineKeeping(),
    "linear-betas": LinearBetas(),
}


class GaussianConfig(DiffusionConfig):
    """Gaussian diffusion; see :class:`taumem.diffusion.GaussianDiffusion`."""

    kind: Literal["gaussian"] = "gaussian"
    schedule: Literal["cosine", "linear", "flow", "exploding"] = "cosine"
    """``flow``: the straight lines of flow matching; ``exploding``: noise that grows over the data."""
    weighting: Literal["eps", "v", "x0"] = "v"
    """Which squared error is the loss; the network predicts the same quantity."""
    eta: float = Field(default=0.0, ge=0, le=1)
    """Randomness of sampling: 0 for DDIM, 1 for ancestral."""
    only_at: float | None = Field(default=None, gt=0, lt=1)
    """The one diffusion time of training and of the losses; None for all. From one time no sample can be drawn."""
    learned_variance: bool = False
    """Whether the network also predicts the variances of ancestral steps; see
    :class:`taumem.diffusion.LearnedVariance`. What is measured is the simple loss either way."""
    vlb_weight: float = Field(default=1e-3, ge=0, le=1e6)
    """Of the variational bound in the loss of training, where variances are learned."""
    vlb_steps: int = Field(default=4000, ge=2, le=1_000_000)
    """Steps of the process that is bound."""

    @model_validator(mode="after")
    def _variances_are_those_of_ancestral_sampling(self) -> Self:
        if self.learned_variance and self.eta != 1:
            raise ValueError(f"learned_variance is that of ancestral sampling; set eta = 1 (it is {self.eta:g})")
        if self.learned_variance and self.only_at is not None:
            raise ValueError("learned_variance is that of steps between times; only_at is one time")
        return self

    def build(self, vocabulary: int | None) -> GaussianDiffusion:
        """Make the process, with the loss that is measured."""
        schedule = _SCHEDULES[self.schedule]
        if self.learned_variance:
            return LearnedVariance(schedule, self.weighting, n_steps=self.vlb_steps)
        if self.only_at is not None:
            return GaussianDiffusion(schedule, self.weighting, self.eta, t_min=self.only_at, t_max=self.only_at)
        return GaussianDiffusion(schedule, self.weighting, self.eta)

    def objective(self, diffusion: Diffusion) -> Diffusion:
        """Add the bound to the loss, where variances are learned."""
        if isinstance(diffusion, LearnedVariance):
            return replace(diffusion, vlb_weight=self.vlb_weight)
        return diffusion

    def build_sampler(self, diffusion: Diffusion, steps: int) -> Draw:
        """Make the function that draws samples step by step."""
        return partial(sample, diffusion, steps=steps)


class MaskedConfig(DiffusionConfig):
    """Masked diffusion of tokens; see :class:`taumem.diffusion.MaskedDiffusion`."""

    kind: Literal["masked"]
    schedule: Literal["linear", "polynomial", "cosine"] = "linear"
    """How the share of symbols that are kept falls with the diffusion time."""
    exponent: float = Field(default=1.0, ge=0.5, le=4)
    """Of the ``polynomial`` schedule, which keeps a share 1 - t^exponent; small times hide little if it is large."""
    weighting: Literal["elbo", "x0"] = "elbo"
    """The bound on the likelihood, or the plain cross-entropy of the masked symbols."""
    t_min: float = Field(default=1e-3, gt=0, lt=1)
    """The smallest diffusion time of the loss, whose weight under ``elbo`` is 1/t."""
    sampler: Literal["any-order", "cosine-grid"] = "any-order"
    """One symbol after another, which is exact; or ``monitor.sampling_steps`` steps of several symbols each."""

    @model_validator(mode="after")
    def _exponent_is_of_the_polynomial(self) -> "MaskedConfig":
        if self.exponent != 1 and self.schedule != "polynomial":
            raise ValueError(f"exponent {self.exponent} is for schedule 'polynomial'; got schedule '{self.schedule}'")
        return self

    def build(self, vocabulary: int | None) -> MaskedDiffusion:
        """Make the process."""
        keeping = Polynomial(self.exponent) if self.schedule == "polynomial" else _KEEPING[self.schedule]
        return MaskedDiffusion(vocabulary or 0, keeping, self.weighting, self.t_min)

    def build_sampler(self, diffusion: Diffusion, steps: int) -> Draw:
        """Make the function that draws samples: symbol by symbol, whatever the steps, or several in each step."""
        assert isinstance(diffusion, MaskedDiffusion)
        if self.sampler == "any-order":
            return partial(sample_in_any_order, diffusion)
        return partial(sample, diffusion, times=cosine_grid(diffusion.schedule, steps))

    def build_restore(self, diffusion: Diffusion, steps: int) -> Restore:
        """Make the function that finds masked symbols again: one after another, or several in each step."""
        assert isinstance(diffusion, MaskedDiffusion)
        if self.sampler != "any-order":
            return super().build_restore(diffusion, steps)
        return lambda denoiser, xt, _, generator: complete_in_any_order(diffusion, denoiser, xt, generator)


class UniformConfig(DiffusionConfig):
    """Uniform diffusion of tokens; see :class:`taumem.diffusion.UniformDiffusion`."""

    kind: Literal["uniform"]
    schedule: Literal["linear", "cosine", "linear-betas"] = "linear"
    """``linear-betas``: the discrete one of the grammar's authors, 200 steps."""
    weighting: Literal["x0", "kl"] = "x0"
    """The cross-entropy of the clean symbols, or the divergence of a step's posterior."""
    steps: int | None = Field(default=None, ge=1)
    """Of the ``kl`` loss; None takes those of ``linear-betas``."""

    def build(self, vocabulary: int | None) -> UniformDiffusion:
        """Make the process."""
        return UniformDiffusion(vocabulary or 0, _KEEPING[self.schedule], self.weighting, self.steps)

    def build_sampler(self, diffusion: Diffusion, steps: int) -> Draw:
        """Make the function that draws samples step by step."""
        return partial(sample, diffusion, steps=steps)


class AutoregressiveConfig(DiffusionConfig):
    """Text from left to right; see :class:`taumem.diffusion.AutoregressiveDiffusion`. It has no keys of its own.

    Training takes the loss of all positions; what is measured at a diffusion time t is that of the last share t.
    """

    kind: Literal["autoregressive"]

    def build(self, vocabulary: int | None) -> AutoregressiveDiffusion:
        """Make the process, with the loss that is measured."""
        return AutoregressiveDiffusion(vocabulary or 0, weighting="hidden")

    def objective(self, diffusion: Diffusion) -> Diffusion:
        """Take the loss of all positions."""
        assert isinstance(diffusion, AutoregressiveDiffusion)
        return replace(diffusion, weighting="all")

    def build_sampler(self, diffusion: Diffusion, steps: int) -> Draw:
        """Make the function that draws samples symbol by symbol, whatever the steps."""
        return partial(sample, diffusion, steps=1)
