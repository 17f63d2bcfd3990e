"""The verb that looks before anything is trained: doctor."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Column

from taumem.cli.console import add_row, new_table, out, print_json, progress_bars, show_table
from taumem.cli.entry import AsBytes, Flag, Json, ValueRange, WholeOrNone, app
from taumem.errors import ConfigError

if TYPE_CHECKING:
    from taumem.doctor import Diagnosis, Environment
    from taumem.doctor.items import Groups, ItemsSeen
    from taumem.doctor.prospects import Prospects

__all__ = ["doctor"]

IN_THE_WAY = 1
"""Exit code where something stands in the way."""
NAMED = 20
"""Files that cannot be read, of which the screen tells; JSON has all."""
_COLORS = {"works": "", "missing": "dim", "other version": "yellow", "broken": "bold red"}


@app.command
def doctor(
    data: Annotated[str | None, Parameter(allow_leading_hyphen=False)] = None,
    /,
    *,
    groups: Path | None = None,
    size: WholeOrNone = None,
    window: WholeOrNone = None,
    as_bytes: AsBytes = False,
    key: str | None = None,
    value_range: ValueRange = None,
    limit: WholeOrNone = None,
    skip_unreadable: Flag = False,
    imports: Flag = False,
    json: Json = False,
) -> None:
    """Say before anything is trained: is everything here, what are the data, and can a forecast be made from them?

    Exit codes: 0 all is well; 1 something stands in the way, and it says what; 2 there are no such data.

    Parameters
    ----------
    data
        What is to be trained on: a folder of images or texts, a file (.npy, .npz, CIFAR-10's .bin, idx, text with one
        item a line), or hf:NAME. The environment alone if not given.
    groups
        A .csv, .tsv or .json file that says which items belong together (patients, scenes, authors).
    size
        Height and width in pixels at which images are compared; 32 if not given.
    window
        Cut texts into windows of so many symbols; each line, or each file of a folder, is an item if not given.
    as_bytes
        Take files of text as bytes.
    key
        Which array of a .npz file.
    value_range
        Which values of arrays are black and full intensity, such as 0 1.
    limit
        Look at no more than so many items, evenly spread; 4000 of a file, and of a folder what takes about a minute, if
        not given.
    skip_unreadable
        Do not mind files that cannot be read.
    imports
        Import what the extras bring, too: it can take a minute, and finds what is installed and broken.
    json
        Print one JSON object on standard output.
    """
    from taumem.doctor import diagnose

    given = {
        "size": size,
        "window": window,
        "as_bytes": as_bytes,
        "key": key,
        "value_range": value_range,
        "limit": limit,
        "skip_unreadable": skip_unreadable,
    }
    reading = {name: value for name, value in given.items() if value is not None and value is not False}
    if data is None and (reading or groups):
        raise ConfigError("these options say how data are read: name the data too, as in 'taumem doctor FOLDER'.")
    with progress_bars() as advance:
        diagnosis = diagnose(data, groups=groups, imports=imports, progress=advance, **reading)
    if json:
        print_json(diagnosis.to_json())
    else:
        _show(diagnosis, extras=data is None)
    sys.exit(0 if diagnosis.is_well else IN_THE_WAY)


def _show(diagnosis: "Diagnosis", extras: bool) -> None:
    """Print a diagnosis on one screen, what stands in the way last."""
    _show_environment(diagnosis.environment)
    if extras:
        _show_extras(diagnosis.environment)
    if diagnosis.items:
        _show_items(diagnosis.items)
    if diagnosis.prospects:
        _show_prospects(diagnosis.prospects)
    for caution in diagnosis.cautions:
        _say(caution, "yellow")
    for obstacle in diagnosis.obstacles:
        out.print(f"[bold red]In the way:[/] {escape(_plain(obstacle))}", soft_wrap=True)
    if diagnosis.is_well:
        _say("Nothing stands in the way.", "bold green")


def _show_environment(found: "Environment") -> None:
    _say(f"taumem {found.taumem}, Python {found.python} ({found.executable}), {found.system}", "bold")
    memory = "" if found.memory is None else f", {found.memory / 1e9:.0f} GB of memory"
    devices = ", ".join(found.devices) or "no GPU that torch sees"
    _say(f"{found.cores} {'core' if found.cores == 1 else 'cores'}{memory}; {devices}")
    works = [package for package in found.packages if package.state == "works"]
    leading = [p.told for p in works if p.name in ("torch", "numpy", "scipy", "pillow")]
    _say(f"{len(works)} of {len(found.packages)} packages work that taumem needs: {', '.join(leading)}, ...", "dim")


def _show_extras(found: "Environment") -> None:
    table = new_table("extra", "state", "for", Column("brought by", no_wrap=True))
    for extra in found.extras:
        missing = ", ".join(package.name for package in extra.packages if package.state == "missing")
        state = {"works": "installed", "missing": f"without {missing}"}.get(extra.state, extra.state)
        add_row(table, extra.name, state, extra.purpose, extra.command)
        table.rows[-1].style = _COLORS[extra.state]
    show_table(table)


def _show_items(found: "ItemsSeen") -> None:
    from taumem.analysis.wording import plural

    formats = f" ({found.formats})" if found.formats else ""
    part = "" if found.n_looked_at == found.n_there else f", of {found.n_there:,}: a part, evenly spread"
    _say(f"\n{found.source}: {plural(found.n_read, found.kind.removesuffix('s'))} read{part}{formats}", "bold")
    for why in found.unreadable[:NAMED]:
        _say(f"unreadable: {why}", "red")
    if len(found.unreadable) > NAMED:
        _say(f"and {len(found.unreadable) - NAMED:,} more that cannot be read (--json names all).", "red")
    if not found.n_read:
        return
    _say(found.forms)
    told = [f"{found.identical:,} equal an earlier one" if found.identical else "no two are equal"]
    told += [_groups(found.near, "near-duplicates make", "with near-duplicates as one")] if found.near else []
    told += [_groups(found.named, "the table of groups makes", "by the table of groups")] if found.named else []
    _say(f"{'; '.join(told)}. P = {found.n_units:,}.")


def _groups(groups: "Groups", makes: str, by_it: str) -> str:
    """How many there are by some groups, most of which may be of one item."""
    if groups.example is None:
        return f"{makes} no groups"
    are = f"{'are' if groups.count > 1 else 'is'} {groups.count:,}"
    return f"{by_it} there {are}, the largest group of {groups.largest:,} ({' and '.join(groups.example)})"


def _show_prospects(found: "Prospects") -> None:
    for sentence in (*found.sentences, *found.doubts) if found.is_feasible else ():
        _say(sentence)
    _say("\nWhat to do:", "bold")
    for advice in found.advice:
        _say(f"- {advice.what} ({advice.page})")
        _say(f"    {advice.how}", "cyan")


def _say(words: str, style: str = "") -> None:
    lead = "\n" if words.startswith("\n") else ""
    out.print(f"{lead}{escape(_plain(words.removeprefix(lead)))}", style=style or None, soft_wrap=True, highlight=False)


def _plain(words: str) -> str:
    from taumem.analysis.wording import plain_name

    return plain_name(words)
