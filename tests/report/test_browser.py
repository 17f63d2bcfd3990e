"""A browser draws every page whole, by day and by night, also on a phone. One test, so that it starts once."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest
from planted_audit import audit_of
from reading import Page

from taumem.report.audit_page import audit_page_of
from taumem.report.audit_sections.pairs import MOST_PAIRS

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
    "--virtual-time-budget=40000",
    "--allow-file-access-from-files",  # so that the page around them may look into the frames
    "--dump-dom",
]
AROUND = """<!doctype html>
<pre></pre>
<script>
"use strict";
const seen = {};
const look = (frame) => {
  const { document, matchMedia } = frame.contentWindow;
  const all = (selector) => document.querySelectorAll(selector).length;
  const slider = document.getElementById("threshold");
  if (slider) {
    slider.value = 20;
    slider.dispatchEvent(new Event("input"));
  }
  return { threshold: slider && { told: document.getElementById("found-at-threshold").textContent,
      pale: all(".match.beyond"), line: document.getElementById("plot-scores").layout.shapes[0].x0 },
    dark: matchMedia("(prefers-color-scheme: dark)").matches, plots: all(".js-plotly-plot"),
    drawings: all(".main-svg"), ink: document.querySelector(".plot text").style.fill };
};
const sideways = (frame) => {
  const { document, getComputedStyle } = frame.contentWindow, root = document.documentElement;
  const clips = (e) => e && e !== root && (getComputedStyle(e).overflowX !== "visible" || clips(e.parentElement));
  const wide = [...document.querySelectorAll("main *")].filter(
    (e) => e.getBoundingClientRect().right > root.clientWidth + 1 && !clips(e.parentElement));
  return root.scrollWidth <= root.clientWidth ? [] : wide.slice(0, 9).map((e) => e.outerHTML.slice(0, 120));
};
// Asks until the answer will do: a page redraws itself when the colors or its width change, soon or not so soon.
const asked = async (question, willDo) => {
  let answer = question();
  for (let k = 0; k < 12 && !willDo(answer); k++) {
    await new Promise((next) => setTimeout(next, 500));
    answer = question();
  }
  return answer;
};
for (const name of %s) {
  const frame = Object.assign(document.createElement("iframe"), { src: `${name}.html`, width: 1200, height: 900 });
  frame.style.colorScheme = "light";
  frame.onload = async () => {
    const day = look(frame);
    frame.style.colorScheme = "dark";
    const night = await asked(() => look(frame), (seen) => seen.dark && seen.ink !== day.ink);
    frame.width = 390;
    await new Promise((next) => setTimeout(next, 500));
    seen[name] = [day, night, await asked(() => sideways(frame), (wide) => wide.length === 0)];
    document.querySelector("pre").textContent = JSON.stringify(seen);
  };
  document.body.append(frame);
}
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
def test_a_browser_draws_every_figure_by_day_by_night_and_on_a_phone_without_an_error(
    tmp_path, page, grammar_page, text_page
):
    audit = audit_of()
    pages = {"images": page, "grammar": grammar_page, "texts": text_page, "audit": Page(audit_page_of(audit))}
    for name, written in pages.items():
        (tmp_path / f"{name}.html").write_text(written.html, encoding="utf-8")
    (tmp_path / "around.html").write_text(AROUND % json.dumps(list(pages)), encoding="utf-8")
    (tmp_path / "profile").mkdir()
    run = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "around.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    seen = json.loads(unescape(re.search("<pre>(.*?)</pre>", run.stdout).group(1)))
    assert set(seen) == set(pages)
    for name, (day, night, sideways) in seen.items():
        assert sideways == [], f"{name} is wider than a phone"
        for drawn in (day, night):
            assert drawn["plots"] == len(pages[name].figures)
            assert drawn["drawings"] >= 2 * len(pages[name].figures)
        assert (day["dark"], night["dark"]) == (False, True)
        assert (day["ink"], night["ink"]) == ("rgb(102, 112, 128)", "rgb(152, 162, 179)"), name
    # The slider tells and shows what holds at its threshold, and goes on doing so on a dark page.
    for drawn in seen["audit"][:2]:
        found, false = audit.bounds.found[20], audit.bounds.false[20]
        told = f"{found} distinct samples found, of which at most {false} ({100 * false / found:.0f} %) are no copies"
        assert drawn["threshold"]["told"].startswith(told)
        assert drawn["threshold"]["pale"] == MOST_PAIRS - found
        assert drawn["threshold"]["line"] == audit.bounds.thresholds[20]
