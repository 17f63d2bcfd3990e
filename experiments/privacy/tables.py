"""What the clock of membership says of the finished studies, and of attacks: the tables of docs/privacy.md.

    python experiments/privacy/tables.py laws        # of the committed studies: exponents of P and B
    python experiments/privacy/tables.py order       # by how much membership precedes the other clocks, run by run
    python experiments/privacy/tables.py attacks     # of the studies in this folder: losses against attacks
    python experiments/privacy/tables.py truth       # of the mixture: what the true distribution tells, meanwhile

Factors are geometric means over runs in which both clocks are located, with 90 % intervals from resampled pairs of a
size and a seed (twins and settings go together). A run that ended before the later clock struck is not in its factor.
"""

import argparse
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from taumem import Onset, fit_law
from taumem.analysis import CLOCKS, Seen
from taumem.analysis.wording import power
from taumem.errors import ConfigError, TaumemWarning
from taumem.record import RunRecord, read_runs

HERE = Path(__file__).parent.parent
STUDIES = {
    "images": ("images/fashion", "images/full-batch"),
    "images, CIFAR-10": ("unseen/cifar10",),
    "images, emoji": ("unseen/emoji",),
    "text": ("text/english", "text/full-batch"),
    "molecules": ("unseen/molecules",),
    "grammar, masked": ("grammar/masked", "grammar/full-batch"),
    "grammar, uniform": ("grammar/uniform",),
    "grammar, m = 4, masked": ("grammar/m4-masked",),
    "grammar, m = 4, uniform": ("grammar/m4-uniform",),
}
"""The study of each domain at a fixed batch size, and the one with batches of the whole training set."""
MEMBERS = ("tau_member[0.05]", "tau_member[0.1]", "tau_member[0.25]", "tau_tpr[0.05]")
OTHERS = ("tau_gap_grown[0.1]", "tau_val", "tau_infill[0.1]", "tau_copy[0.05]")
ATTACKS = ("secmi", "pia", "averaged")
RESAMPLES = 2000


def main() -> None:
    """Print the table that is asked for."""
    warnings.simplefilter("ignore", TaumemWarning)
    tables = {"laws": laws, "order": order, "attacks": attacks, "truth": truth}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=tables)
    parser.add_argument("--only", nargs="*", default=list(STUDIES), choices=STUDIES, help="domains, of laws and order")
    given = parser.parse_args()
    for domain in STUDIES.keys() - set(given.only):
        del STUDIES[domain]
    print("\n".join(tables[given.table]()))


@cache
def runs_of(study: str) -> tuple[RunRecord, ...]:
    """All runs of a study, sealed or not."""
    return tuple(read_runs(HERE / study if (HERE / study).is_dir() else HERE / f"{study}.sealed"))


@cache
def onsets_of(study: str, clock: str) -> tuple[Onset, ...]:
    """Of one clock of single runs."""
    found = (CLOCKS[clock].onset(Seen(record), 0.9) for record in runs_of(study))
    return tuple(onset for onset in found if onset is not None)


def laws() -> Iterator[str]:
    """The exponent of P at a fixed batch size, and both exponents where two studies say them."""
    yield "| | clock | onsets (bounds) | a | a, k of both batch sizes |"
    yield "|---|---|---|---|---|"
    for domain, (fixed, *full) in STUDIES.items():
        for clock in (*MEMBERS, "tau_val"):
            alone, both = onsets_of(fixed, clock), [o for s in (fixed, *full) for o in onsets_of(s, clock)]
            bounds = sum(not onset.usable for onset in alone)
            yield f"| {domain} | `{clock}` | {len(alone)} ({bounds}) | {law(alone)} | {law(both) if full else ''} |"


def law(onsets: Sequence[Onset]) -> str:
    """The exponents of a law with all free, with their 90 % intervals."""
    try:
        found = fit_law(onsets, exponent=None)
    except ConfigError:
        return "too few located"
    return ", ".join(power(each) for each in (found.exponent, found.batch_exponent) if each)


