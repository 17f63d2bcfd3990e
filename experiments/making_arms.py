"""What studies in arms share: an arm is a TOML with a few settings changed, and a folder of runs of its own.

``experiments/unit/arms.py`` and ``experiments/coefficients/arms.py`` say which arms there are; here they are made.
"""

import argparse
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from taumem.errors import nearest_name
from taumem.lab.experiment import Experiment
from taumem.lab.studies import make_study

__all__ = ["changed", "make_arms"]


def changed(base: Experiment, name: str, changes: Mapping[str, Mapping[str, Any]]) -> Experiment:
    """An experiment of another name, with some settings changed.

    Args:
        base: what stays.
        name: of the new one.
        changes: by section (``training``, ``model``, ``data``, ``monitor``), keys and their new values.

    Raises:
        ValidationError: a key or a value that an experiment does not take.
    """
    content = base.model_dump(mode="json") | {"name": name}
    for section, values in changes.items():
        content[section] |= values
    return Experiment.model_validate(content)


def make_arms(
    summary: str,
    arms: Mapping[str, Collection[str]],
    experiment_of: Callable[[str, str], Experiment],
    output: Path,
) -> None:
    """Make the arms that the command line asks for; what is there is not made again.

    Args:
        summary: one line, for ``--help``.
        arms: by domain, the names of its arms.
        experiment_of: the experiment of a domain's arm.
        output: the folder of the runs unless ``-o`` says another.
    """
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("domain", choices=tuple(arms))
    parser.add_argument("arms", nargs="*", help="all if none is named")
    parser.add_argument("-o", "--output", type=Path, default=output, help="folder of the runs")
    parser.add_argument("--workers", type=int, help="processes at once; one per processor if not said")
    asked = parser.parse_args()
    known = arms[asked.domain]
    if unknown := [arm for arm in asked.arms if arm not in known]:
        parser.error(f"no arm '{unknown[0]}'; {nearest_name(unknown[0], known)}")
    for arm in asked.arms or known:
        make_study(experiment_of(asked.domain, arm), asked.output / asked.domain / arm, workers=asked.workers)
        print(f"{asked.domain}/{arm}: made", flush=True)
