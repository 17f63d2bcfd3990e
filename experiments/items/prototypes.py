"""Strings of unequal probability: does the onset of a training string go with its probability, which is known exactly?

    python experiments/items/prototypes.py    # reads the study beside this file, or its sealed file

Prints the rank correlation of the onset with -log p (below 0: improbable strings go first; above 0: prototypes), with
its 90 % bootstrap interval over strings, and the same for the loss under the twin and for isolation.
"""

from pathlib import Path

import numpy as np

from taumem import read_runs
from taumem.analysis import find_item_onsets, order_of_items
from taumem.analysis.item_order import rank_correlation
from taumem.lab.items import isolation_of, training_items
from taumem.lab.loading import recorded_experiment
from taumem.lab.plan import opened

STUDY = Path(__file__).parent / "zipf"


def main() -> None:
    """Print the three correlations."""
    runs = [isolation_of(run) for run in read_runs(STUDY)]
    found = find_item_onsets(runs)
    sets = {run.header.key: training_items(run) for run in runs}
    recorded = recorded_experiment(runs[0].header.experiment, runs[0].header.data.n_train, str(STUDY))
    grammar = opened(recorded.data).grammar
    rare = [-grammar.log_prob(sets[run.run][: len(run)]).numpy() for run in found]
    drawn = [np.arange(len(run)) + 1000 * k for k, run in enumerate(found)]
    result = rank_correlation([run.earliness for run in found], rare, drawn)
    spread = float(np.mean([values.std() for values in rare]))
    print(f"-log p (sd {spread:.2f} nats within a run): {result.value:+.2f} [{result.low:+.2f}, {result.high:+.2f}]")
    order = order_of_items(found)
    print(f"{order.n_located} of {order.n_items} located; held-out {order.n_false} of {order.n_unseen}", order.placebo)
    print(*order.sentences, sep="\n")


if __name__ == "__main__":
    main()
