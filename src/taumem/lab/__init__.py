"""The laboratory: reproducible experiments."""

from taumem.lab.domain import Asked, Domain, losses
from taumem.lab.experiment import Experiment
from taumem.lab.interruption import Interrupted
from taumem.lab.loading import load_experiment, preset_names
from taumem.lab.plan import PreparedRun, RunPlan, plans_of
from taumem.lab.run import make_run, make_runs_together
from taumem.lab.sections import DataConfig, DiffusionConfig, ModelConfig
from taumem.lab.studies import sweep

__all__ = [
    "Asked",
    "DataConfig",
    "DiffusionConfig",
    "Domain",
    "Experiment",
    "Interrupted",
    "ModelConfig",
    "PreparedRun",
    "RunPlan",
    "load_experiment",
    "losses",
    "make_run",
    "make_runs_together",
    "plans_of",
    "preset_names",
    "sweep",
]
