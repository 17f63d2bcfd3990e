"""The tables of docs/guard.md, from results.jsonl.

python experiments/guard/tables.py
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

RESULTS = Path(__file__).with_name("results.jsonl")
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
            yield (
                f"| {loop} | {rule} | {len(stops)} of {len(lines)} | {ratios[0]} | {ratios[1]} "
                f"| {sum(not exceeds(f) for f in at)} of {len(at)} | {share(at)} | {share(kept)} "
                f"| {sum(not exceeds(f) for f in kept)} of {len(kept)} "
                f"| {np.median([f['loss'] for f in kept]):.3f} (at most {max(f['loss'] for f in kept):.3f}) |"
            )


def judged() -> Iterator[str]:
    """What the protocol asks for, loop by loop."""
    yield "| what | asked for | " + " | ".join(LOOPS) + " |"
    yield "|---" * (2 + len(LOOPS)) + "|"
    rows: list[tuple[str, str, list[str]]] = []
    parts = {loop: runs("heldout", loop) for loop in LOOPS}

    def count(row: str, due: str, right: Any) -> None:
        rows.append((row, due, [f"{sum(map(right, parts[loop]))} of {len(parts[loop])}" for loop in LOOPS]))

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
        "`quality`: keeps weights within 2 % of the lowest loss",
        "9 of 10",
        lambda line: bool(line["rules"]["quality"]["keep"]) and line["rules"]["quality"]["keep"]["loss"] <= 1.02,
    )
    pilots = {loop: runs("pilots", loop) for loop in LOOPS}
    for row, due, right in (
        (
            "pilots: the stop within 25 % of tau_val",
            "8 of 10",
            lambda line: bool(line["tau_val"]) and abs(line["stop"] / line["tau_val"][0] - 1) <= 0.25,
        ),
        (
            "pilots: the stop of the amended rule within 25 % of tau_val",
            "8 of 10",
            lambda line: bool(line["tau_val"]) and abs(nearer(line) / line["tau_val"][0] - 1) <= 0.25,
        ),
        (
            "pilots: the 90 % interval covers tau_val",
            "8 of 10",
            lambda line: bool(line["tau_val"]) and line["forecast"][1] <= line["tau_val"][0] <= line["forecast"][2],
        ),
    ):
        rows.append(
            (
                row,
                due,
                [f"{sum(map(right, pilots[loop]))} of {len(pilots[loop])}" if pilots[loop] else "" for loop in LOOPS],
            )
        )
    for row, due, cells in rows:
        yield f"| {row} | {due} | " + " | ".join(cells) + " |"


def nearer(line: dict[str, Any]) -> float:
    """The stop by the amended rule: the lower end of the 25 % interval, from the median and the 50 % interval."""
    median = float(np.log(line["forecast"][0]))
    return float(np.exp(median - 0.319 / 0.674 * (median - np.log(line["stop"]))))


def without_heldout() -> Iterator[str]:
    """A row for each run."""
    columns = (
        "loop",
        "seed",
        "forecast [90 %]",
        "stop",
        "amended",
        "tau_val measured [90 %]",
        "stop / tau_val",
        "amended",
    )
    yield f"| {' | '.join(columns)} | held-out loss at the stop, above the lowest |"
    yield "|---" * 9 + "|"
    for loop in LOOPS:
        for line in runs("pilots", loop):
            value, low, high = line["forecast"]
            measured = line["tau_val"]
            tau = f"{measured[0]:,.0f} [{measured[1]:,.0f}, {measured[2]:,.0f}]" if measured else "not located"
            ratio = f"{line['stop'] / measured[0]:.2f}" if measured else ""
            then = nearer(line)
            later = f"{then / measured[0]:.2f}" if measured else ""
            forecast = f"{value:,.0f} [{low:,.0f}, {high:,.0f}]"
            stops = (f"{line['stop']:,}", f"{then:,.0f}")
            cells = (loop, line["seed"], forecast, *stops, tau, ratio, later, f"{100 * (line['loss'] - 1):.1f} %")
            yield f"| {' | '.join(map(str, cells))} |"


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


def main() -> None:
    """Print all tables."""
    for title, table in (
        ("What was asked for", judged()),
        ("With held-out items", with_heldout()),
        ("Without", without_heldout()),
        ("Nothing to find: false alarms", nothing_to_find()),
    ):
        print(f"## {title}\n\n" + "\n".join(table) + "\n")


if __name__ == "__main__":
    main()
