"""The verbs about files: seal, unseal."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from taumem.cli.console import out, print_json, progress_bars
from taumem.cli.entry import Json, OutputFile, OutputFolder, WholeOrNone, app

__all__ = ["seal", "unseal"]


@app.command
def seal(
    study: Path,
    /,
    *,
    output: OutputFile | None = None,
    digits: WholeOrNone = None,
    pictures: WholeOrNone = None,
    shades: WholeOrNone = None,
    short_errors: Annotated[bool, Parameter(negative="")] = False,
    replace: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Write a finished study into one compact file, which every verb reads like its folder.

    Nothing is lost unless you ask for a smaller file; the folder stays as it is.

    Parameters
    ----------
    study
        The study's folder, or a sealed file to make a smaller one of.
    output
        The file, with the suffix .sealed; STUDY.sealed if not given.
    digits
        Round the values of items to so many digits of the mean of their look (2 to 7), which stays exact.
    pictures
        Keep the first so many samples of each look; how alike twins are is recorded before.
    shades
        Round pictures to so many shades (2 to 256).
    short_errors
        Keep standard errors to 7 digits.
    replace
        Overwrite a file that exists.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import agreement_of_twins
    from taumem.record import read_runs
    from taumem.record import seal as seal_study

    with progress_bars() as advance:
        file = seal_study(
            study,
            output,
            digits=digits,
            pictures=pictures,
            shades=shades,
            short_errors=short_errors,
            extra=agreement_of_twins(read_runs(study)) if pictures is not None else None,
            replace=replace,
            progress=lambda done, total: advance("packed", done, total),
        )
    size = file.stat().st_size
    content = {"file": str(file), "bytes": size}
    print_json(content) if json else out.print(f"Wrote {escape(str(file))} ({size / 1e6:.2f} MB).", soft_wrap=True)


@app.command
def unseal(file: Path, /, *, output: OutputFolder | None = None, json: Json = False) -> None:
    """Write the runs of a sealed study into folders, where they can be added to.

    Parameters
    ----------
    file
        The sealed study.
    output
        A new or an empty folder; the file's name without its suffix if not given.
    json
        Print one JSON object on standard output.
    """
    from taumem.record import unseal as unseal_study

    with progress_bars() as advance:
        folder = unseal_study(file, output, progress=lambda done, total: advance("runs", done, total))
    print_json({"folder": str(folder)}) if json else out.print(f"Wrote {escape(str(folder))}.", soft_wrap=True)
