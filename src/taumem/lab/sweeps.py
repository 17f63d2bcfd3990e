"""A sweep: one experiment over several values of some of its keys, a study for each combination of them.

In a file these are a table of lists; on the command line ``--over`` gives the same::

    [over]
    training.learning_rate = [1e-3, 3e-3]
    n_train = [[16, 32], [64, 128]]      # of a key that takes a list, a list of lists
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

from taumem.errors import ConfigError
from taumem.lab.experiment import Experiment
from taumem.lab.loading import change, content_of, experiment_of, value_of

__all__ = ["Sweep", "load_sweep", "slurm_of"]

MOST_STUDIES = 10_000
LONGEST_VALUE = 24
LONGEST_TABLE = 40
LONGEST_NAME = 100
"""Of a folder, in bytes."""
KINDS = ("kind", "source")
"""Keys that say which other keys there are: they come first."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep makes.

    Attributes:
        name: also that of its folder, unless another one is asked for.
        base: what its file says, without what it goes over.
        over: the keys that it goes over, and the values of each.
        studies: by the names of their folders, one experiment for each combination.
        settings: by the same names, the combination.
        slurm: what the file tells submitit.
        former: by the same names, what the folder was called by earlier versions, where that was something else.
    """

    name: str
    base: Mapping[str, Any]
    over: Mapping[str, Sequence[Any]]
    studies: Mapping[str, Experiment]
    settings: Mapping[str, Mapping[str, Any]]
    slurm: Mapping[str, Any]
    former: Mapping[str, str]

    def called(self, names: Mapping[str, str]) -> "Sweep":
        """The same sweep with other names of its studies, and of their folders."""
        studies = {
            names[old]: study if names[old] == old else study.model_copy(update={"name": f"{self.name}-{names[old]}"})
            for old, study in self.studies.items()
        }
        return replace(self, studies=studies, settings={names[old]: of for old, of in self.settings.items()}, former={})

    def study(self, settings: Mapping[str, Any], source: str) -> Experiment:
        """The experiment of a combination, without a name of its own.

        Raises:
            ConfigError: a key or value that an experiment does not have.
        """
        return _experiment(self.base, settings, source)


def load_sweep(source: str | Path, changes: Sequence[str] = (), over: Sequence[str] = ()) -> Sweep:
    """Read a sweep: an experiment, and what to go over.

    Args:
        source: a file or a preset, as :func:`taumem.lab.load_experiment` takes it, with or without a table ``over``.
        changes: of single keys, as there.
        over: more to go over, such as ``"training.learning_rate=1e-3,3e-3"``; in the place of what the file has for
            the same key. Without any, the sweep is that of one study.

    Raises:
        ConfigError: as there; no values, a key that an experiment does not have, or two combinations that make the same
            study.
    """
    content = content_of(source, changes)
    slurm = _table(content.pop("slurm", {}), "slurm", source)
    axes = dict(_axes(_table(content.pop("over", {}), "over", source), f"{source}: over"))
    axes |= dict(_of_the_command_line(each) for each in over)
    axes = dict(sorted(axes.items(), key=_place))
    n_studies = 1
    for values in axes.values():
        n_studies *= len(values)
    if n_studies > MOST_STUDIES:
        raise ConfigError(f"{source}: {n_studies:,} studies in one sweep; at most {MOST_STUDIES:,}. Go over less.")
    name = content.get("name") if isinstance(content.get("name"), str) else ""
    studies: dict[str, Experiment] = {}
    settings: dict[str, dict[str, Any]] = {}
    made_of: dict[str, str] = {}
    former: dict[str, str] = {}
    tables = {key: _names_of_tables(values) for key, values in axes.items()}
    for combination in product(*axes.values()):
        chosen = dict(zip(axes, combination, strict=True))
        experiment = _experiment(content, chosen, str(source))
        name = name or experiment.name
        longest = LONGEST_NAME - len(f"{name}-".encode())
        label, was = (_label(chosen, longest, named) or experiment.name for named in (tables, {}))
        former |= {label: was} if label != was else {}
        recipe = experiment.model_dump_json(exclude={"name"})
        if (other := made_of.setdefault(recipe, label)) in settings:
            raise ConfigError(f"{source}: {_told(settings[other])} and {_told(chosen)} make the same study; drop one.")
        named = experiment.model_copy(update={"name": f"{name}-{label}"}) if chosen else experiment
        studies[label], settings[label] = named, chosen
    return Sweep(str(name), content, axes, studies, settings, slurm, former)


def slurm_of(source: str | Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """What the file of an experiment tells submitit.

    Args:
        source: see :func:`load_sweep`.
        changes: see there.

    Raises:
        ConfigError: no such file or preset, not TOML or JSON, or no table.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever reads the experiment hears of names that it had once
        content = content_of(source, changes)
    return _table(content.get("slurm", {}), "slurm", source)


