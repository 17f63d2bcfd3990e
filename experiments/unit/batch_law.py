"""One law for all batch sizes: fit it to the finished studies, carry forecasts by it, and draw it.

    python experiments/unit/batch_law.py             # the tables
    python experiments/unit/batch_law.py --figure    # and docs/figures/batch-law.png, which needs chromium

Joint fits of tau_0 + c P^a B^-k, with all that is in it free, to the study of each domain at a fixed batch size and the
one with batches of the whole training set; what such a law says of batch sizes it has not seen (the scan of text); and
forecasts for full batches from pilots at a fixed batch size, with k and all else learned from the other two domains.
"""

import argparse
import json
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from taumem import Onset, fit_law
from taumem.analysis import Interval, Law, Prior
from taumem.analysis.wording import number, power, span
from taumem.errors import ConfigError, TaumemWarning

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parent / "prior")]
from figures import photograph  # noqa: E402 (of the folder above)
from learn import CLOCKS, JOINT, WITHOUT, batch_exponents, of_batches, onsets_of  # noqa: E402

SHOWN = ("tau_val", "tau_gap[0.2]", "tau_gap_sym[0.2]", "tau_copy[0.05]")
SCAN = HERE.parent / "text" / "scan.jsonl"
RATE = "training.learning_rate=1e-3"
COLORS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
"""Viridis, from small batches to large ones."""
SYMBOLS = {"left": "triangle-down-open", "right": "triangle-up-open"}
"""Of bounds: they point to where the onset lies."""


def main() -> None:
    """Print the tables, and draw the figure if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", TaumemWarning)
    laws = {domain: dict(joint_laws(domain)) for domain in JOINT}
    print("| domain | clock | onsets (bounds) | a | k | tau_0 | sigma | sigma without tau_0 |")
    print("|---|---|---|---|---|---|---|---|")
    for domain, of_domain in laws.items():
        for clock, law in of_domain.items():
            print(f"| {domain} | `{clock}` | {' | '.join(cells(law, joint_onsets(domain, clock)))} |")
    print("\n| P | B | scan: held-out minimum | law | off |\n|---|---|---|---|---|")
    for n_train, batch_size, step in scanned():
        told = laws["text"]["tau_val"].predict(n_train, batch_size=batch_size)
        print(f"| {n_train} | {batch_size} | {step:,} | {span(told)} | {told.value / step - 1:+.0%} |")
    print("\n| domain | clock | k assumed | onsets | median abs log error | bias | runs covered |")
    print("|---|---|---|---|---|---|---|")
    for clocks in CLOCKS:
        for row in carried(clocks):
            print(f"| {' | '.join(row)} |")
    if arguments.figure:
        figure = drawn({domain: of_domain["tau_val"] for domain, of_domain in laws.items()})
        photograph(figure, "batch-law", width=900, height=1080)


def joint_onsets(domain: str, clock: str) -> list[Onset]:
    """Of both studies of a domain."""
    return [o for study, batch_size in JOINT[domain] for o in onsets_of(study, clock, batch_size)]


def joint_laws(domain: str) -> Iterator[tuple[str, Law]]:
    """By clock, where runs of both studies located it."""
    for clock in SHOWN:
        try:
            law = fit_law(joint_onsets(domain, clock), exponent=None, floor=True)
        except ConfigError:
            continue
        if law.spans_batch_sizes:
            yield clock, law


def cells(law: Law, onsets: Sequence[Onset]) -> Iterator[str]:
    """A row of the table."""
    plain = fit_law(onsets, exponent=None)
    yield f"{law.n_onsets} ({law.n_censored})"
    yield from (power(interval) for interval in (law.exponent, law.batch_exponent) if interval)
    yield from (span(interval) for interval in (law.floor, law.sigma, plain.sigma) if interval)


def scanned() -> Iterator[tuple[int, int, int]]:
    """P, B and the step of the lowest held-out loss in the scan of text, at the studies' learning rate."""
    for line in SCAN.read_text().splitlines():
        row = json.loads(line)
        batch_size, rate = row["changes"]
        if rate == RATE:
            yield row["P"], int(batch_size.rpartition("=")[2]), row["minimum"]


