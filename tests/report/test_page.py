"""The page: self-contained, honest about what is missing, and whole in a browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import planted_study
import pytest
from planted_study import HELD_BACK

from taumem.analysis import Interval, Onset, fit_law
from taumem.errors import ConfigError
from taumem.record import RunRecord
from taumem.report import Forecast, Study, write_report
from taumem.report.page import _verdict
from taumem.report.study import ClockLaw


class Page(HTMLParser):
    """What a browser would load, read and run."""

    def __init__(self, path: Path):
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.figures: list[dict] = []
        self._inside = ""
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = "json" if dict(attrs).get("type") == "application/json" else tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "json":
            self.figures.append(json.loads(data))
        elif self._inside not in ("script", "style"):
            self.words += data


@pytest.fixture(scope="module")
def written(tmp_path_factory, records, forecast):
    path = tmp_path_factory.mktemp("page") / "report.html"
    command = "taumem run planted --seed 0"
    assert write_report(path, records, held_back=HELD_BACK, forecast=forecast, reproduce=command) == path
    return path


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


def test_nothing_is_loaded_from_anywhere(page):
    for tag, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:"), (tag, name, value)
    styles = "".join(re.findall(r"<style>(.*?)</style>", page.html, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_plotly_is_there_once_and_the_page_is_light(page):
    assert len(re.findall(r"plotly\.js v\d", page.html)) == 1
    assert len(page.html.encode()) < 6e6


def test_the_page_says_the_law_the_forecast_and_the_measurement(page):
    headline = re.search(r"<h1>(.*?)</h1>", page.html).group(1)
    found = re.fullmatch(
        r"tau_val grows as P<sup>(.*?)</sup> \[(.*?), (.*?)\]: (.*?) steps an example at batch size 16\. "
        r"Forecast for P = 128: 768 \[640, 930\] steps; measured 760 \[700, 830\]\.",
        headline,
    )
    exponent, low, high, prefactor = map(float, found.groups())
    assert low < 1 < high
    assert exponent == pytest.approx(1, abs=0.1)
    assert prefactor == pytest.approx(planted_study.STEPS_PER_EXAMPLE, rel=0.1)
    assert "+1 %" in page.words
    assert "inside the forecast's interval" in page.words


def test_every_clock_is_defined_and_every_onset_listed(page, study):
    for clock in study.clocks:
        assert clock.clock in page.words
    for word in ("Minimum of the held-out loss", "tau_copy[x]", "Here x = 0.03, 0.05, 0.1", "chance level"):
        assert word in page.words
    assert f"All {len(study.onsets)} onsets" in page.words


def test_how_it_was_made_is_told(page):
    for word in ("torch 2.13.0", "Planted shapes", "5f0c5f0c", "learning_rate", "taumem run planted --seed 0", "raw"):
        assert word in page.words


def test_no_privacy_is_claimed(page):
    assert "no statement about privacy" in page.words
    assert len(re.findall("privacy|private", page.words)) == 1


def test_every_figure_is_whole_json_with_a_place(page):
    places = {a["id"] for tag, a in page.tags if tag == "div" and (a.get("id") or "").startswith("plot-")}
    assert {a["data-plot"] for tag, a in page.tags if tag == "script" and "data-plot" in a} == places
    assert len(page.figures) == len(places) == 9
    assert all(figure["data"] for figure in page.figures)


def test_the_same_records_give_the_same_page(tmp_path, records, forecast, page):
    again = write_report(
        tmp_path / "again.html",
        list(reversed(records)),
        held_back=HELD_BACK,
        forecast=forecast,
        reproduce="taumem run planted --seed 0",
    )
    assert again.read_text(encoding="utf-8") == page.html


def test_every_text_from_outside_is_escaped(tmp_path):
    nasty = "<script>alert(1)</script>\"'&</script>"
    records = planted_study.study(
        tmp_path / "runs", (16, 32), steps=400, name=nasty, weights=nasty, device=nasty, versions={nasty: nasty}
    )
    for titles in ({}, {"title": nasty, "sentence": nasty, "reproduce": nasty}):
        page = Page(write_report(tmp_path / "report.html", records, **titles))
        assert "<script>alert" not in page.html
        assert "alert(1)" in page.words
        assert len(page.figures) == 9


# --- studies with little in them -------------------------------------------------------------------------------------


def test_no_runs_give_a_page_that_says_so(tmp_path):
    page = Page(write_report(tmp_path / "report.html", []))
    assert "There are no runs to report on yet." in page.words
    assert not page.figures


def test_one_run_without_samples_or_twin_gives_a_page_that_says_so(tmp_path):
    records = planted_study.study(tmp_path / "runs", (32,), halves=(None,), steps=800, samples=False)
    page = Page(write_report(tmp_path / "report.html", records))
    for words in (
        "No law yet",
        "tau_gap_sym could not be read: it needs two runs on disjoint halves",
        "tau_copy could not be read: it needs samples",
        "One seed only",
        "No run kept samples that are images",
        "this law needs 2 located onsets",
    ):
        assert words in page.words


def test_a_run_that_has_only_begun_gives_a_page(tmp_path):
    with RunRecord.open(tmp_path / "run", planted_study.header(16)) as record:
        pass
    page = Page(write_report(tmp_path / "report.html", [record]))
    assert "No clock could be read from these runs yet." in page.words


def test_runs_that_ended_before_every_onset_give_a_page_that_says_so(tmp_path):
    records = planted_study.study(tmp_path / "runs", (256, 512), steps=300)
    page = Page(write_report(tmp_path / "report.html", records))
    assert "No law yet" in page.words
    assert "not reached when the run ended" in page.words


def test_a_measurement_that_ended_too_early_is_a_bound(tmp_path, records):
    made, seen = Interval(768.0, 640.0, 930.0, 0.9, 16), Interval(500.0, 500.0, np.inf, 0.9, 16)
    forecast = Forecast("tau_val", 128, made, seen)
    assert forecast.relative_error is None
    page = Page(write_report(tmp_path / "report.html", records, held_back=HELD_BACK, forecast=forecast))
    assert "measured > 500." in page.words


def test_samples_that_are_no_images_give_a_page(tmp_path):
    path = tmp_path / "run"
    planted_study.study(tmp_path, (16,), halves=(None,), steps=300, samples=False)
    with RunRecord.open(path, planted_study.header(16)) as record:
        record.keep_arrays(10, {"samples": np.zeros((4, 9), dtype=np.int64)})
    page = Page(write_report(tmp_path / "report.html", [RunRecord.read(path)]))
    assert "No run kept samples that are images" in page.words


def test_batches_as_large_as_the_training_set_are_one_study(tmp_path):
    records = [
        record
        for size in (16, 32)
        for record in planted_study.study(tmp_path / str(size), (size,), steps=1500, samples=False, batch_size=size)
    ]
    page = Page(write_report(tmp_path / "report.html", records))
    headline = re.search(r"<h1>(.*?)</h1>", page.html).group(1)
    assert "steps an example" in headline
    assert "at batch size" not in headline
    assert "One batch size only" not in page.words


def test_the_same_run_twice_is_refused(tmp_path, records):
    with pytest.raises(ConfigError, match="give each run once"):
        write_report(tmp_path / "report.html", [*records, records[0]])
    assert not (tmp_path / "report.html").exists()


# --- in a browser ----------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
    "--dump-dom",
]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_every_figure_without_an_error(tmp_path, written, scheme):
    settings = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    profile = tmp_path / "profile"
    profile.mkdir()
    run = subprocess.run(
        [CHROMIUM, *FLAGS, *settings, f"--user-data-dir={profile}", written.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert run.stdout.count('class="main-svg"') >= 2 * 9
    assert run.stdout.count("js-plotly-plot") >= 9


@pytest.mark.parametrize(("bend", "said"), [(0.2, "The line bends: its exponent changes by +0.20"), (0.0, "P^1")])
def test_the_verdict_says_whether_the_line_bends(records, monkeypatch, bend, said):
    steps = {p: 8 * p ** (1 + bend / 2 * np.log2(p / 64)) for p in (16, 32, 64, 128)}
    onsets = [
        Onset("tau_val", x * step, x * step, x * step, "no", p, 16) for p, step in steps.items() for x in (0.99, 1.01)
    ]
    law = fit_law(onsets, exponent=None)
    monkeypatch.setattr(Study, "headline", ClockLaw("tau_val", tuple(onsets), law, law))
    verdict = _verdict(Study.of(records))
    assert said in verdict
    assert ("bends" in verdict) == (bend > 0)
