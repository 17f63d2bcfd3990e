"""What an audit finds of copies that were planted, and how often it names a sample that copies nothing.

::

    python benchmarks/audit_planted.py images                                  # Fashion-MNIST, 200 audits an orbit
    python benchmarks/audit_planted.py images --data cifar-10-batches-bin      # color images
    python benchmarks/audit_planted.py images --duplicates 2                   # with near-duplicates of every source
    python benchmarks/audit_planted.py text --audits 200                       # windows of the built-in English
    python benchmarks/audit_planted.py images --table                          # the tables of what was measured

Each audit draws other training items, held-out items and novel samples from the same data, so that novel samples and
held-out items are exchangeable, and plants copies of every kind (``planted_kinds.py``). Each result is a line of a
file; what is there is not measured again, so an interrupted run goes on where it was.

Asked for, stated before the runs: over 200 audits the mean share of novel samples among those that are flagged at
q = 0.05 is at most 0.05 within its standard error, for each kind of data and each orbit, with and without
near-duplicates; and of the first seven kinds, five of each, the full orbit finds at least 30 of 35 in pixels.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from planted_kinds import FIRST_KINDS, IMAGE_KINDS, TEXT_KINDS
from planted_sets import Planted, Sizes, planted_images, planted_texts

from taumem.data import load_english, load_fashion_mnist, load_images, normalize_text8
from taumem.neighbors import distinct_items
from taumem.record.files import write_atomically

Case = dict[str, Any]
Line = dict[str, Any]

NOVEL = ""
"""The kind of a sample that copies nothing."""


# --- one audit ------------------------------------------------------------------------------------------------------


def measured(planted: Planted, audit: Callable[..., Any], **options: Any) -> Line:
    """Audit what was planted, and count by kind: samples, flagged ones, copies by the rule, and flagged ones for which
    the right training item was found."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        # Without names, findings hold places; copies of parts are counted apart, and are not planted.
        record = audit(
            planted.generated, planted.train, planted.heldout, output=folder, redact=True, parts=False, **options
        )
        found = pyarrow.parquet.read_table(Path(folder) / "findings.parquet").to_pydict()
    order = np.argsort(found["row"])
    flagged, copied = (np.array(found[name])[order] for name in ("flagged", "copied"))
    is_right = planted.is_right(np.array([int(place) for place in found["nearest"]])[order])
    kinds = np.array(planted.kinds)
    counts = {
        kind: [int(sum(mask & (kinds == kind))) for mask in (kinds == kind, flagged, copied, flagged & is_right)]
        for kind in dict.fromkeys(planted.kinds)
    }
    return {
        "kinds": counts,
        "verdict": record.verdict.state,
        "withheld": list(record.verdict.withheld),
        "controls": {control.name: [control.count, control.n, control.passed] for control in record.controls},
        "near": record.duplicates.train_near,
        "seconds": round(time.perf_counter() - begin, 2),
    }


def source_of(what: str, data: str | None) -> tuple[str, Callable[[Sizes, int], Planted]]:
    """A name for the data, and what makes the sets of an audit of them."""
    if what == "images":
        images = load_images(data) if data else load_fashion_mnist()
        pool = images[distinct_items(images)]
        return Path(data).name if data else "fashion-mnist", lambda sizes, seed: planted_images(pool, sizes, seed)
    text = Path(data).read_text() if data else normalize_text8(" ".join(load_english().values()))
    return Path(data).name if data else "english", lambda sizes, seed: planted_texts(text, WINDOW, sizes, seed)


WINDOW = 64
"""Symbols of a text."""


# --- many audits ----------------------------------------------------------------------------------------------------


def cases_of(name: str, arguments: argparse.Namespace) -> Iterator[tuple[Case, Sizes]]:
    """The audits that are asked for; those of different orbits have the same sets."""
    sizes = Sizes(arguments.train, arguments.heldout, arguments.novel, arguments.each, arguments.duplicates)
    orbits = arguments.orbits if arguments.what == "images" else ["none"]
    for number in range(arguments.audits):
        for orbit in orbits:
            yield (
                {"data": name, "orbit": orbit, "q": arguments.q, **vars(sizes), "seed": arguments.seed + number},
                sizes,
            )


def read_lines(file: Path) -> list[Line]:
    """What was measured; a last line that was cut off is left out, here and in the file."""
    if not file.exists():
        return []
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    write_atomically(file, "".join(whole))
    return [json.loads(line) for line in whole]


def run(arguments: argparse.Namespace) -> None:
    """Make all audits that are missing."""
    from taumem.audit import audit

    name, make = source_of(arguments.what, arguments.data)
    done = [line["case"] for line in read_lines(arguments.results)]
    todo = [(case, sizes) for case, sizes in cases_of(name, arguments) if case not in done]
    for number, (case, sizes) in enumerate(todo, 1):
        options = {"orbit": case["orbit"]} if arguments.what == "images" else {}
        line = measured(make(sizes, case["seed"]), audit, q=case["q"], seed=case["seed"], **options)
        with arguments.results.open("a") as file:
            file.write(json.dumps({"case": case, **line}) + "\n")
        print(f"{number} of {len(todo)}: {line['seconds']} s, {line['verdict']}", flush=True)


