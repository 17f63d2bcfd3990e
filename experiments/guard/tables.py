"""The tables of docs/guard.md, from results.jsonl.

python experiments/guard/tables.py          # write them into docs/guard.md
python experiments/guard/tables.py print    # or print them
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

RESULTS = Path(__file__).with_name("results.jsonl")
SEEN = {("diffusers", 0), ("diffusers", 1), ("flow", 0), ("flow", 1)}  # pilots, when the amendment was stated
PAGE = Path(__file__).parents[2] / "docs" / "guard.md"
RULES = ("quality", "balanced", "no_copies", "privacy")
LOOPS = ("diffusers", "flow", "ddpm", "ddpm at times")


def runs(what: str, loop: str) -> list[dict[str, Any]]:
    """The runs of a part, by seed."""
    lines = map(json.loads, RESULTS.read_text().splitlines())
    found = [line for line in lines if line["what"] == what and line["loop"] == loop]
    return sorted(found, key=lambda line: line["seed"])


def exceeds(facts: dict[str, Any]) -> bool:
    """Whether copies among fresh samples exceed chance: Fisher's exact test, one-sided, 5 %."""
    table = [
        [facts["copies"], facts["samples"] - facts["copies"]],
        [facts["by_chance"], facts["aside"] - facts["by_chance"]],
    ]
    return bool(fisher_exact(table, "greater").pvalue < 0.05)


def share(facts: list[dict[str, Any]]) -> str:
    """Copies among samples, median and range."""
    shares = [100 * f["copies"] / f["samples"] for f in facts]
    return f"{np.median(shares):.1f} % ({min(shares):.1f} to {max(shares):.1f})" if shares else ""


def with_heldout() -> Iterator[str]:
    """A row for each loop and rule."""
    columns = (
        *("loop", "rule", "stopped", "stop / tau_val", "stop / tau_copy[0.05]", "no copies above chance at the stop"),
        *("copies at the stop", "copies of what it keeps", "no copies above chance in that", "kept loss / lowest"),
    )
    yield f"| {' | '.join(columns)} |"
    yield "|---" * 10 + "|"
    for loop in LOOPS:
        lines = runs("heldout", loop)
        for rule in RULES if lines else ():
            stops = [(line, line["rules"][rule]) for line in lines if line["rules"][rule]["stop"]]
            at = [found["stop"] for _, found in stops]
            kept = [found["keep"] for _, found in stops if found["keep"]]
            over = {
                clock: [found["stop"]["step"] / line[clock][0] for line, found in stops if line[clock]]
                for clock in ("tau_val", "tau_copy")
            }
            ratios = [f"{np.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" if r else "" for r in over.values()]
            losses = (
                f"{np.median([f['loss'] for f in kept]):.3f} (at most {max(f['loss'] for f in kept):.3f})"
                if kept
                else ""
            )
            yield (
                f"| {loop} | {rule} | {len(stops)} of {len(lines)} | {ratios[0]} | {ratios[1]} "
                f"| {sum(not exceeds(f) for f in at)} of {len(at)} | {share(at)} | {share(kept)} "
                f"| {sum(not exceeds(f) for f in kept)} of {len(kept)} "
                f"| {losses} |"
            )


def stated(line: dict[str, Any]) -> float:
    """The stop as the protocol first stated it: the lower end of the forecast's 50 % interval."""
    return float(line["stop"])


def amended(line: dict[str, Any]) -> float:
    """The lower end of the 25 % interval, by the formula of README.md."""
    middle, low = np.log(line["forecast"][0]), np.log(line["stop"])
    return float(np.exp(middle - 0.319 / 0.674 * (middle - low)))


def near(line: dict[str, Any], stop: Callable[[dict[str, Any]], float]) -> bool:
    """Whether a stop is within 25 % of tau_val; not where tau_val was not located."""
    return bool(line["tau_val"]) and abs(stop(line) / line["tau_val"][0] - 1) <= 0.25


