"""Copied parts on the page: shares above chance, onsets by size, surprise below that of new items."""

import numpy as np
import planted_study
import pytest
from planting import at_step, mean, share

from taumem.analysis import Study
from taumem.record import Measurement, RunRecord
from taumem.report import page_of
from taumem.report.figures import motif_use, part_copies, part_onsets

STEPS = [32, 64, 128, 256, 512, 1024]
COPIED = {"0.5": [10, 10, 10, 60, 110, 110], "1": [0, 0, 0, 0, 0, 60]}
"""Of 110 samples, with a chance of 10 for halves."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder, run = tmp_path_factory.mktemp("parts"), planted_study.header(16, steps=1024)
    facts: list[Measurement] = []
    for look, step in enumerate(STEPS):
        estimates = [share(f"part_copies[{size}]", counts[look], 110) for size, counts in COPIED.items()]
        estimates += [share("part_copies_chance[0.5]", 10, 110), share("part_copies_chance[1]", 0, 110)]
        for name in ("motif_surprise", "motif_divergence"):
            estimates.append(mean(f"{name}[2]", 4 + np.linspace(-1, 1, 32), keep=False))
            estimates.append(mean(f"{name}_chance[2]", 5 + np.linspace(-1, 1, 32), keep=False))
        facts += at_step(run, step, estimates)
    with RunRecord.open(folder, run) as record:
        record.append(facts)
    return Study.of([RunRecord.read(folder)])


def test_shares_are_drawn_above_chance_with_a_dash_for_each_size(measured):
    drawn = {trace.line.dash: list(trace.y) for trace in part_copies(measured).data if trace.name == "P = 16"}
    assert drawn["solid"] == pytest.approx([0, 0, 0, 50 / 110, 100 / 110, 100 / 110])
    assert drawn["dash"] == pytest.approx([0] * 5 + [60 / 110])


def test_onsets_stand_over_the_size_of_the_part(measured):
    (line,) = part_onsets(measured, per_example=False).data
    assert list(line.x) == [0.5, 1]
    assert 128 < line.y[0] < 256
    assert 512 < line.y[1] < 1024


@pytest.mark.parametrize("quantity", ["motif_surprise", "motif_divergence"])
def test_motifs_are_drawn_less_what_new_items_give_with_the_errors_of_both(measured, quantity):
    line = next(trace for trace in motif_use(measured, quantity).data if trace.name == "P = 16")
    assert np.allclose(line.y, -1)
    se = np.sqrt(2 / 32) * np.linspace(-1, 1, 32).std(ddof=1)
    assert np.allclose(line.customdata[:, 3], -1 + 2 * se, atol=1e-6)


@pytest.mark.slow
def test_the_page_has_the_section_where_it_was_measured_and_not_elsewhere(measured, study):
    assert '<section id="parts">' in page_of(measured)
    assert '<section id="parts">' not in page_of(study)