# --- tables ---------------------------------------------------------------------------------------------------------


def mean(values: list[float], digits: int = 1, scale: float = 100.0) -> str:
    """The mean with its standard error over audits, in percent unless scaled otherwise."""
    array = scale * np.array(values, dtype=float)
    if not len(array):
        return "-"
    error = array.std(ddof=1) / np.sqrt(len(array)) if len(array) > 1 else np.nan
    return f"{array.mean():.{digits}f} ± {error:.{digits}f}"


def false_share(line: Line) -> float:
    """The share of novel samples among the flagged ones; 0 where none is."""
    flagged = {kind: counts[1] for kind, counts in line["kinds"].items()}
    return flagged.get(NOVEL, 0) / max(1, sum(flagged.values()))


def first_35(line: Line) -> float:
    """How many of five planted copies of each of the first seven kinds are flagged, on average over which five."""
    counts = [line["kinds"][kind] for kind in FIRST_KINDS if kind in line["kinds"]]
    return sum(5 * flagged / n for n, flagged, *_ in counts)


def tables(lines: list[Line]) -> str:
    """All that was measured, one table for each kind of data and sizes: kinds by orbits."""
    settings = dict.fromkeys(json.dumps(_without(line["case"], "orbit", "seed")) for line in lines)
    return "\n\n".join(
        _table([line for line in lines if json.dumps(_without(line["case"], "orbit", "seed")) == setting])
        for setting in settings
    )


def _table(lines: list[Line]) -> str:
    case = _without(lines[0]["case"], "orbit", "seed")
    by_orbit = {
        orbit: [line for line in lines if line["case"]["orbit"] == orbit] for orbit in ("none", "light", "full")
    }
    by_orbit = {orbit: part for orbit, part in by_orbit.items() if part}
    rows = [(kind, kind, _recall) for kind in {**IMAGE_KINDS, **TEXT_KINDS} if kind in lines[0]["kinds"]]
    if all(kind in lines[0]["kinds"] for kind in FIRST_KINDS):
        rows.append(("flagged of the first 35", "", lambda part, _: mean([first_35(line) for line in part], 1, 1)))
    rows += [
        ("false share of the flagged", "", lambda part, _: mean([false_share(line) for line in part], 2)),
        ("novel samples, copies by the rule", "", lambda part, _: mean([_share(line, NOVEL, 2) for line in part], 2)),
        ("audits with a false flag", "", lambda part, _: mean([false_share(line) > 0 for line in part])),
        ("negative control fails", "", lambda part, _: mean([not _passed(line, "negative") for line in part])),
        ("verdict: copies", "", lambda part, _: mean([line["verdict"] == "copies" for line in part])),
        ("seconds", "", lambda part, _: mean([line["seconds"] for line in part], 1, 1)),
    ]
    title = ", ".join(f"{name} {value}" for name, value in case.items())
    head = " | ".join(f"orbit {orbit} ({len(part)} audits)" for orbit, part in by_orbit.items())
    body = [
        f"| {name} | " + " | ".join(say(part, kind) for part in by_orbit.values()) + " |" for name, kind, say in rows
    ]
    what = "In percent with standard errors: flagged / copies by the rule / flagged with the right training item."
    return "\n".join([f"{title}. {what}", "", f"| | {head} |", "|---" * (1 + len(by_orbit)) + "|", *body])


def _recall(part: list[Line], kind: str) -> str:
    return " / ".join(mean([_share(line, kind, place) for line in part]) for place in (1, 2, 3))


def _share(line: Line, kind: str, place: int) -> float:
    counts = line["kinds"].get(kind, [0, 0, 0, 0])
    return float(counts[place] / max(1, counts[0]))


def _passed(line: Line, control: str) -> bool:
    return line["controls"][control][2] is not False


def _without(case: Case, *names: str) -> Case:
    return {name: value for name, value in case.items() if name not in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "text"])
    parser.add_argument("--data", help="a folder or file of images, or a file of text; built-in ones if left out")
    parser.add_argument("--audits", type=int, default=200)
    parser.add_argument("--orbits", nargs="+", default=["none", "light", "full"], choices=["none", "light", "full"])
    parser.add_argument("--q", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1, help="of the first audit; the others count on")
    for name, value in vars(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--results", type=Path, default=Path("audit_planted.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    arguments = parser.parse_args()
    if not arguments.table:
        run(arguments)
    print(tables(read_lines(arguments.results)))


if __name__ == "__main__":
    main()
