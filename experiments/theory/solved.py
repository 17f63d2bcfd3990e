"""Make the records of the preset's runs without training them: each look is at the weights that theory gives its step.

    python experiments/theory/solved.py          # writes solved/, which `taumem fit` reads like any runs

Everything else is as in `taumem run random-features`: the data, the network, the probes, their noise, the looks. What
is left between the two is the noise of training: each step draws 512 / P new corruptions of every item, theory all.
"""

import sys
from pathlib import Path

from taumem.lab import RunPlan, load_experiment, plans_of
from taumem.models import GradientFlow, moments_of_items
from taumem.monitor import LogCadence
from taumem.record import RunRecord

HERE = Path(__file__).parent


def main() -> None:
    """Make all of them, or those of the sizes that are given."""
    sizes = [f"n_train=[{', '.join(sys.argv[1:])}]"] if sys.argv[1:] else []
    for plan in plans_of(load_experiment("random-features", [*sizes, "name=random-features-solved"])):
        make(plan, HERE / "solved")


def make(plan: RunPlan, folder: Path) -> None:
    """Look at the solution at every step at which the run would be looked at."""
    run, experiment = plan.prepare(), plan.experiment
    denoiser, rate, [t] = run.learner().denoiser, experiment.training.learning_rate, experiment.monitor.times
    network = denoiser.network
    flow = GradientFlow(moments_of_items(network, run.diffusion, run.split.train, t))
    steps = LogCadence(experiment.monitor.first, experiment.monitor.per_doubling).steps(plan.steps)
    with RunRecord.open(folder / plan.name, run.header()) as record:
        monitor = run.monitor(record)
        for step in dict.fromkeys((*steps, plan.steps)):
            network.readout.data = flow.readout(step * rate, learning_rate=rate).to(network.readout.dtype)
            monitor.look(denoiser, step, step * plan.batch_size)


if __name__ == "__main__":
    main()
