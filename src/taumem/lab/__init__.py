"""The laboratory: reproducible experiments."""

from taumem.lab.domain import Asked, Domain, losses
from taumem.lab.experiment import Experiment
from taumem.lab.interruption import Interrupted
from taumem.lab.loading import load_experiment, preset_names
from taumem.lab.plan import RunPlan, plans_of
from taumem.lab.prepared import PreparedRun
from taumem.lab.run import make_run, make_runs_together
from taumem.lab.sections import DataConfig, DiffusionConfig, ModelConfig
from taumem.lab.sizing import Outlook, outlook, sized
from taumem.lab.studies import make_study
from taumem.lab.sweeping import Swept, make_sweep, run_names
from taumem.lab.sweeps import Sweep, load_sweep

__all__ = [
    "Asked",
    "DataConfig",
    "DiffusionConfig",
    "Domain",
    "Experiment",
    "Interrupted",
    "ModelConfig",
    "Outlook",
    "PreparedRun",
    "RunPlan",
    "Sweep",
    "Swept",
    "load_experiment",
    "load_sweep",
    "losses",
    "make_run",
    "make_runs_together",
    "make_study",
    "make_sweep",
    "outlook",
    "plans_of",
    "preset_names",
    "run_names",
    "sized",
]
