"""Draw the figures of docs/images.md and README.md from the records in this folder.

    python experiments/images/figures.py

Each figure is the report's own, opened in headless Chromium (which must be on the path) and photographed, so that the
page and the docs cannot differ. Writes docs/figures/*.png.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import plotly.graph_objects as go

from taumem import read_runs
from taumem.report import Study, figures

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "figures"
CHROMIUM_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
QUIET_FLAGS = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")


def main() -> None:
    """Draw all of them."""
    study = Study.of(read_runs(HERE / "fashion"))
    control = Study.of(read_runs(HERE / "full-batch"))
    photograph(law(study), "images-law", width=760, height=520)
    photograph(figures.losses(study), "images-losses", width=760, height=520)
    photograph(figures.gap(study, per_example=True), "images-collapse", width=760, height=520)
    photograph(figures.copies(study, per_example=True), "images-copies", width=760, height=520)
    photograph(figures.agreement(study), "images-agreement", width=760, height=520)
    photograph(law(control), "images-full-batch", width=760, height=520)


def law(study: Study) -> go.Figure:
    """The law's figure with the clocks that docs/images.md discusses."""
    figure = figures.law(study)
    shown = {"tau_gen", "tau_val", "tau_gap_sym[0.15]", "tau_copy[0.05]"}
    for trace in figure.data:
        clock = (trace.meta or {}).get("clock") if isinstance(trace.meta, dict) else trace.meta
        if clock is not None:
            trace.visible = clock in shown
    return figure


def photograph(figure: go.Figure, name: str, *, width: int, height: int) -> None:
    """Render a figure at twice the resolution and save it."""
    browser = shutil.which("chromium") or sys.exit("needs chromium on the path")
    DOCS.mkdir(parents=True, exist_ok=True)
    figure.update_layout(width=width, height=height, paper_bgcolor="white", plot_bgcolor="white")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "figure.html"
        body = figure.to_html(include_plotlyjs=True, full_html=False, config={"displayModeBar": False})
        page.write_text(f"<!doctype html><meta charset='utf-8'><body style='margin:0'>{body}</body>", encoding="utf-8")
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
    print(f"wrote docs/figures/{name}.png")


if __name__ == "__main__":
    main()
