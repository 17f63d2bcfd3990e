"""Do the clocks of membership and the rule `privacy` stay silent where nothing was memorized?

    python benchmarks/members.py experiments/*/*.sealed --seed 1

Nothing was memorized of items that no model saw. So the held-out items of each recorded run are divided in two, and
one part plays the training set: real losses, over real training, of which the truth is known. Sets are divided

    fair      by chance
    easier    so that easy items (over the whole run) are preferred: as when sets come from two sources.

The rule, stated before it was tried on seed 1 (it was made on seed 0): each clock is located, or said to have been
past its threshold at the first look, in at most 5 % of the runs whose sets are fair, and `tau_member` in at most 10 %
of those in which one is easier. The rule `privacy`, asked at every look, stops at most 5 % of the fair ones; of unlike
sets it and `tau_tpr` promise nothing.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stopping import membership_of, record_of

from taumem.analysis import tau_member, tau_tpr
from taumem.analysis.placing import Placed
from taumem.analysis.stopping import RULES
from taumem.probes.membership_inference import members_found
from taumem.record import Curve, RunRecord, read_runs

Floats = NDArray[np.float64]

THRESHOLDS = (0.05, 0.10, 0.25)
SHARES = (0.05, 0.20)
SIZES = (16, 32, 64)
"""Items that play the training set."""
BLUR = 0.6
"""Of the ranks by which easy items are preferred, in units of all: the AUC of sets so divided is about 0.7."""


# --- nothing was memorized ------------------------------------------------------------------------------------------


def divided(losses: Floats, n: int, kind: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Two sets of items that no model saw, of n and of the rest."""
    ranks = losses.argsort(axis=1).argsort(axis=1).mean(axis=0) / losses.shape[1]
    order = (ranks * (kind == "easier") + BLUR * rng.standard_normal(losses.shape[1])).argsort()
    return losses[:, order[:n]], losses[:, order[n:]]


def curve_of(quantity: str, like: Curve, items: Floats) -> Curve:
    """A loss as a record holds it."""
    nothing = np.full(len(like), np.nan)
    counts = np.full(len(like), items.shape[1])
    return Curve(quantity, like.steps, like.examples, items.mean(1), nothing, nothing, nothing, counts, None, items)


def events(heldout: Curve, kind: str, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """What each clock, and the rule, say of one run in which nothing was memorized."""
    assert heldout.items is not None
    sets = divided(heldout.items, int(rng.choice(SIZES)), kind, rng)
    train, rest = (
        curve_of(name, heldout, items) for name, items in zip(("train_loss", "heldout_loss"), sets, strict=True)
    )
    for x in THRESHOLDS:
        yield f"tau_member[{x:g}]", struck(tau_member(train, rest, threshold=x))
    tensors = [(np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in zip(*sets, strict=True)]
    shares = np.array([members_found(*pair) / sets[0].shape[1] for pair in tensors])
    nothing = np.full(len(heldout), np.nan)
    counts = np.full(len(heldout), sets[0].shape[1])
    found = Curve("membership_tpr", heldout.steps, heldout.examples, shares, nothing, nothing, nothing, counts)
    for x in SHARES:
        yield f"tau_tpr[{x:g}]", struck(tau_tpr(found, sets[1].shape[1], threshold=x))
    record = record_of(train, rest, membership_of(heldout, *sets))
    # What look k may spend does not depend on later looks: asked at the end it says whether it stopped at any.
    yield "the rule privacy", RULES["privacy"].judge(record).stop


def struck(placed: Placed) -> bool:
    """Whether a clock claims that something happened."""
    return placed.censored != "right"


def runs_of(files: Sequence[Path]) -> Iterator[tuple[Path, RunRecord, Curve]]:
    """Runs with the losses of held-out items, 100 or more."""
    for file in files:
        for record in read_runs(file):
            curve = record.curve_or_none("heldout_loss")
            if curve is not None and curve.items is not None and curve.items.shape[1] >= 100:
                past = curve.at_steps(curve.steps[curve.steps > 0])
                yield file, record, past


def false_alarms(files: Sequence[Path], seed: int) -> str:
    """The table of false alarms, in percent of runs."""
    alarms: dict[tuple[str, str], list[bool]] = {}
    for number, (_, _, heldout) in enumerate(runs_of(files)):
        rng = np.random.default_rng([seed, number])
        for kind in ("fair", "easier"):
            for name, alarm in events(heldout, kind, rng):
                alarms.setdefault((name, kind), []).append(alarm)
    n = len(next(iter(alarms.values())))
    rows = [f"| {n} runs | fair | easier |", "|---|---|---|"]
    for name in dict.fromkeys(name for name, _ in alarms):
        cells = (f"{100 * np.mean(alarms[name, kind]):.1f}" for kind in ("fair", "easier"))
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="sealed studies, or folders with runs")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(false_alarms(given.files, given.seed))


if __name__ == "__main__":
    main()
