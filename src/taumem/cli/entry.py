"""The app that the verbs are put into, what they share, and what becomes of an error."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter, Token
from rich.markup import escape

import taumem
from taumem.cli.console import err
from taumem.errors import ConfigError, TaumemError, TaumemWarning

__all__ = [
    "CONFIDENCE",
    "Confidence",
    "FormerLevel",
    "Json",
    "OutputFile",
    "OutputFolder",
    "Runs",
    "Whole",
    "WholeOrNone",
    "Wholes",
    "app",
    "main",
    "one_confidence",
]

app = App(
    name="taumem",
    help="When does a diffusion model start to memorize? Measure it, forecast it, stop in time.",
    version=taumem.__version__,
    suppress_keyboard_interrupt=False,
)

Json = Annotated[bool, Parameter(name="--json", negative="")]
OutputFolder = Annotated[Path, Parameter(name=["--output", "-o"])]
OutputFile = OutputFolder
Runs = Annotated[list[Path], Parameter(allow_leading_hyphen=False)]


def _whole_numbers(kind: Any, tokens: Sequence[Token]) -> int | list[int]:
    """Take whole numbers as they stand: cyclopts would round 1.5 to 2 without a word."""
    try:
        numbers = [int(token.value) for token in tokens]
    except ValueError:
        came = " ".join(token.value for token in tokens)
        # No ConfigError, which is a ValueError: cyclopts would catch it, and put the one line into a box.
        raise TaumemError(f"{tokens[0].keyword}: expected a whole number; got {came}.") from None
    return numbers if "list" in str(kind) else numbers[0]


WHOLE = Parameter(converter=_whole_numbers)
Whole = Annotated[int, WHOLE]
WholeOrNone = Annotated[int | None, WHOLE]
Wholes = Annotated[list[int] | None, WHOLE, Parameter(negative="", consume_multiple=True)]
CONFIDENCE = 0.9
"""Of intervals, where none is asked for."""
Confidence = Annotated[float, Parameter(name="--confidence")]
FormerLevel = Annotated[float | None, Parameter(name="--level", show=False)]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and exit."""
    warnings.showwarning = _show_warning
    try:
        app(arguments)
    except TaumemError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}; check the path and its permissions.", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("\nInterrupted. What was done is kept: the same command goes on from there.")
        sys.exit(130)


def one_confidence(confidence: float, former: float | None) -> float:
    """The confidence, where ``--level``, its former name, may have been given instead."""
    if former is None:
        return confidence
    if confidence != CONFIDENCE:
        raise ConfigError("--level is the former name of --confidence; give one of the two.")
    warnings.warn("--level is called --confidence now.", TaumemWarning, stacklevel=2)
    return former


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    if issubclass(category, TaumemWarning):
        err.print(f"[yellow]note:[/] {escape(str(message))}", soft_wrap=True)
