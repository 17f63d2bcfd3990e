"""What came out of the studies of fine-tuning: onsets and exponents by study, and how studies compare at the same P.

    python experiments/finetuning/tables.py               # from the sealed studies beside this file
    python experiments/finetuning/tables.py --runs FOLDER # from folders of runs
    python experiments/finetuning/tables.py --figure      # docs/figures/finetuning.png too

Onsets and exponents; ratios; losses and copies at the end. Tables in Markdown, as docs/finetuning.md has them.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from taumem import Onset, Study, read_runs

sys.path.append(str(Path(__file__).parents[1]))
from figures import photograph

HERE = Path(__file__).parent

STUDIES = {
    "pixels-full": ("pixels", "all weights", "#1f4e9c"),
    "pixels-lora4": ("pixels", "LoRA, rank 4", "#e76f51"),
    "latents-full": ("latents", "all weights", "#1f4e9c"),
    "latents-lora4": ("latents", "LoRA, rank 4", "#e76f51"),
    "latents-lora16": ("latents", "LoRA, rank 16", "#f4a261"),
    "latents-scratch": ("latents", "fresh weights", "#8a8a8a"),
    "text-full": ("text", "all weights", "#1f4e9c"),
    "text-lora4": ("text", "LoRA, rank 4", "#e76f51"),
}
"""Where diffusion takes place, what is trained, and its color."""
CLOCKS = ("tau_val", "tau_gap_base[0.1]", "tau_gap_base[0.2]", "tau_gap_grown[0.2]", "tau_copy[0.05]")
DRAWN = ("tau_val", "tau_gap_base[0.2]")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder of the studies' folders; the sealed studies if not said")
    parser.add_argument("--figure", action="store_true")
    asked = parser.parse_args()
    places = {name: asked.runs / name if asked.runs else HERE / f"{name}.sealed" for name in STUDIES}
    studies = {name: Study.of(read_runs(place)) for name, place in places.items() if place.exists()}
    sizes = sorted({o.n_train for study in studies.values() for o in study.onsets})
    print(row("study", "clock", *(f"P = {size}" for size in sizes), "exponent"))
    print(row(*["---"] * (3 + len(sizes))))
    for name, study in studies.items():
        for clock in CLOCKS:
            if any(o.usable for o in of_clock(study, clock)):
                law = study.laws.get(clock)
                a = law and law.exponent
                told = f"{a.value:.2f} [{a.low:.2f}, {a.high:.2f}]" if a else "-"
                print(row(name, clock, *(mean_of(study, clock, size) for size in sizes), told))
    print()
    print(row("compared", "clock", "ratio of steps, P by P", "of runs"))
    print(row(*["---"] * 4))
    for one, other in (
        ("pixels-lora4", "pixels-full"),
        ("latents-lora4", "latents-full"),
        ("latents-lora16", "latents-full"),
        ("latents-scratch", "latents-full"),
        ("text-lora4", "text-full"),
    ):
        if one in studies and other in studies:
            for clock in CLOCKS:
                if ratios := ratios_of(studies[one], studies[other], clock):
                    by_size = ", ".join(f"{size}: {statistics.geometric_mean(r):.2f}" for size, r in ratios.items())
                    print(row(f"{one} / {other}", clock, by_size, sum(map(len, ratios.values()))))
    print()
    print(row("study", *(f"P = {size}" for size in sizes)))
    print(row(*["---"] * (1 + len(sizes))))
    for name, study in studies.items():
        print(row(name, *(ends_of(study, size) for size in sizes)))
    if asked.figure:
        photograph(drawn(studies), "finetuning", width=1150, height=760)


def of_clock(study: Study, clock: str) -> list[Onset]:
    """Its onsets."""
    return [o for o in study.onsets if o.clock == clock]


def mean_of(study: Study, clock: str, size: int) -> str:
    """The geometric mean over runs, with the sign of a bound where one of them is."""
    own = [o for o in of_clock(study, clock) if o.n_train == size]
    if not own:
        return ""
    sign = "> " if any(o.censored == "right" for o in own) else "< " if any(o.censored == "left" for o in own) else ""
    return f"{sign}{statistics.geometric_mean(max(o.step, 1.0) for o in own):,.0f}"


def ratios_of(one: Study, other: Study, clock: str) -> dict[int, list[float]]:
    """By size, the ratios of the onsets of runs that share their seed and data, where both are located."""
    theirs = {(o.n_train, o.seed): o for o in of_clock(other, clock) if o.usable}
    found: dict[int, list[float]] = {}
    for o in of_clock(one, clock):
        if o.usable and (o.n_train, o.seed) in theirs:
            found.setdefault(o.n_train, []).append(o.step / theirs[o.n_train, o.seed].step)
    return found


def ends_of(study: Study, size: int) -> str:
    """The held-out loss at the start and at its lowest, means over runs; and all copies at the last look."""
    own = [record for record in study.records if record.header.data.n_train == size]
    if not own:
        return ""
    losses = [record.curve("heldout_loss") for record in own]
    start, lowest = statistics.mean(c.values[0] for c in losses), statistics.mean(min(c.values) for c in losses)
    copies = [record.curve("copy_fraction") for record in own]
    found, drawn = sum(round(c.values[-1] * c.counts[-1]) for c in copies), sum(int(c.counts[-1]) for c in copies)
    return f"{start:.3f}, {lowest:.3f}; {found} of {drawn} at {copies[0].steps[-1]:,}"


def drawn(studies: dict[str, Study]) -> go.Figure:
    """A row for each clock, a column for each place."""
    wheres = list(dict.fromkeys(where for name, (where, _, _) in STUDIES.items() if name in studies))
    titles = [f"{where}: {clock}" for clock in DRAWN for where in wheres]
    figure = make_subplots(len(DRAWN), len(wheres), subplot_titles=titles, horizontal_spacing=0.06)
    named: set[str] = set()
    for name, study in studies.items():
        where, what, color = STUDIES[name]
        for k, clock in enumerate(DRAWN, start=1):
            own = of_clock(study, clock)
            points(figure, [o for o in own if o.usable], "circle", color, what, k, wheres.index(where) + 1, named)
            bounds = [o for o in own if o.censored == "right"]
            points(figure, bounds, "triangle-up-open", color, what, k, wheres.index(where) + 1, named)
            if (law := study.laws.get(clock)) is not None:
                sizes = sorted({o.n_train for o in own if o.usable})
                figure.add_scatter(
                    x=sizes,
                    y=[law.predict(size).value for size in sizes],
                    mode="lines",
                    line={"color": color, "width": 1},
                    showlegend=False,
                    row=k,
                    col=wheres.index(where) + 1,
                )
    figure.update_xaxes(type="log", dtick=math.log10(2), tickfont_size=9)
    figure.update_xaxes(title_text="items P", row=len(DRAWN))
    figure.update_yaxes(type="log", dtick=1)
    legend = {"orientation": "h", "y": -0.1}
    figure.update_layout(template="simple_white", font={"size": 11}, legend=legend, margin={"t": 30, "r": 15, "b": 10})
    return figure


def points(
    figure: go.Figure, own: Sequence[Onset], symbol: str, color: str, what: str, row: int, col: int, named: set[str]
) -> None:
    """Onsets of one kind; the first of a name stands in the legend."""
    if not own:
        return
    figure.add_scatter(
        x=[o.n_train for o in own],
        y=[o.step for o in own],
        mode="markers",
        marker={"color": color, "size": 8, "symbol": symbol},
        name=what,
        legendgroup=what,
        showlegend=what not in named and symbol == "circle",
        row=row,
        col=col,
    )
    named.update({what} if symbol == "circle" else ())


def row(*cells: object) -> str:
    """Of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
