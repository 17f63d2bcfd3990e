"""Draw the figures of README.md and docs/ from the records in this folder.

    python experiments/figures.py            # all of them
    python experiments/figures.py grammar    # those of one study, such as images or order

Each figure is the report's own, opened in headless Chromium (which must be on the path) and photographed, so that the
pages and the docs cannot differ. Writes docs/figures/*.png.
"""

import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from noises.tables import arms_in  # beside this file
from PIL import Image, ImageChops
from plotly.subplots import make_subplots

from taumem import Onset, RunRecord, Study, find_onsets, read_runs
from taumem.analysis import CLOCKS, Seen, find_item_onsets
from taumem.analysis.shares import above_chance
from taumem.lab.items import isolation_of
from taumem.report import figures, page_of
from taumem.report.figures.style import size_colors

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "figures"
CHROMIUM_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
MARKED = ("tau_val", "tau_copy[0.05]")
"""Clocks that the figure of membership shows beside it."""
QUIET_FLAGS = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")


def main() -> None:
    """Draw those that are asked for."""
    studies = {
        "images": images,
        "quality": quality,
        "cifar10": cifar10,
        "grammar": grammar,
        "hidden": hidden,
        "noises": noises,
        "order": order,
        "partial": partial,
        "price": price,
        "items": items,
        "privacy": privacy,
        "text": text,
    }
    chosen = sys.argv[1:] or list(studies)
    if unknown := set(chosen) - set(studies):
        sys.exit(f"no study {', '.join(sorted(unknown))}; there are {', '.join(studies)}")
    for name in chosen:
        studies[name]()


def images() -> None:
    """The figures of docs/images.md."""
    study = Study.of(read_runs(HERE / "images" / "fashion"))
    control = Study.of(read_runs(HERE / "images" / "full-batch"))
    clocks = {"tau_gen", "tau_val", "tau_gap_sym[0.15]", "tau_copy[0.05]"}
    photograph(law(study, clocks), "images-law")
    photograph(figures.losses(study), "images-losses")
    photograph(figures.gap(study, per_example=True), "images-collapse")
    photograph(figures.copies(study, per_example=True), "images-copies")
    photograph(figures.agreement(study), "images-agreement")
    photograph(law(control, clocks), "images-full-batch")
    photograph_section(study, "twins", "images-twins")


def quality() -> None:
    """The figures of docs/quality.md."""
    study = Study.of(read_runs(HERE / "quality" / "fashion"))
    photograph(figures.frechet(study), "quality-heldout")
    photograph(figures.frechet(study, "train"), "quality-train")
    photograph(figures.precision_and_recall(study), "quality-among-heldout")


def cifar10() -> None:
    """The figures of docs/cifar10.md."""
    study = Study.of(read_runs(HERE / "cifar10" / "tiny"), excluded={16})
    photograph(law(study, {"tau_gen", "tau_val", "tau_gap_grown[0.2]", "tau_copy[0.05]"}), "cifar10-law")
    photograph(figures.losses(study), "cifar10-losses")


def grammar() -> None:
    """The figures of docs/grammar.md."""
    studies = {name: Study.of(read_runs(HERE / "grammar" / name)) for name in ("levels", "masked", "uniform")}
    clocks = {"tau_gen", "tau_val", "tau_copy[0.05]"}
    photograph(figures.phase_diagram(studies["levels"]), "grammar-phase", width=900, height=560)
    photograph(figures.price(studies["levels"]), "grammar-price", height=600)
    photograph(figures.levels(studies["levels"]), "grammar-levels", height=640)
    for name in ("masked", "uniform"):
        photograph(law(studies[name], clocks), f"grammar-law-{name}")
    photograph(figures.copies(studies["masked"], per_example=True), "grammar-copies")


def partial() -> None:
    """The figures of docs/partial.md."""
    studies = {name: Study.of(read_runs(HERE / "partial" / name)) for name in ("grammar", "zipf", "images")}
    for name in ("grammar", "images"):
        photograph(figures.part_copies(studies[name]), f"partial-copies-{name}")
    photograph(figures.part_onsets(studies["grammar"]), "partial-onsets-grammar")
    photograph(figures.motif_use(studies["zipf"]), "partial-bland")


def items() -> None:
    """The figures of docs/items.md."""
    for name in ("images/fashion", "text/english"):
        found = find_item_onsets([isolation_of(run) for run in read_runs(HERE / name)])
        kind = name.split("/")[0]
        photograph(figures.onsets_of_items(found, "unseen"), f"items-{kind}-unseen")
        photograph(figures.onsets_of_items(found, "isolation"), f"items-{kind}-isolation")


def price() -> None:
    """The figures of docs/price.md."""
    places = {"images": "images/fashion", "text": "text/english", "molecules": "unseen/molecules"}
    for name, place in places.items():
        study = Study.of(read_runs(HERE / place), tau_mem="tau_val")
        photograph(figures.phase_diagram(study), f"phase-{name}", width=900, height=520)
        photograph(figures.stopping_price(study), f"price-{name}")
    widths = Study.of(read_runs(HERE / "price" / "widths"), covariates=["parameters"])
    photograph(figures.phase_diagram(widths), "phase-widths", width=900, height=520)


