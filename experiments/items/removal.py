"""The onion: take the items that were memorized first out of a training set, put others in their place, train anew.

    python experiments/items/removal.py make FOLDER     # six minutes on one core
    python experiments/items/removal.py table FOLDER    # or the sealed study beside this file

Rule, fixed before the runs were made: of P = 64 images (8 x 8) of a first pair of twins, the quarter with the earliest
onsets is exchanged (arm ``first``), or a quarter drawn at random (``random``), in both cases for the same 16 images
that neither twin had. The 64 of the first pair are the arm ``all``. All arms of a seed start from the same weights and
batches. Read off: tau_val and tau_gap_sym[0.2] of the pairs, and the onsets of the items that all three arms of a run
have in common, ``first`` against ``random``, as a ratio of geometric means. If memorizing were a queue in which others
move up, the items left behind would be memorized earlier in ``first``: a ratio below 1.

Reference: Carlini et al. 2022, arXiv 2206.10469 (the privacy onion effect).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from taumem import load_experiment, read_runs
from taumem.analysis import ItemOnsets, find_item_onsets, find_onsets
from taumem.data import Split
from taumem.lab.plan import RunPlan, opened
from taumem.lab.prepared import PreparedRun
from taumem.record import RunRecord
from taumem.shapes import Items

HERE = Path(__file__).parent
P, OUT, SEEDS = 64, 16, (0, 1, 2, 3)
ARMS = ("all", "first", "random")
CLOCKS = ("tau_val", "tau_gap_sym[0.2]")


def main() -> None:
    """Make the runs, or print what they say."""
    verb, folder = sys.argv[1], Path(sys.argv[2])
    make(folder) if verb == "make" else table(folder)


def make(folder: Path) -> None:
    """All arms of all seeds."""
    experiment = load_experiment(HERE / "removal.toml")
    for seed in SEEDS:
        whole = opened(experiment.data).split(2 * P + 2 * OUT, seed)
        halves = {"a": whole.train[: 2 * P : 2], "b": whole.train[1 : 2 * P : 2]}
        fresh = {"a": whole.train[2 * P :: 2], "b": whole.train[2 * P + 1 :: 2]}
        run_arm(experiment, seed, "all", halves, whole.heldout, folder)
        found = {run.run.half: run for run in onsets(folder, seed, "all")}
        for arm in ARMS[1:]:
            sets = {half: exchanged(halves[half], fresh[half], out(arm, found[half], seed)) for half in "ab"}
            run_arm(experiment, seed, arm, sets, whole.heldout, folder)


def out(arm: str, found: ItemOnsets, seed: int) -> np.ndarray:
    """The places whose items are exchanged; of ``all`` none."""
    half = found.run.half or ""
    drawn = np.random.default_rng([seed, ord(half)]).permutation(P)
    return {"all": drawn[:0], "first": found.order[:OUT], "random": drawn[:OUT]}[arm]


def exchanged(items: Items, fresh: Items, places: np.ndarray) -> Items:
    """The items with fresh ones at these places."""
    changed = items.clone()
    changed[torch.from_numpy(places.copy())] = fresh
    return changed


def run_arm(experiment, seed: int, arm: str, sets: dict[str, Items], heldout: Items, folder: Path) -> None:
    """Train both twins of an arm."""
    for half in ("a", "b"):
        plan = RunPlan(experiment.model_copy(update={"name": f"removal-{arm}"}), P, seed, half)
        if (folder / arm / plan.name / "run.json").exists():
            continue
        split = Split("fashion-mnist", sets[half], heldout)
        twin = sets["b" if half == "a" else "a"]
        diffusion = plan.experiment.diffusion.build(None)
        prepared = PreparedRun(plan, opened(plan.experiment.data), split, split, twin, diffusion)
        learner = prepared.learner()
        with RunRecord.open(folder / arm / plan.name, prepared.header()) as record:
            monitor = prepared.monitor(record, learner)
            for step in prepared.training(learner):
                if monitor.due(learner.step) or learner.step >= plan.steps:
                    monitor.look(learner.averaged, learner.step, learner.examples)
                if learner.step >= plan.steps:
                    del step
                    break


def onsets(folder: Path, seed: int, arm: str) -> list[ItemOnsets]:
    """Of both twins of an arm."""
    return find_item_onsets([run for run in read_runs(folder / arm) if run.header.seed == seed])


def table(folder: Path) -> None:
    """Print, for each clock and for the items in common, ``first`` over ``random``, and both over ``all``."""
    runs = [run for run in read_runs(folder) if run.header.name.startswith("removal-")]
    by_arm = {arm: [run for run in runs if run.header.name == f"removal-{arm}"] for arm in ARMS}
    ratios: dict[str, list[list[float]]] = {}
    for seed in SEEDS:
        logs: dict[str, dict[str, list[float]]] = {}
        own = {arm: [run for run in by_arm[arm] if run.header.seed == seed] for arm in ARMS}
        for arm in ARMS:
            for onset in find_onsets(own[arm]):
                if onset.clock in CLOCKS and onset.usable:
                    logs.setdefault(onset.clock, {}).setdefault(arm, []).append(float(np.log(onset.step)))
        items = {arm: {run.run.half: run for run in find_item_onsets(own[arm])} for arm in ARMS}
        for half in "ab":
            of_all = items["all"][half]
            gone = np.union1d(out("first", of_all, seed), out("random", of_all, seed))
            common = np.setdiff1d(np.arange(P), gone)
            steps = {arm: np.array([items[arm][half].placed[k].step for k in common]) for arm in ARMS}
            seen = np.all([[items[arm][half].placed[k].usable for k in common] for arm in ARMS], axis=0)
            for arm in ARMS:
                logs.setdefault(f"items in common ({half})", {}).setdefault(arm, []).append(
                    float(np.log(steps[arm][seen]).mean())
                )
        for name, of in logs.items():
            if all(len(of.get(arm, ())) == len(of.get("all", ())) for arm in ARMS):
                means = {arm: float(np.mean(of[arm])) for arm in ARMS}
                row = [means["first"] - means["random"], means["first"] - means["all"], means["random"] - means["all"]]
                ratios.setdefault(name.split(" (")[0], []).append(row)
    print("what\tpairs\tfirst / random\tfirst / all\trandom / all   (geometric means, 90 % t intervals)")
    for name, rows in ratios.items():
        print(name, len(rows), *map(interval, np.array(rows).T), sep="\t")


def interval(logs: np.ndarray) -> str:
    """A geometric mean with its t interval at 90 %."""
    mean, se = logs.mean(), logs.std(ddof=1) / len(logs) ** 0.5
    reach = float(student.ppf(0.95, len(logs) - 1)) * se
    return f"{np.exp(mean):.3f} [{np.exp(mean - reach):.3f}, {np.exp(mean + reach):.3f}]"


if __name__ == "__main__":
    main()
