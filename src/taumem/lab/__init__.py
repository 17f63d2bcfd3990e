"""The laboratory: reproducible experiments."""

from taumem.lab.experiment import Experiment, load_experiment, preset_names
from taumem.lab.run import RunPlan, run
from taumem.lab.study import plans_of, sweep

__all__ = ["Experiment", "RunPlan", "load_experiment", "plans_of", "preset_names", "run", "sweep"]