def text() -> None:
    """The figures of docs/text.md."""
    study = Study.of(read_runs(HERE / "text" / "english"))
    photograph(law(study, {"tau_gen", "tau_val", "tau_gap_sym[0.2]"}), "text-law")
    photograph(figures.bits(study), "text-bits")
    photograph(figures.infilling(study, per_example=True), "text-infilling")
    photograph(figures.gap(study, per_example=True), "text-collapse")


def privacy() -> None:
    """The figure of docs/privacy.md: how well members are told over training, by the loss, by attacks, by the truth."""
    shown = {
        "": ("the loss", "#b5264f"),
        "[averaged]": ("averaged loss", "#2f6b62"),
        "[pia]": ("PIA", "#e69f00"),
        "[secmi]": ("SecMI", "#56b4e9"),
        "[exact]": ("loss above the exact optimum", "#20242c"),
    }
    figure = make_subplots(1, 2, subplot_titles=["images, P = 32", "mixture, P = 32"], shared_yaxes=True)
    for column, (name, n_train) in enumerate((("images", 32), ("mixture", 32)), start=1):
        runs = [r for r in read_runs(HERE / "privacy" / name) if r.header.data.n_train == n_train]
        for index, (words, color) in shown.items():
            curves = [c for r in runs if (c := r.curve_or_none(f"membership_auc{index}")) is not None]
            if not curves:
                continue
            steps = sorted(set.intersection(*(set(curve.steps.tolist()) for curve in curves)) - {0})
            mean = sum(curve.at_steps(steps).values for curve in curves) / len(curves)
            line = {"color": color, "width": 2.5}
            figure.add_scatter(
                x=steps, y=mean, name=words, line=line, mode="lines", row=1, col=column,
                showlegend=index == "[exact]" or column == 1,
            )  # fmt: skip
        when = {clock: [o.step for r in runs if (o := onset_of(r, clock)) and o.usable] for clock in MARKED}
        for clock, steps in when.items():
            if steps:
                at = math.exp(sum(map(math.log, steps)) / len(steps))
                figure.add_vline(x=at, row=1, col=column, line_dash="dot", line_color="#888888")
                # The place of a note on a log axis is a logarithm.
                note = {"text": clock.split("[")[0], "showarrow": False, "xanchor": "right", "yanchor": "top"}
                figure.add_annotation(x=math.log10(at), y=1.02, row=1, col=column, **note)
        figure.add_hline(y=0.5, row=1, col=column, line_dash="dash", line_color="#bbbbbb")
        figure.update_xaxes(type="log", title_text="optimizer steps", row=1, col=column)
    figure.update_yaxes(title_text="membership AUC", range=[0.4, 1.02], row=1, col=1)
    figure.update_layout(template="plotly_white", legend={"orientation": "h", "y": -0.2}, margin={"t": 60})
    photograph(figure, "privacy", width=1000, height=480)


def noises() -> None:
    """The figure of docs/noises.md: tau_gap[0.2] against P by the kind of noise and target; triangles are bounds."""
    domains = [name for name in ("text", "images") if (HERE / "noises" / f"{name}.sealed").exists()]
    figure = make_subplots(1, len(domains), subplot_titles=domains, horizontal_spacing=0.08)
    for column, domain in enumerate(domains, start=1):
        arms = arms_in(domain)
        colors = size_colors(range(len(arms)))
        for color, (arm, runs) in zip(colors.values(), arms.items(), strict=True):
            onsets = [o for o in find_onsets(runs) if o.clock == "tau_gap[0.2]"]
            symbols = ["circle" if o.usable else "triangle-up" for o in onsets]
            figure.add_scatter(
                x=[o.n_train for o in onsets], y=[o.step for o in onsets], mode="markers", name=f"{domain}: {arm}",
                marker={"color": color, "size": 9, "symbol": symbols}, row=1, col=column,
            )  # fmt: skip
        sizes = sorted({run.header.data.n_train for runs in arms.values() for run in runs})
        figure.update_xaxes(type="log", title_text="P", tickvals=sizes, row=1, col=column)
        figure.update_yaxes(type="log", row=1, col=column)
    figure.update_yaxes(title_text="tau_gap[0.2] (steps)", row=1, col=1)
    figure.update_layout(template="plotly_white", legend={"orientation": "h", "y": -0.2}, margin={"t": 50})
    photograph(figure, "noises", width=1000, height=460)


def order() -> None:
    """The figure of docs/order.md: all clocks of each domain, as multiples of tau_val in the same runs."""
    studies = {name: Study.of(read_runs(HERE / "order" / name)) for name in ("images", "text", "grammar")}
    photograph(figures.order(studies), "order", height=1000)