def carried(clocks: str) -> Iterator[tuple[str, ...]]:
    """Forecasts of runs with full batches from those at a fixed batch size; nothing is learned from their domain."""
    laws = batch_exponents(CLOCKS[clocks])
    left_out = json.loads(WITHOUT.read_text())["fixed"][clocks]
    for domain, ((fixed, batch_size), (full, _)) in JOINT.items():
        k = of_batches({other: of for other, of in laws.items() if other != domain})
        prior = Prior(**{name: tuple(pair) for name, pair in left_out[domain].items()}, batch=tuple(k))
        for clock in laws[domain]:
            law = fit_law(onsets_of(fixed, clock, batch_size), prior=prior)
            told = [(o, law.predict(o.n_train, batch_size="P")) for o in onsets_of(full, clock, None) if o.usable]
            errors = [math.log(forecast.value / onset.step) for onset, forecast in told]
            covered = sum(onset.step in forecast for onset, forecast in told)
            yield (
                domain,
                f"`{clock}`",
                f"{k[0]:.2f} ± {k[1]:.2f}",
                str(len(told)),
                f"{np.median(np.abs(errors)):.2f}",
                f"{np.mean(errors):+.2f}",
                f"{covered} of {len(told)}",
            )


def drawn(laws: dict[str, Law]) -> go.Figure:
    """Onsets as measured (left) and brought to one batch size by their law (right), a row for each domain."""
    titles = [title for domain, law in laws.items() for title in _titles(domain, law)]
    figure = make_subplots(len(laws), 2, subplot_titles=titles, horizontal_spacing=0.1, vertical_spacing=0.1)
    sizes = sorted({o.batch_size for domain in laws for o in joint_onsets(domain, "tau_val")})
    for row, (domain, law) in enumerate(laws.items(), start=1):
        onsets = joint_onsets(domain, "tau_val")
        for batch_size in sorted({o.batch_size for o in onsets}):
            own = [o for o in onsets if o.batch_size == batch_size]
            brought = [o.step * law.to_reference(o.n_train, o.batch_size) for o in own]
            for column, steps in ((1, [o.step for o in own]), (2, brought)):
                figure.add_scatter(
                    x=[o.n_train for o in own],
                    y=steps,
                    mode="markers",
                    marker={
                        "color": _color(batch_size, sizes),
                        "size": 8,
                        "symbol": [SYMBOLS.get(o.censored, "circle") for o in own],
                    },
                    name=f"B = {batch_size}",
                    legendgroup=str(batch_size),
                    showlegend=column == 1 and not any(t.name == f"B = {batch_size}" for t in figure.data),
                    row=row,
                    col=column,
                )
        x = np.unique(np.round(np.geomspace(min(law.sizes) / 1.2, max(law.sizes) * 1.2, 25)).astype(int))
        line = [law.predict(int(p), batch_size=law.reference_batch_size) for p in x]
        _add_line(figure, x.tolist(), line, row)
    ticks = [16, 64, 256, 1024]
    figure.update_xaxes(
        type="log", title_text="training examples P", tickvals=ticks, ticktext=[f"{p:,}" for p in ticks]
    )
    figure.update_yaxes(type="log", title_text="tau_val (steps)", dtick="D2")
    legend = {"orientation": "h", "y": -0.06}
    figure.update_layout(template="simple_white", font={"size": 12}, legend=legend, margin={"t": 30, "b": 10, "r": 20})
    return figure


def _add_line(figure: go.Figure, x: list[int], line: list[Interval], row: int) -> None:
    shared = {"mode": "lines", "showlegend": False, "row": row, "col": 2}
    ends = [*(at.high for at in line), *(at.low for at in line[::-1])]
    figure.add_scatter(x=x + x[::-1], y=ends, fill="toself", fillcolor="rgba(0,0,0,0.08)", line_width=0, **shared)
    figure.add_scatter(x=x, y=[at.value for at in line], line={"color": "#20242c", "width": 1.5}, **shared)


def _titles(domain: str, law: Law) -> tuple[str, str]:
    assert law.floor is not None
    assert law.batch_exponent is not None
    a, k = law.exponent.value, law.batch_exponent.value
    formula = f"{number(law.floor.value)} + c P<sup>{a:.2f}</sup> B<sup>-{k:.2f}</sup>"
    return f"{domain}: as measured", f"{domain}: brought to B = {law.reference_batch_size} by {formula}"


def _color(batch_size: int, sizes: Sequence[int]) -> str:
    return COLORS[min(sizes.index(batch_size), len(COLORS) - 1)]


if __name__ == "__main__":
    main()
