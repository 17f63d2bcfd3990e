"""How do batch size and learning rate bend the law of text? One model a setting and size, until it has memorized.

    python experiments/text/scan.py training.batch_size=64 training.learning_rate=1e-3

The experiment is english.toml with these changes and a seed of its own, so that the study is not made of the runs that
its settings were chosen by. Prints a line of JSON a size: the steps of the held-out loss's minimum and of the first
looks at which the gap exceeds 10, 20 and 30 %. docs/text.md has the table; the lines are in scan.jsonl.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from taumem import LogCadence, LossGap, load_experiment, train
from taumem.lab import plans_of
from taumem.probes.probe import undisturbed

SIZES, SEED = "[16, 64, 256]", 100
GAPS = (0.1, 0.2, 0.3)


def main() -> None:
    """Train one size after another."""
    changes = sys.argv[1:]
    common = [f"seeds=[{SEED}]", f"n_train={SIZES}", "training.steps_per_example=60"]
    study = load_experiment(Path(__file__).parent / "english.toml", [*common, *changes])
    for plan in (plan for plan in plans_of(study) if plan.half == "a"):  # one model of each two is enough
        looks: list[tuple[int, float, float]] = []
        for step, heldout_loss, gap in curve(plan):
            looks.append((step, heldout_loss, gap))
            minimum, best = min((loss, at) for at, loss, _ in looks)
            if step >= 2.8 * best and heldout_loss > 1.03 * minimum and gap > 0.32:
                break
        over = {f"gap {size:.0%}": next((at for at, _, gap in looks if gap > size), None) for size in GAPS}
        line = {"changes": changes, "P": plan.n_train, "minimum": best, "loss": round(minimum, 4), **over}
        print(json.dumps(line), flush=True)


def curve(plan) -> Iterator[tuple[int, float, float]]:
    """Give step, held-out loss and gap, four times a doubling, as a model is trained."""
    prepared = plan.prepare()
    split, diffusion, learner, monitor = prepared.split, prepared.diffusion, prepared.learner(), plan.experiment.monitor
    sets = {"train": split.train[: monitor.n_items], "heldout": split.heldout[: monitor.n_heldout_items]}
    losses, cadence = LossGap(diffusion, sets, times=monitor.times), LogCadence(16, 4)
    clip = plan.experiment.training.clip
    for step in train(learner, diffusion, split.train, batch_size=plan.batch_size, seed=plan.seed, clip=clip):
        if cadence.due(step.index):
            with undisturbed(learner.averaged):
                found = {e.quantity: e.value for e in losses.measure(learner.averaged).estimates if e.t is None}
            yield step.index, found["heldout_loss"], found["gap"]
        if step.index >= plan.steps:
            return


if __name__ == "__main__":
    main()