def hidden() -> None:
    """The figure of docs/hidden.md: copies in one shot, after cycling, and U-turns, above chance, per example."""
    names = ("images", "grammar")
    shown = {
        "copy_fraction": ("copies in one shot", "#a64d80"),
        "cycled_copies": ("copies after 8 cycles", "#d55e00"),
        "uturn_returns": ("U-turns", "#6a55b0"),
    }
    figure = make_subplots(1, len(names), subplot_titles=names, shared_yaxes=True, horizontal_spacing=0.03)
    dashes = ("solid", "dash", "dot")
    for column, name in enumerate(names, start=1):
        runs = read_runs(HERE / "hidden" / name)
        sizes = sorted({run.header.data.n_train for run in runs})
        for n_train, dash in zip(sizes, dashes, strict=False):
            for quantity, (words, color) in shown.items():
                x, y = mean_above_chance([r for r in runs if r.header.data.n_train == n_train], quantity)
                figure.add_scatter(
                    x=x / n_train, y=y, mode="lines+markers", line={"color": color, "dash": dash}, marker={"size": 4},
                    name=words, legendgroup=words, showlegend=column == 1 and n_train == sizes[0], row=1, col=column,
                )  # fmt: skip
        figure.update_xaxes(type="log", title_text="steps / P", row=1, col=column)
    figure.update_yaxes(title_text="share above chance", row=1, col=1)
    figure.update_layout(template="plotly_white", legend={"orientation": "h", "y": -0.2}, margin={"t": 50})
    photograph(figure, "hidden", width=1000, height=420)


def mean_above_chance(runs: Sequence[RunRecord], quantity: str) -> tuple[np.ndarray, np.ndarray]:
    """A share less its chance, on average over the runs that have a look at each step (half of them at least)."""
    found: dict[int, list[float]] = {}
    for run in runs:
        for step, value in zip(*above_chance(run.curve(quantity), run.curve(f"{quantity}_chance")), strict=True):
            if step > 0:
                found.setdefault(int(step), []).append(float(value))
    steps = sorted(step for step, values in found.items() if 2 * len(values) >= len(runs))
    return np.array(steps, dtype=float), np.array([np.mean(found[step]) for step in steps])


def onset_of(run: RunRecord, clock: str) -> Onset | None:
    """One clock of a single run."""
    return CLOCKS[clock].onset(Seen(run), 0.9)


def law(study: Study, clocks: set[str]) -> go.Figure:
    """The law's figure with these clocks."""
    figure = figures.law(study)
    for trace in figure.data:
        clock = (trace.meta or {}).get("clock") if isinstance(trace.meta, dict) else trace.meta
        if clock is not None:
            trace.visible = clock in clocks
    return figure


def photograph(figure: go.Figure, name: str, *, width: int = 760, height: int = 520) -> None:
    """Render a figure at twice the resolution and save it."""
    figure.update_layout(width=width, height=height, paper_bgcolor="white", plot_bgcolor="white")
    body = figure.to_html(include_plotlyjs=True, full_html=False, config={"displayModeBar": False})
    _photograph(f"<body style='margin:0'>{body}</body>", name, width, height)


def photograph_section(study: Study, key: str, name: str, *, exhibits: int = 1, width: int = 1120) -> None:
    """Save the exhibits of a section of the study's page, without its words."""
    page = page_of(study)
    style = re.search(r"<style>.*?</style>", page, re.DOTALL)[0]
    section = re.search(rf'<section id="{key}">.*?</section>', page, re.DOTALL)[0]
    shown = section.split('<div class="exhibit">')[1 : 1 + exhibits]
    body = "".join(f'<div class="exhibit">{each}' for each in shown)
    _photograph(f"{style}<body style='padding:8px 12px'>{body}</body>", name, width, 1600)


def _photograph(html: str, name: str, width: int, height: int) -> None:
    browser = shutil.which("chromium") or sys.exit("needs chromium on the path")
    DOCS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "figure.html"
        page.write_text(f"<!doctype html><meta charset='utf-8'>{html}", encoding="utf-8")
        command = [
            browser,
            *CHROMIUM_FLAGS,
            *QUIET_FLAGS,
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}",
            "--force-device-scale-factor=2",
            "--virtual-time-budget=5000",
            f"--screenshot={DOCS / name}.png",
            page.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True)
    with Image.open(DOCS / f"{name}.png") as picture:  # 128 colors are as good to the eye, in a quarter of the bytes
        seen = picture.convert("RGB")
    bottom = ImageChops.invert(seen).getbbox() or (0, 0, *seen.size)  # white below is left out
    smaller = seen.crop((0, 0, seen.width, min(seen.height, bottom[3] + 16)))
    smaller.quantize(128, dither=Image.Dither.NONE).save(DOCS / f"{name}.png", optimize=True)
    print(f"wrote docs/figures/{name}.png")


if __name__ == "__main__":
    main()
