"""Print the table of copies, agreement and membership of docs/images.md from the records in this folder.

python experiments/images/copies.py
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from taumem import RunRecord, find_onsets, read_runs
from taumem.analysis import agreement_curve, find_twins
from taumem.record import Curve

HERE = Path(__file__).parent
EARLY = 64
"""The step at which agreement is called early."""


def main() -> None:
    """Print a line for each size."""
    runs = read_runs(HERE / "fashion")
    by_size: dict[int, list[RunRecord]] = defaultdict(list)
    for run in runs:
        by_size[run.header.data.n_train].append(run)
    tau_val = {o.source: o.step for o in find_onsets(runs) if o.clock == "tau_val"}
    twins = {a.header.data.n_train: (a, b) for a, b in find_twins(runs) if a.header.seed == 0}

    print("P     copies at tau_val  last step  copies at the end  chance  AUC at tau_val  agreement of seed 0")
    for n_train, members in by_size.items():
        steps = [tau_val[source(run)] for run in members]
        copies = [run.curve("copy_fraction") for run in members]
        at = [near(curve, step) for curve, step in zip(copies, steps, strict=True)]
        found = sum(round(curve.values[k] * curve.counts[k]) for curve, k in zip(copies, at, strict=True))
        auc = [run.curve("membership_auc") for run in members]
        chance = np.mean([run.curve("copy_fraction_chance").values[0] for run in members])
        a, b = twins[n_train]
        agreement = agreement_curve(a, b)
        places = (near(agreement, EARLY), near(agreement, tau_val[source(a)]), -1)
        print(
            f"{n_train:<5} {found} of {sum(c.counts[k] for c, k in zip(copies, at, strict=True)):<13}"
            f"{copies[0].steps[-1]:>9,}  {np.mean([c.values[-1] for c in copies]):>17.1%}  {chance:>6.2%}"
            f"{np.mean([c.values[near(c, s)] for c, s in zip(auc, steps, strict=True)]):>16.2f}"
            f"  {', '.join(f'{agreement.values[k]:.2f}' for k in places)}"
        )


def source(run: RunRecord) -> str:
    """The run's name as its onsets give it."""
    header = run.header
    return f"{header.name} P={header.data.n_train} seed={header.seed} half={header.half}"


def near(curve: Curve, step: float) -> int:
    """The position of the check nearest to a step, in log."""
    return int(np.argmin(np.abs(np.log(curve.steps / step))))


if __name__ == "__main__":
    main()