def order() -> Iterator[str]:
    """How much later the other clocks strike than those of membership."""
    for early in MEMBERS[1:3]:
        yield f"| later than `{early}` by | {' | '.join(f'`{clock}`' for clock in OTHERS)} |"
        yield "|---" * (1 + len(OTHERS)) + "|"
        for domain, (fixed, *_) in STUDIES.items():
            when = {clock: located(fixed, clock) for clock in (early, *OTHERS)}
            yield f"| {domain} | {' | '.join(factor(when[early], when[clock]) for clock in OTHERS)} |"
        yield ""


def attacks() -> Iterator[str]:
    """How much earlier an attack tells members than the loss does, and how well."""
    columns = ["located", "tau_member[0.1] later by", "AUC at tau_val", "AUC at the end"]
    yield f"| | attack | {' | '.join(columns)} |"
    yield "|---" * (2 + len(columns)) + "|"
    for study in ("privacy/images", "privacy/mixture"):
        loss, minima = located(study, "tau_member[0.1]"), located(study, "tau_val")
        for attack in ("", *ATTACKS):
            clock = f"tau_member_{attack}[0.1]" if attack else "tau_member[0.1]"
            quantity = f"membership_auc[{attack}]" if attack else "membership_auc"
            at = {record.header.key: record.curve(quantity) for record in runs_of(study)}
            minimum = [np.interp(np.log(s), np.log(at[key].steps), at[key].values) for key, s in minima.items()]
            end = [curve.values[-1] for curve in at.values()]
            own = located(study, clock)
            yield (
                f"| {study.partition('/')[2]} | {attack or 'the loss'} | {len(own)} of {len(at)} | "
                f"{factor(own, loss) if attack else ''} | {mean(minimum)} | {mean(end)} |"
            )


def truth() -> Iterator[str]:
    """What the loss above the exact optimum tells, at the onsets that losses and samples show."""
    names = ("membership_auc", "membership_auc[exact]", "membership_advantage[exact]")
    yield f"| at | runs | {' | '.join(f'`{name}`' for name in names)} |"
    yield "|---" * 5 + "|"
    study = "privacy/mixture"
    for clock in (*MEMBERS[:3], "tau_val", "tau_copy[0.05]"):
        rows = []
        for record in runs_of(study):
            if (step := located(study, clock).get(record.header.key)) is not None:
                curves = [record.curve(name) for name in names]
                rows.append([np.interp(np.log(step), np.log(curve.steps), curve.values) for curve in curves])
        cells = [mean([row[k] for row in rows]) if rows else "" for k in range(len(names))]
        yield f"| `{clock}` | {len(rows)} | {' | '.join(cells)} |"


def located(study: str, clock: str) -> dict[object, float]:
    """The step of each run in which a clock is located."""
    return {onset.run: onset.step for onset in onsets_of(study, clock) if onset.usable}


def factor(early: Mapping[object, float], late: Mapping[object, float]) -> str:
    """The geometric mean of late over early, its 90 % interval, and the number of runs."""
    groups: dict[object, list[float]] = {}
    for run in early.keys() & late.keys():
        groups.setdefault((run.n_train, run.seed), []).append(float(np.log(late[run] / early[run])))  # type: ignore[attr-defined]
    if len(groups) < 3:
        return f"({sum(map(len, groups.values()))} runs)"
    means = np.array([np.mean(groups[key]) for key in sorted(groups)])
    drawn = np.random.default_rng(0).choice(means, (RESAMPLES, len(means))).mean(axis=1)
    low, high = np.exp(np.quantile(drawn, [0.05, 0.95]))
    return f"{np.exp(means.mean()):.2f} [{low:.2f}, {high:.2f}], {sum(map(len, groups.values()))}"


def mean(values: Sequence[float]) -> str:
    """The mean, with its standard error over runs."""
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.2f}" if len(values) > 1 else ""


if __name__ == "__main__":
    main()
