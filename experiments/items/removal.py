"""The onion: take the items that were memorized first out of a training set, put others in their place, train anew.

    python experiments/items/removal.py make FOLDER     # a minute and a half on one core
    python experiments/items/removal.py table FOLDER    # or the sealed study beside this file

Rule, fixed before the runs were made: of P = 32 vectors of a first pair of twins, the quarter with the earliest onsets
is exchanged (arm ``first``), or a quarter drawn at random (``random``), in both cases for the same 8 vectors that
neither twin had. The 32 of the first pair are the arm ``all``. All arms of a seed start from the same weights and
batches. Read off: tau_val and tau_gap_sym[0.2] of the pairs; and of the items that all three arms of a run share, the
mean score at the last look (log of the twin's loss over the own one, higher where more is memorized), and the onsets
that are located in all three. If memorizing were a queue in which others move up, the items that stay would be
memorized sooner and further in ``first`` than in ``random``: a ratio of onsets below 1, and of scores (exp of the
difference) above 1.

Reference: Carlini et al. 2022, arXiv 2206.10469 (the privacy onion effect).
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from taumem import Experiment, load_experiment, read_runs
from taumem.analysis import ItemOnsets, find_item_onsets, find_onsets
from taumem.data import Split
from taumem.lab.plan import RunPlan, opened
from taumem.lab.prepared import PreparedRun
from taumem.monitor import LogCadence, Monitor
from taumem.probes import Coverage, LossGap
from taumem.record import RunRecord
from taumem.shapes import Items
from taumem.training import Member, train_together

HERE = Path(__file__).parent
P, OUT, SEEDS = 32, 8, (0, 1, 2, 3, 4, 5)
PLACES = HERE / "removal.places.json"
"""Which items were exchanged, by arm, seed and half."""
ARMS = ("all", "first", "random")
CLOCKS = ("tau_val", "tau_gap_sym[0.2]")


def main() -> None:
    """Make the runs, or print what they say."""
    verb, folder = sys.argv[1], Path(sys.argv[2])
    make(folder) if verb == "make" else table(folder)


def make(folder: Path) -> None:
    """All arms of all seeds: those of the whole sets together, and then the others."""
    experiment = load_experiment(HERE / "removal.toml")
    sets: dict[tuple[str, int], dict[str, Items]] = {}
    fresh: dict[int, dict[str, Items]] = {}
    for seed in SEEDS:
        train = opened(experiment.data).split(2 * P + 2 * OUT, seed).train
        sets["all", seed] = {"a": train[: 2 * P : 2], "b": train[1 : 2 * P : 2]}
        fresh[seed] = {"a": train[2 * P : 2 * P + 2 * OUT : 2], "b": train[2 * P + 1 : 2 * P + 2 * OUT : 2]}
    if not (folder / "all").exists():
        run_together(experiment, dict(sets), folder)
    found = {(run.run.seed, run.run.half): run for run in find_item_onsets(read_runs(folder / "all"))}
    chosen = {f"{arm} {seed}{half}": out(arm, found[seed, half], seed).tolist() for arm in ARMS for seed, half in found}
    PLACES.write_text(json.dumps(chosen) + "\n", encoding="utf-8")
    for seed in SEEDS:
        for arm in ARMS[1:]:
            sets[arm, seed] = {
                half: exchanged(items, fresh[seed][half], out(arm, found[seed, half], seed))
                for half, items in sets["all", seed].items()
            }
    run_together(experiment, {key: sets[key] for key in sets if key[0] != "all"}, folder)


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


def run_together(experiment: Experiment, sets: dict[tuple[str, int], dict[str, Items]], folder: Path) -> None:
    """Train both twins of each arm and seed, all as one batched program."""
    under_way = []
    for (arm, seed), halves in sets.items():
        for half, other in (("a", "b"), ("b", "a")):
            plan = RunPlan(experiment.model_copy(update={"name": f"removal-{arm}"}), P, seed, half)
            domain = opened(experiment.data)
            split = Split("mixture", halves[half], domain.split(2 * P, seed).heldout)
            diffusion = experiment.diffusion.build(None)
            prepared = PreparedRun(plan, domain, split, split, halves[other], diffusion)
            record = RunRecord.open(folder / arm / plan.name, prepared.header())
            under_way.append((Member(prepared.learner(), split.train, plan.train_seed), monitor(prepared, record)))
    members = [member for member, _ in under_way]
    steps, batch_size, clip = experiment.steps(P), experiment.batch_size(P), experiment.training.clip
    for _ in train_together(members, experiment.diffusion.build(None), batch_size=batch_size, clip=clip):
        for member, looking in under_way:
            at = member.learner.step
            if looking.due(at) or at >= steps:
                looking.look(member.learner.averaged, at, member.learner.examples)
        if members[0].learner.step >= steps:
            break
    for _, looking in under_way:
        looking.record.close()


def monitor(prepared: PreparedRun, record: RunRecord) -> Monitor:
    """The losses alone, of all training items of both twins."""
    config = prepared.plan.experiment.monitor
    sets = {"train": prepared.split.train, "twin": prepared.twin_items}
    sets["heldout"] = prepared.split.heldout[: config.n_heldout_items]
    losses = LossGap(prepared.diffusion, sets, times=config.times, seed=prepared.plan.seed)
    return Monitor(
        record, [losses, Coverage(sets["train"], sets["train"])], cadence=LogCadence(config.first, config.per_doubling)
    )


def table(folder: Path) -> None:
    """Print, for each clock and for the items in common, ``first`` over ``random``, and both over ``all``."""
    runs = [run for run in read_runs(folder) if run.header.name.startswith("removal-")]
    by_arm = {arm: [run for run in runs if run.header.name == f"removal-{arm}"] for arm in ARMS}
    ratios: dict[str, list[list[float]]] = {}
    places = json.loads(PLACES.read_text(encoding="utf-8"))  # a sealed file is rounded: its order may differ
    for seed in SEEDS:
        logs: dict[str, dict[str, list[float]]] = {}
        own = {arm: [run for run in by_arm[arm] if run.header.seed == seed] for arm in ARMS}
        for arm in ARMS:
            for onset in find_onsets(own[arm]):
                if onset.clock in CLOCKS and onset.usable:
                    logs.setdefault(onset.clock, {}).setdefault(arm, []).append(float(np.log(onset.step)))
        items = {arm: {run.run.half: run for run in find_item_onsets(own[arm])} for arm in ARMS}
        for half in "ab":
            gone = np.union1d(places[f"first {seed}{half}"], places[f"random {seed}{half}"])
            common = np.setdiff1d(np.arange(P), gone)
            steps = {arm: np.array([items[arm][half].placed[k].step for k in common]) for arm in ARMS}
            seen = np.all([[items[arm][half].placed[k].usable for k in common] for arm in ARMS], axis=0)
            for arm in ARMS:
                scored = float(items[arm][half].scores[-1, common].mean())
                logs.setdefault(f"score of the items in common ({half})", {}).setdefault(arm, []).append(scored)
                placed = float(np.log(steps[arm][seen]).mean())
                logs.setdefault(f"onset of the items in common ({half})", {}).setdefault(arm, []).append(placed)
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
