"""The verb that audits samples: audit."""

import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.markup import escape

from taumem.cli.audit_tables import show_audit, show_gates, show_verification
from taumem.cli.console import err, out, print_json, progress_bars
from taumem.cli.entry import AsBytes, Flag, Json, OutputFolder, ValueRange, WholeOrNone, app
from taumem.errors import ConfigError, TaumemWarning

if TYPE_CHECKING:
    from taumem.audit.gates import Judged
    from taumem.record.audit import AuditRecord

__all__ = ["audit"]

Source = Annotated[str | None, Parameter(allow_leading_hyphen=False)]
DIFFERS = 1
"""Exit code where an audit that is verified comes out otherwise."""


@app.command
def audit(
    *,
    train: Source = None,
    generated: Source = None,
    heldout: Source = None,
    output: OutputFolder | None = None,
    fail_on: Annotated[str | None, Parameter(allow_leading_hyphen=False)] = None,
    orbit: Literal["none", "light", "full"] | None = None,
    rule: str | None = None,
    q: float | None = None,
    groups: Source = None,
    losses: Source = None,
    stress: Source = None,
    features: str | None = None,
    size: WholeOrNone = None,
    window: WholeOrNone = None,
    as_bytes: AsBytes = False,
    key: str | None = None,
    value_range: ValueRange = None,
    limit: WholeOrNone = None,
    skip_unreadable: Flag = False,
    near_duplicates: bool = True,
    most_null: WholeOrNone = None,
    parts: bool = True,
    seed: WholeOrNone = None,
    memory: WholeOrNone = None,
    redact: Flag = False,
    junit: Path | None = None,
    verify: Path | None = None,
    demo: Flag = False,
    json: Json = False,
) -> None:
    """Find the samples that are copies of training items: which, of what, and with which certainty.

    A sample's nearest training item is set against the nearest ones of items that copy nothing. Exit codes: 0 done;
    1 a gate failed, or what was verified differs; 2 the input cannot be used; 3 a gate could not be decided.

    Parameters
    ----------
    train
        What the model was trained on: a folder of images, a file (.npy, .npz, CIFAR-10's .bin, idx, text with one item
        a line), a folder of text files, or hf:NAME for a Hugging Face dataset.
    generated
        The samples, likewise.
    heldout
        Items of the same source that the model never saw, likewise. Without them training items stand in, and less can
        be said.
    output
        Folder for audit.json, the findings (.csv, .parquet), report.html and model-card.md; audit if not given.
    fail_on
        What must not be, separated by commas, such as 'copies>0.01' (judged by the exact interval), 'copies.low>0' or
        'flagged>0', 'identical>0', 'rules[gap<1/2]>0.1'. Exit code 1 if one is, 3 if the items are too few to tell.
    orbit
        In which views images are compared: none (as they are), light (mirrored and relit too) or full (shifted, turned
        and cropped too); full if not given.
    rule
        What counts as a copy, such as 'gap<1/3'; the usual rule of the kind of items if not given.
    q
        The false discovery rate at which samples are flagged; 0.05 if not given.
    groups
        A .csv, .tsv or .json file that says which items belong together (patients, scenes, authors).
    losses
        The folder of a run of taumem's (or of a Guard) with the same training set: a membership test on its losses.
    stress
        Samples of the same model after a stress test (taumem.cycle): they are audited too, and counted beside the
        others.
    features
        What images are compared by: pixels, colors-and-edges, module:function, or a .pt or .onnx file; pixels if not
        given.
    size
        Height and width in pixels to bring images to, where sizes differ.
    window
        Cut texts into windows of so many symbols; each line is an item if not given.
    as_bytes
        Take files of text as bytes.
    key
        Which array of a .npz file.
    value_range
        Which values of arrays are black and full intensity, such as 0 1; by their type, and floats of which some are
        negative as -1 1, if not given.
    limit
        Take at most so many samples, evenly spread; training and held-out items are taken whole.
    skip_unreadable
        Pass over files that cannot be read.
    near_duplicates
        Whether near-duplicates count as one; --no-near-duplicates counts each for itself.
    most_null
        Compare at most so many items that copy nothing; 2000 if not given.
    parts
        Whether copies of parts are looked for; --no-parts saves their time.
    seed
        Of every draw; 0 if not given.
    memory
        Bytes that a search may take.
    redact
        Leave names of files, images and texts out of the findings and the page.
    junit
        A file to write gates and controls to, as JUnit XML.
    verify
        The folder of an audit: make it again from its inputs (or those given here) and say what differs.
    demo
        Audit the samples of a small model that has memorized its training images; needs no input.
    json
        Print the record as one JSON object on standard output.
    """
    from taumem.audit.gates import exit_code, judge, parse_gates
    from taumem.report.audit_page import write_audit_page
    from taumem.report.junit import Case, write_junit
    from taumem.report.model_card import write_model_card

    gates = () if fail_on is None else parse_gates(fail_on, rule)
    sets: dict[str, Any] = {
        "generated": generated,
        "train": train,
        "heldout": heldout,
        "groups": groups,
        "losses": losses,
        "stress": stress,
    }
    options = _given(
        orbit=orbit, rule=rule, q=q, features=features, size=size, window=window, as_bytes=as_bytes or None, key=key,
        value_range=value_range, limit=limit, skip_unreadable=skip_unreadable or None,
        near_duplicates=near_duplicates and None, most_null=most_null, parts=parts and None, seed=seed, memory=memory,
        redact=redact or None,
    )  # fmt: skip
    if verify is not None:
        _verify(verify, sets, options, json)
    folder = output or Path("taumem-audit-demo" if demo else "audit")
    record = _demo(folder, sets, options) if demo else _audit(folder, sets, options)
    again = ["taumem", "audit", *(["--demo"] if demo else []), *_flags(sets | options)]
    write_audit_page(
        folder / "report.html",
        record,
        redact=redact,
        reproduce=shlex.join([*again, "-o", str(folder)]),
        verify=shlex.join(["taumem", "audit", "--verify", str(folder)]),
    )
    write_model_card(folder / "model-card.md", record)
    record = record.noting(folder, "report.html", "model-card.md")
    record.write(folder)
    judged = judge(record, gates)
    if junit is not None:
        write_junit(junit, record, [Case(str(each.gate), each.outcome, each.sentence) for each in judged])
    _show(record, judged, folder, json)
    sys.exit(exit_code(judged))