def _place(axis: tuple[str, Any]) -> tuple[bool, str]:
    """Where an axis stands, so that names do not depend on the order in which a file says them."""
    names_a_kind = axis[0].rpartition(".")[2] in KINDS  # another one has keys of its own: first of all
    return not names_a_kind, axis[0]


def _experiment(base: Mapping[str, Any], settings: Mapping[str, Any], source: str) -> Experiment:
    content = deepcopy(dict(base))
    for key, value in settings.items():
        if key == "name":
            raise ConfigError(f"{source}: over name: studies that differ in their names alone are the same study.")
        change(content, key, deepcopy(value), f"{source}: over {key}")
    where = f"{source} (over {', '.join(settings)})" if settings else source
    return experiment_of(content, where)


def _table(content: Any, name: str, source: str | Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: [{name}] is a table of keys and values; got {content!r:.60}.")
    return content


def _axes(table: Mapping[str, Any], where: str, section: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Each key of a table with its sections, and its values."""
    for key, values in table.items():
        name = f"{section}{key}"
        if isinstance(values, dict):
            yield from _axes(values, where, f"{name}.")
        elif not isinstance(values, list) or not values:
            raise ConfigError(f"{where} {name}: expected a list of values to go over; got {values!r:.60}.")
        else:
            yield name, values


def _of_the_command_line(asked: str) -> tuple[str, list[Any]]:
    key, equals, text = (part.strip() for part in asked.partition("="))
    values = [value_of(part, f"--over {key}") for part in _parts(text)]
    if not equals or not key or "" in values:
        raise ConfigError(f"--over takes key=value,value, such as training.learning_rate=1e-3,3e-3; got '{asked}'.")
    return key, values


def _parts(text: str) -> list[str]:
    """A text cut at its commas, but for those in brackets, braces and quotes.

    >>> _parts("[8, 16], [32], 'a,b', adamw")
    ['[8, 16]', '[32]', "'a,b'", 'adamw']
    """
    parts, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        else:
            depth += (c in "[{") - (c in "]}")
        if c == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


def _label(settings: Mapping[str, Any], longest: int, tables: Mapping[str, Mapping[str, str]]) -> str:
    """A name for the folder of a combination, with those that tables among its values have.

    >>> _label({"training.learning_rate": 0.001, "n_train": [8, 16]}, 100, {})
    'learning_rate=0.001,n_train=8+16'
    """
    ends = [key.rpartition(".")[2] for key in settings]
    short = {key: end if ends.count(end) == 1 else key for key, end in zip(settings, ends, strict=True)}
    texts = {key: tables.get(key, {}).get(_digest(value)) or _value(value) for key, value in settings.items()}
    label = ",".join(f"{short[key]}={text}" for key, text in texts.items())
    return label if len(label) <= longest else f"{label[: max(0, longest - 9)]}~{_digest(settings)}"


def _names_of_tables(values: Sequence[Any]) -> dict[str, str]:
    """By the digests of the tables among some values, a name of each: its own scalars, or those in which they differ.

    >>> list(_names_of_tables([{"schedule": "flow", "weighting": "v"}, {"schedule": "exploding", "eta": 1}]).values())
    ['flow-v', 'eta1-exploding']
    """
    tables = [value for value in values if isinstance(value, dict)]
    keys = sorted({key for table in tables for key in table}, key=lambda key: (key not in KINDS, key))
    differing = [key for key in keys if key in KINDS or any(table.get(key) != tables[0].get(key) for table in tables)]
    names: dict[str, str] = {}
    for shown in (keys, differing):
        found = {_digest(table): _scalars(table, shown) for table in tables}
        taken = Counter(name.casefold() for name in (*found.values(), *map(_value, values)))
        names = {digest: name for digest, name in found.items() if name and taken[name.casefold()] == 1}
        if len(names) == len(found):
            break
    return names


def _scalars(table: Mapping[str, Any], keys: Sequence[str]) -> str:
    """What a table has for some keys, in short; nothing where that is no name, or too long for one."""
    parts = []
    for key in keys:
        value = table.get(key, "")
        if isinstance(value, bool):
            parts.append(f"{key}_{json.dumps(value)}")
        elif isinstance(value, int | float):
            parts.append(f"{key}{json.dumps(value)}")
        else:
            parts.append(value if isinstance(value, str) else "~")
    name = "-".join(part for part in parts if part)
    is_plain = all(c.isascii() and (c.isalnum() or c in "+-._") for c in name) and not name.endswith(".")
    return name if is_plain and len(name) <= LONGEST_TABLE else ""


def _value(value: Any) -> str:
    """A value as a part of a folder's name; what a name cannot hold is replaced, and a digest tells it from others."""
    if isinstance(value, list):
        text = "+".join(map(_value, value))
    elif isinstance(value, dict):
        text = str(value.get("kind", value.get("source", "")))
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "+-._~") else "_" for c in text)[:LONGEST_VALUE].rstrip(
        "."
    )
    return plain if plain == text and plain and not isinstance(value, dict) else f"{plain}~{_digest(value)}"


def _digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _told(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
