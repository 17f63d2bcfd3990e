"""The app that the verbs are put into, what they share, and what becomes of an error."""

import errno
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter, Token
from rich.markup import escape

import taumem
from taumem.cli.console import UNREAD, err
from taumem.errors import ConfigError, TaumemError, TaumemWarning

__all__ = [
    "CONFIDENCE",
    "AsBytes",
    "Confidence",
    "Flag",
    "FormerLevel",
    "Json",
    "OutputFile",
    "OutputFolder",
    "Runs",
    "ValueRange",
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

Flag = Annotated[bool, Parameter(negative="")]
AsBytes = Annotated[bool, Parameter(name="--bytes", negative="")]
ValueRange = Annotated[tuple[float, float] | None, Parameter(negative="")]
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
INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended."""
CONFIDENCE = 0.9
"""Of intervals, where none is asked for."""
Confidence = Annotated[float, Parameter(name="--confidence")]
FormerLevel = Annotated[float | None, Parameter(name="--level", show=False)]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line, and exit."""
    warnings.showwarning = _show_warning
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed by whoever started this (>&-)
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (open until the end)
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    try:
        code = _code_of(arguments)
    except KeyboardInterrupt:  # another one, while the last was being answered
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # nobody reads what went wrong
        code = UNREAD
    if code == INTERRUPTED and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing more can be stopped, and leaving takes a moment
    _forget_what_nobody_reads()
    sys.exit(code)


def _code_of(arguments: list[str] | None) -> str | int | None:
    """Run a verb, say what went wrong, and give the exit code."""
    try:
        try:
            app(arguments)
        finally:
            sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code
    except TaumemError as error:
        problem = str(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        from taumem.record.files import why_not_written  # not before: it takes a moment

        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        output = error.filename or "the output"
        problem = why_not_written(output, error) if is_full else f"{error}; check the path and its permissions."
    except KeyboardInterrupt:
        err.print("\nInterrupted. What was done is kept: the same command goes on from there.")
        return INTERRUPTED
    else:
        return 0
    err.print(f"[bold red]error:[/] {escape(problem)}", soft_wrap=True)
    return 2


def _forget_what_nobody_reads() -> None:
    """Send what could not be written to an output nowhere: Python would try again as it leaves, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
