"""Every error and warning that taumem raises on purpose.

::

    TaumemError
    ├── ConfigError (ValueError)    an experiment, an option or an argument cannot be used
    ├── DataError (ValueError)      a data set cannot be read, or is not what training needs
    └── RecordError (ValueError)    a record on disk cannot be read, or must not be continued

    TaumemWarning (UserWarning)     the result stands, but the reader should know something about it

A message says what was expected, what came, and what to do about it. The command line prints it on one line and
exits with code 2; it never shows a traceback for a ``TaumemError``.
"""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

__all__ = [
    "ConfigError",
    "DataError",
    "RecordError",
    "TaumemError",
    "TaumemWarning",
    "first_difference",
    "nearest_name",
    "option",
    "shortened",
]

MOST_NAMES, LONGEST = 40, 80
"""How many names a message lists, and of how many characters each."""


class TaumemError(Exception):
    """The root of every error that taumem raises on purpose."""


class ConfigError(TaumemError, ValueError):
    """An experiment, an option or an argument cannot be used as it is."""


class DataError(TaumemError, ValueError):
    """A data set cannot be read, or is not what training needs."""


class RecordError(TaumemError, ValueError):
    """A record on disk cannot be read, or must not be continued by this run."""


class TaumemWarning(UserWarning):
    """The result stands, but the reader should know something about it."""


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Say which known name comes closest to an unknown one: the tail of an error message.

    Args:
        name: what came.
        known: the names that would have been understood.

    Returns:
        A sentence such as ``"did you mean 'cosine'? Known: cosine, linear."``

    >>> nearest_name("cosin", ["linear", "cosine"])
    "did you mean 'cosine'? Known: cosine, linear."
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"{hint}Known: {', '.join(map(shortened, names[:MOST_NAMES]))}{more}."


def shortened(name: str) -> str:
    """A name for a message, with the middle of a very long one left out.

    >>> shortened("val/loss"), len(shortened("val/" + 300 * "x"))
    ('val/loss', 80)
    """
    return name if len(name) <= LONGEST else f"{name[:50]}...{name[50 - LONGEST + 3 :]}"


def option(name: str, flag: str | None = None) -> str:
    """An option by both of its names, for messages that do not know whether it was a flag or an argument.

    Args:
        name: in Python, and in an experiment's file.
        flag: on the command line, where it is not the same with hyphens.

    >>> option("value_range")
    'value_range (--value-range)'
    """
    return f"{name} (--{flag or name.replace('_', '-')})"


def first_difference(was: Any, now: Any, name: str = "") -> str:
    """Say where two unequal values as in JSON first differ: a part of an error message.

    >>> first_difference({"data": {"window": 64}}, {"data": {"window": 32}})
    'its data.window is 64, this one has 32'
    """
    if isinstance(was, dict) and isinstance(now, dict):
        key = next(k for k in (*now, *was) if k not in was or k not in now or was[k] != now[k])
        return first_difference(was.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    there, here = (text if len(text := json.dumps(value)) <= 60 else text[:57] + "..." for value in (was, now))
    return f"its {name} is {there}, this one has {here}"