def _audit(folder: Path, sets: dict[str, Any], options: dict[str, Any]) -> "AuditRecord":
    from taumem.audit import audit as audit_samples

    if missing := [f"--{name}" for name in ("train", "generated") if sets[name] is None]:
        raise ConfigError(
            f"an audit compares samples with the training set: give {' and '.join(missing)} too, as in 'taumem audit "
            "--train FOLDER --generated FOLDER'; or look at one by --demo."
        )
    with _untold() if "redact" in options else nullcontext(), progress_bars() as advance:
        return audit_samples(**sets, output=folder, progress=advance, **options)


@contextmanager
def _untold() -> Iterator[None]:
    """Count notes about inputs instead of printing them: they name items, and what is printed is kept in logs."""
    with warnings.catch_warnings(record=True) as kept:
        warnings.simplefilter("always", TaumemWarning)
        yield
    if kept:
        from taumem.analysis.wording import plural

        left = f"--redact leaves out {plural(len(kept), 'note')} about the inputs, which name items."
        err.print(f"[yellow]note:[/] {left}", soft_wrap=True)


def _demo(folder: Path, sets: dict[str, Any], options: dict[str, Any]) -> "AuditRecord":
    from taumem.lab.audit_demo import audit_demo

    if given := _flags(sets | {name: value for name, value in options.items() if name != "redact"}):
        raise ConfigError(f"--demo brings its own data and settings; leave out {shlex.join(given)}, or --demo.")
    with progress_bars() as advance:
        return audit_demo(folder, redact="redact" in options, progress=advance)


def _verify(folder: Path, sets: dict[str, Any], options: dict[str, Any], json: bool) -> None:
    """Make an audit again, say what differs, and leave."""
    from taumem.audit import verify

    features = options.pop("features", None)
    if options:
        raise ConfigError(f"--verify takes the settings of the audit itself; leave out {', '.join(_flags(options))}.")
    with progress_bars() as advance:
        found = verify(folder, **sets, features=features, progress=advance)
    if json:
        facts = {"other_inputs": list(found.other_inputs), "differences": list(found.differences)}
        print_json({"folder": str(folder), "compared": found.compared, **facts})
    else:
        show_verification(folder, found)
    sys.exit(0 if found.agrees else DIFFERS)


def _show(record: "AuditRecord", judged: "Sequence[Judged]", folder: Path, json: bool) -> None:
    if json:
        print(record.to_json())
    else:
        show_audit(record)
    show_gates(judged)
    if not json:
        files = ", ".join(["audit.json", *record.findings])
        out.print(f"Wrote {escape(files)} to {escape(str(folder))}.", soft_wrap=True)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; what an audit does without them is for it to say."""
    return {name: value for name, value in options.items() if value is not None}


def _flags(options: dict[str, Any]) -> list[str]:
    """Options as they stand on the command line."""
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{ {'as_bytes': 'bytes'}.get(name, name).replace('_', '-') }"
        if value is False:
            flags.append(f"--no-{flag[2:]}")
        elif value is not None:
            words = [f"{end:g}" for end in value] if isinstance(value, tuple) else [str(value)]
            flags += [flag] if value is True else [flag, *words]
    return flags
