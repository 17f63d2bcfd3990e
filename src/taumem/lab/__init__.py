"""The laboratory: reproducible experiments."""

from taumem.lab.experiment import Experiment, load_experiment, preset_names
from taumem.lab.run import RunPlan, run, run_together
from taumem.lab.study import plans_of, sweep

__all__ = ["Experiment", "RunPlan", "load_experiment", "plans_of", "preset_names", "run", "run_together", "sweep"]
