"""Reading experiments: from TOML, from the JSON that a study leaves behind, from presets; and what is wrong with them.

Unknown keys and names are refused with the nearest valid one. Keys that had another name once go on working under it.
"""

import json
import re
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from taumem.errors import ConfigError, TaumemWarning, nearest_name
from taumem.lab.experiment import Experiment
from taumem.lab.refusals import expected

__all__ = [
    "change",
    "content_of",
    "experiment_of",
    "load_experiment",
    "preset_names",
    "read_experiment",
    "recipe_of",
    "recorded_experiment",
    "value_of",
]

NEW_NAMES = {"monitor.levels": "monitor.times"}
"""Keys that had another name once, with the one of today; both in one section."""
MOST_BYTES = 2**20
MOST_DEPTH = 32
SURROGATES = re.compile("[\ud800-\udfff]")
TOO_DEEP = "its sections or lists are nested deeper than an experiment's ever are."


def preset_names() -> list[str]:
    """The names of the experiments that come with the package."""
    return sorted(_presets())


def load_experiment(source: str | Path, changes: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a file, or take a preset, and change some of its keys.

    Args:
        source: a .toml or .json file, or a preset's name.
        changes: such as ``"training.batch_size=32"``; values as in TOML, quotes around plain words may be left out.

    Raises:
        ConfigError: no such file or preset, not TOML or JSON, or a key or value that an experiment does not have.
    """
    content = content_of(source, changes)
    content.pop("slurm", None)
    if "over" in content:
        raise ConfigError(f"{source}: the table [over] makes several studies of it: use taumem sweep {source}.")
    return experiment_of(content, str(source))


def content_of(source: str | Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Read what a file or a preset says, in today's names and with some keys changed, before it is an experiment.

    Args:
        source: see :func:`load_experiment`; two tables are not the experiment's: ``over``, what a sweep goes over (see
            :func:`taumem.lab.load_sweep`), and ``slurm``, what submitit is told.
        changes: see there.

    Raises:
        ConfigError: no such file or preset, or not TOML or JSON.
    """
    content, old_names = _in_new_names(_read(source))
    for each in changes:
        key, value = _parse(each)
        old_names += [key] if key in NEW_NAMES else []
        change(content, key, value, f"--set {each}")
    for name in dict.fromkeys(old_names):
        warnings.warn(f"{name} is called {NEW_NAMES[name]} now.", TaumemWarning, stacklevel=3)
    return content


def read_experiment(file: Path) -> Experiment:
    """Read the JSON that a study left behind, of whatever version, without a word about names of then.

    Raises:
        ConfigError: it cannot be read, or is no experiment.
    """
    content, _ = _in_new_names(_read(file))
    return experiment_of(content, str(file))


def recipe_of(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The recipe that a record holds, in today's names and with today's defaults; None if it is none of this taumem."""
    try:
        return Experiment.model_validate(_in_new_names(content)[0] | {"n_train": [2]}).recipe
    except ValidationError:
        return None


def recorded_experiment(content: Mapping[str, Any], n_train: int, source: str) -> Experiment:
    """Make an experiment of one size of the recipe that a record holds.

    Raises:
        ConfigError: it is no experiment of this taumem.
    """
    return experiment_of(_in_new_names(content)[0] | {"n_train": [n_train]}, source)


def _in_new_names(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Give an experiment's content in today's names, and the old ones that it had."""
    renamed, found = deepcopy(dict(content)), []
    for old, new in NEW_NAMES.items():
        (*sections, was), now = old.split("."), new.split(".")[-1]
        place: Any = renamed
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if isinstance(place, dict) and was in place and now not in place:
            place[now] = place.pop(was)
            found.append(old)
    return renamed, found


def _presets() -> dict[str, Any]:
    files = (resources.files("taumem.lab") / "presets").iterdir()
    return {file.name.removesuffix(".toml"): file for file in files if file.name.endswith(".toml")}


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix in (".toml", ".json"):
        text = _text_of(path)
    else:
        presets = _presets()
        if str(source) not in presets:
            raise ConfigError(
                f"'{source}' is neither a .toml or .json file nor a preset; {nearest_name(str(source), presets)}"
            )
        text = presets[str(source)].read_text(encoding="utf-8")
    try:
        content: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:  # of JSON, of TOML, or of a number with thousands of digits
        raise ConfigError(f"{source}: not valid {path.suffix[1:].upper() or 'TOML'}: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{source}: {TOO_DEEP}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{source}: expected the keys of an experiment; got a {type(content).__name__}.")
    _check_plain(content, str(source))
    return content


def _text_of(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: is no file; expected an experiment's file.")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ConfigError(
                f"{path}: has {size:,} bytes, and an experiment's file some hundreds; is it another file?"
            )
        return path.read_text(encoding="utf-8")
    except ConfigError:
        raise
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name with a null character
        raise ConfigError(f"{path}: cannot be read as text ({error}); expected an experiment's file.") from None


def _check_plain(content: Any, source: str, depth: int = MOST_DEPTH) -> None:
    """Refuse what no experiment holds and no record could: depths and numbers without end, text that is no Unicode.

    Raises:
        ConfigError: it is there.
    """
    if depth == 0:
        raise ConfigError(f"{source}: {TOO_DEEP}")
    if isinstance(content, int) and abs(content) >= 2**63:
        raise ConfigError(f"{source}: holds a whole number beyond 2^63; no key takes one.")
    if isinstance(content, str) and not content.isprintable() and (halves := SURROGATES.findall(content)):
        raise ConfigError(
            f"{source}: {content!r:.80} holds {halves[0]!r}, which is no character by itself (a name that is not in "
            "UTF-8 has such), and records cannot hold it; rename it."
        )
    inside = content.items() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    for part in inside:
        _check_plain(part, source, depth - 1)


def _parse(change: str) -> tuple[str, Any]:
    key, equals, text = (part.strip() for part in change.partition("="))
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, such as training.batch_size=32; got '{change}'.")
    return key, value_of(text, f"--set {key}")


def value_of(text: str, whose: str) -> Any:
    """The value that a text stands for: as in TOML, or the text itself.

    Args:
        text: such as ``32``, ``[8, 16]`` or ``adamw``.
        whose: the option that it was given to, for the error message.

    Raises:
        ConfigError: no experiment holds such a value.
    """
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text
    except RecursionError:
        raise ConfigError(f"{whose}: {TOO_DEEP}") from None
    _check_plain(value, whose)
    return value


def change(content: dict[str, Any], key: str, value: Any, words: str) -> None:
    """Set a key of an experiment's content.

    Args:
        content: nested, as in a file; changed in place.
        key: with its sections, such as ``training.batch_size``; a former name will do.
        value: the new one.
        words: in which it was asked for, for the error message.

    Raises:
        ConfigError: a part of the key is a value, and no section.
    """
    *folders, last = NEW_NAMES.get(key, key).split(".")
    place = content
    for folder in folders:
        place = place.setdefault(folder, {})
        if not isinstance(place, dict):
            raise ConfigError(f"{words}: '{folder}' is a value, not a section with keys of its own.")
    if last in ("source", "kind") and place.get(last) != value:
        place.clear()  # the keys of another source or model mean nothing to this one
    place[last] = value


def experiment_of(content: Mapping[str, Any], source: str) -> Experiment:
    """Make an experiment of what a file says.

    Args:
        content: nested, in today's names.
        source: where it is from, for the error message.

    Raises:
        ConfigError: a key or value that an experiment does not have, or one that is missing.
    """
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_explained(error)}") from None


def _explained(error: ValidationError) -> str:
    """The first problem in a sentence: where, what came, what was expected."""
    problems = error.errors()
    # An unknown key is the cause of what a missing one reports, so it is named first.
    problem = min(problems, key=lambda problem: problem["type"] != "key_unknown")
    key = _key(problem)
    known = problem.get("ctx", {})
    match problem["type"]:
        case "key_unknown":
            return f"unknown key '{key and key + '.'}{known['key']}'; {nearest_name(known['key'], known['known'])}"
        case "tag_unknown":
            return f"{key}.{known['key']} is {known['tag']!r}; {nearest_name(str(known['tag']), known['known'])}"
        case "tag_missing":
            return f"the section '{key}' needs a '{known['key']}'."
        case "bool_unexpected":
            return f"{key and key + '.'}{known['key']}: expected a number or a word; got true or false."
        case "missing":
            return f"the key '{key}' is missing."
    if isinstance(problem["input"], Mapping):  # a whole section: the message itself says what came
        return f"{key and key + ': '}{expected(problem)}."
    # Where a key takes this or that, each has its own complaint; the one about an item of a list says most.
    of_the_key = [each for each in problems if each["type"] != "key_unknown" and _key(each).startswith(key)]
    deepest = max(of_the_key, key=lambda each: _key(each).count("."))
    alike = [each for each in of_the_key if _key(each) == _key(deepest)]
    wanted = list(dict.fromkeys(expected(each).removeprefix("expected ") for each in alike))
    words = f"expected {' or '.join(wanted)}" if expected(alike[0]).startswith("expected") else expected(alike[0])
    return f"{_key(deepest)}: {words}; got {_shown(deepest['input'])}."


def _key(problem: ErrorDetails) -> str:
    """Where a problem is; beside keys, a location names which type of several was tried."""
    return ".".join(str(part) for part in problem["loc"] if not _is_a_type(part))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_a_type(part: str | int) -> bool:
    return isinstance(part, str) and (
        part in ("int", "float", "str") or part.startswith(("tuple[", "literal[", "function-", "constrained-"))
    )