def judged() -> Iterator[str]:
    """What the protocol asks for, loop by loop."""
    yield "| what | asked for | " + " | ".join(LOOPS) + " |"
    yield "|---" * (2 + len(LOOPS)) + "|"
    rows: list[tuple[str, str, list[str]]] = []
    parts = {loop: runs("heldout", loop) for loop in LOOPS}

    def count(row: str, due: str, right: Any) -> None:
        cells = [f"{sum(map(right, parts[loop]))} of {len(parts[loop])}" if parts[loop] else "" for loop in LOOPS]
        rows.append((row, due, cells))

    for rule in ("balanced", "no_copies"):
        count(
            f"`{rule}`: stops, with no copies above chance",
            "9 of 10",
            lambda line, rule=rule: bool(line["rules"][rule]["stop"]) and not exceeds(line["rules"][rule]["stop"]),
        )
    count(
        "`no_copies`: what it keeps has no copies above chance",
        "",
        lambda line: bool(line["rules"]["no_copies"]["keep"]) and not exceeds(line["rules"]["no_copies"]["keep"]),
    )
    count(
        "`no_copies`: not before a third of tau_copy[0.05]",
        "8 of 10",
        lambda line: (
            not line["rules"]["no_copies"]["stop"]
            or (bool(line["tau_copy"]) and line["rules"]["no_copies"]["stop"]["step"] >= line["tau_copy"][0] / 3)
        ),
    )
    count(
        "among these misses, tau_copy[0.05] not located in the run",
        "",
        lambda line: bool(line["rules"]["no_copies"]["stop"]) and not line["tau_copy"],
    )
    count(
        "`quality`: keeps weights within 2 % of the lowest loss",
        "9 of 10",
        lambda line: bool(line["rules"]["quality"]["keep"]) and line["rules"]["quality"]["keep"]["loss"] <= 1.02,
    )
    pilots = {loop: runs("pilots", loop) for loop in LOOPS}

    def count_pilots(row: str, due: str, right: Any) -> None:
        cells = [f"{sum(map(right, pilots[loop]))} of {len(pilots[loop])}" if pilots[loop] else "" for loop in LOOPS]
        rows.append((row, due, cells))

    count_pilots("pilots: the stop as first stated within 25 % of tau_val", "8 of 10", lambda line: near(line, stated))
    count_pilots("pilots: the stop as amended within 25 % of tau_val", "", lambda line: near(line, amended))
    fresh = {loop: [line for line in pilots[loop] if (loop, line["seed"]) not in SEEN] for loop in LOOPS}
    cells = [f"{sum(near(line, amended) for line in some)} of {len(some)}" if some else "" for some in fresh.values()]
    rows.append(("the same, of the runs that the amendment had not seen", "8 of 10", cells))
    count_pilots(
        "pilots: the 90 % interval covers tau_val",
        "8 of 10",
        lambda line: bool(line["tau_val"]) and line["forecast"][1] <= line["tau_val"][0] <= line["forecast"][2],
    )
    for row, due, cells in rows:
        yield f"| {row} | {due} | " + " | ".join(cells) + " |"


def without_heldout() -> Iterator[str]:
    """A row for each run."""
    columns = (
        *("loop", "seed", "forecast [90 %]", "tau_val measured [90 %]", "stop as first stated", "over tau_val"),
        *("held-out loss there, above the lowest", "stop as amended", "over tau_val"),
    )
    yield f"| {' | '.join(columns)} |"
    yield "|---" * 9 + "|"
    for loop in LOOPS:
        for line in runs("pilots", loop):
            value, low, high = line["forecast"]
            measured = line["tau_val"]
            tau = f"{measured[0]:,.0f} [{measured[1]:,.0f}, {measured[2]:,.0f}]" if measured else "not located"
            ratios = [f"{stop(line) / measured[0]:.2f}" if measured else "" for stop in (stated, amended)]
            forecast, loss = f"{value:,.0f} [{low:,.0f}, {high:,.0f}]", f"{100 * (line['loss'] - 1):.1f} %"
            cells = (loop, line["seed"], forecast, tau, f"{stated(line):,.0f}", ratios[0], loss)
            yield f"| {' | '.join(map(str, (*cells, f'{amended(line):,.0f}', ratios[1])))} |"


def nothing_to_find() -> Iterator[str]:
    """False alarms by kind of run."""
    yield "| runs | " + " | ".join(RULES) + " |"
    yield "|---" * (1 + len(RULES)) + "|"
    lines = [line for loop in LOOPS for line in runs("null", loop)]
    for kind in ("fresh", "flat", "plateau", "all"):
        some = [line for line in lines if kind in ("all", line["kind"])]
        yield (
            f"| {kind} ({len(some)}) | "
            + " | ".join(str(sum(line["alarms"][rule] for line in some)) for rule in RULES)
            + " |"
        )


def budgets() -> Iterator[str]:
    """A row for each loop and budget."""
    yield "| loop | tau_val | budget | looks | `quality` stops at | `balanced` stops at |"
    yield "|---" * 6 + "|"
    for loop in LOOPS:
        for line in runs("budget", loop):
            tau = line["budgets"]["tau_val"]
            for share, name in (("0.02", "2 % (the default)"), ("0.2", "20 %"), ("None", "none")):
                found = line["budgets"][share]
                stops = [found["stops"][rule] or "never" for rule in ("quality", "balanced")]
                located = f"{tau[0]:,.0f}" if tau else "not located"
                yield f"| {loop} | {located} | {name} | {found['looks']} | {stops[0]} | {stops[1]} |"


TABLES = {
    "what was asked for": judged,
    "with held-out items": with_heldout,
    "without": without_heldout,
    "nothing to find": nothing_to_find,
    "budgets": budgets,
}


def written(page: str) -> str:
    """The page with every table that has its two marks there brought up to date."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}, by experiments/guard/tables.py -->\n", "<!-- end -->\n"
        if begin not in page:
            continue
        before, rest = page.split(begin)
        page = before + begin + "\n".join(table()) + "\n" + end + rest.split(end, 1)[1]
    return page


def main() -> None:
    """Write or print all tables."""
    if sys.argv[1:] == ["print"]:
        for name, table in TABLES.items():
            print(f"## {name}\n\n" + "\n".join(table()) + "\n")
    else:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
