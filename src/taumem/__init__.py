"""taumem: when does a diffusion model start to memorize? Measure it, forecast it, stop in time.

The names below are the public surface. Each is imported from its home when it is first used, so that ``import taumem``
is instant and torch is loaded only by what needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "taumem.analysis": ["Interval", "Law", "Onset", "PhaseDiagram", "find_onsets", "fit_law"],
    "taumem.data": [
        "GaussianMixture",
        "RandomHierarchyModel",
        "Split",
        "load_fashion_mnist",
        "load_images",
        "load_text",
        "resize",
    ],
    "taumem.diffusion": [
        "Cosine",
        "Denoiser",
        "Diffusion",
        "GaussianDiffusion",
        "Linear",
        "MaskedDiffusion",
        "UniformDiffusion",
        "cosine_grid",
        "sample",
        "sample_in_any_order",
    ],
    "taumem.errors": ["ConfigError", "DataError", "RecordError", "TaumemError", "TaumemWarning"],
    "taumem.lab": ["Experiment", "load_experiment", "sweep"],
    "taumem.models": [
        "MLP",
        "BeliefDenoiser",
        "Categorical",
        "EmpiricalDenoiser",
        "MixtureDenoiser",
        "Preconditioned",
        "Transformer",
        "TreeUNet",
        "UNet",
    ],
    "taumem.monitor": ["LogCadence", "Monitor"],
    "taumem.neighbors": ["distinct_items", "gap_ratio", "nearest"],
    "taumem.probes": ["Agreement", "Copies", "EmpiricalGap", "GrammarLevels", "LossGap", "SymmetricGap"],
    "taumem.record": ["Curve", "DataFacts", "Estimate", "Measurement", "RunHeader", "RunRecord", "read_runs"],
    "taumem.report": ["write_report"],
    "taumem.training": ["Learner", "Member", "Step", "load_checkpoint", "save_checkpoint", "train", "train_together"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]

if TYPE_CHECKING:
    from taumem.analysis import Interval as Interval
    from taumem.analysis import Law as Law
    from taumem.analysis import Onset as Onset
    from taumem.analysis import PhaseDiagram as PhaseDiagram
    from taumem.analysis import find_onsets as find_onsets
    from taumem.analysis import fit_law as fit_law
    from taumem.data import GaussianMixture as GaussianMixture
    from taumem.data import RandomHierarchyModel as RandomHierarchyModel
    from taumem.data import Split as Split
    from taumem.data import load_fashion_mnist as load_fashion_mnist
    from taumem.data import load_images as load_images
    from taumem.data import load_text as load_text
    from taumem.data import resize as resize
    from taumem.diffusion import Cosine as Cosine
    from taumem.diffusion import Denoiser as Denoiser
    from taumem.diffusion import Diffusion as Diffusion
    from taumem.diffusion import GaussianDiffusion as GaussianDiffusion
    from taumem.diffusion import Linear as Linear
    from taumem.diffusion import MaskedDiffusion as MaskedDiffusion
    from taumem.diffusion import UniformDiffusion as UniformDiffusion
    from taumem.diffusion import cosine_grid as cosine_grid
    from taumem.diffusion import sample as sample
    from taumem.diffusion import sample_in_any_order as sample_in_any_order
    from taumem.errors import ConfigError as ConfigError
    from taumem.errors import DataError as DataError
    from taumem.errors import RecordError as RecordError
    from taumem.errors import TaumemError as TaumemError
    from taumem.errors import TaumemWarning as TaumemWarning
    from taumem.lab import Experiment as Experiment
    from taumem.lab import load_experiment as load_experiment
    from taumem.lab import sweep as sweep
    from taumem.models import MLP as MLP
    from taumem.models import BeliefDenoiser as BeliefDenoiser
    from taumem.models import Categorical as Categorical
    from taumem.models import EmpiricalDenoiser as EmpiricalDenoiser
    from taumem.models import MixtureDenoiser as MixtureDenoiser
    from taumem.models import Preconditioned as Preconditioned
    from taumem.models import Transformer as Transformer
    from taumem.models import TreeUNet as TreeUNet
    from taumem.models import UNet as UNet
    from taumem.monitor import LogCadence as LogCadence
    from taumem.monitor import Monitor as Monitor
    from taumem.neighbors import distinct_items as distinct_items
    from taumem.neighbors import gap_ratio as gap_ratio
    from taumem.neighbors import nearest as nearest
    from taumem.probes import Agreement as Agreement
    from taumem.probes import Copies as Copies
    from taumem.probes import EmpiricalGap as EmpiricalGap
    from taumem.probes import GrammarLevels as GrammarLevels
    from taumem.probes import LossGap as LossGap
    from taumem.probes import SymmetricGap as SymmetricGap
    from taumem.record import Curve as Curve
    from taumem.record import DataFacts as DataFacts
    from taumem.record import Estimate as Estimate
    from taumem.record import Measurement as Measurement
    from taumem.record import RunHeader as RunHeader
    from taumem.record import RunRecord as RunRecord
    from taumem.record import read_runs as read_runs
    from taumem.report import write_report as write_report
    from taumem.training import Learner as Learner
    from taumem.training import Member as Member
    from taumem.training import Step as Step
    from taumem.training import load_checkpoint as load_checkpoint
    from taumem.training import save_checkpoint as save_checkpoint
    from taumem.training import train as train
    from taumem.training import train_together as train_together


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'taumem' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
