"""What a key takes, where what came is refused: pydantic's complaints in taumem's words."""

from pydantic_core import ErrorDetails

__all__ = ["expected"]

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a word or a text, in quotes",
    "tuple": "a list, such as [64, 128]",
    "list": "a list, such as [64, 128]",
    "finite": "a finite number",
    "dict": "a section with keys of its own",
    "model": "a section with keys of its own",
}
"""By the beginning of pydantic's name of the complaint, what was expected."""

_LIMITS = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "too_short": "a list of at least {min_length} value(s), such as [64, 128]",
    "too_long": "a list of at most {max_length} values",
    "string_too_short": "a text of at least {min_length} character(s)",
    "literal_error": "{expected}",
}
"""By pydantic's name of the complaint, what was expected, with the limit that it names."""


def expected(problem: ErrorDetails) -> str:
    """Say what a key takes.

    Args:
        problem: one of the errors that pydantic raises for an experiment.

    Returns:
        The beginning of a sentence, without what came.
    """
    kind, limits = problem["type"], problem.get("ctx", {})
    if kind in _LIMITS:
        told = {name: f"{limit:,}" if isinstance(limit, int) else limit for name, limit in limits.items()}
        return f"expected {_LIMITS[kind].format_map(told)}"
    if wanted := _TYPES.get(kind.split("_")[0]):
        return f"expected {wanted}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"
