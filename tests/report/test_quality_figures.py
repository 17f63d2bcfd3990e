"""Quality on the page: curves over those of new images, with the clocks marked; nothing where it was not measured."""

import numpy as np
import planted_study
import pytest
from planting import at_step, mean, share

from taumem.analysis import Study
from taumem.record import Measurement, RunRecord
from taumem.report import page_of
from taumem.report.figures import frechet, precision_and_recall

STEPS = [32, 45, 64, 91, 128, 181, 256, 362, 512, 724]
CHANCE = {"heldout": 4.0, "train": 10.0}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One run whose distance is 3 times that of new images, at all looks, from both references."""
    folder, run = tmp_path_factory.mktemp("quality"), planted_study.header(16, steps=724)
    facts: list[Measurement] = []
    for step in STEPS:
        estimates = []
        for name, chance in CHANCE.items():
            estimates.append(mean(f"{name}_frechet", 3 * chance + np.linspace(-1, 1, 32)))
            estimates.append(mean(f"{name}_frechet_chance", chance + np.linspace(-1, 1, 32), keep=False))
            for what, count in (("precision", 8), ("recall", 4)):
                estimates.append(share(f"{name}_{what}", count, 32))
                estimates.append(share(f"{name}_{what}_chance", 24, 32))
        facts += at_step(run, step, estimates)
    with RunRecord.open(folder, run) as record:
        record.append(facts)
    return Study.of([RunRecord.read(folder)])


@pytest.mark.parametrize("reference", ["heldout", "train"])
def test_a_distance_is_drawn_over_that_of_new_images(measured, reference):
    line = next(trace for trace in frechet(measured, reference).data if trace.name == "P = 16")
    assert list(line.x) == STEPS
    assert np.allclose(line.y, 3)
    (level,) = [trace for trace in frechet(measured, reference).data if trace.name == "new images of the data"]
    assert list(level.y) == [1, 1]


def test_precision_and_recall_stand_beside_those_of_new_images(measured):
    figure = precision_and_recall(measured)
    levels = {trace.name: trace.y[0] for trace in figure.data if "of new images" in (trace.name or "")}
    assert levels == {"precision of new images (75 %)": 0.75, "recall of new images (75 %)": 0.75}
    drawn = {trace.line.dash: trace.y[0] for trace in figure.data if trace.name == "P = 16"}
    assert drawn == {"solid": 0.25, "dot": 0.125}


@pytest.mark.slow
def test_the_page_has_the_section_where_it_was_measured_and_not_elsewhere(measured, study):
    assert '<section id="quality">' in page_of(measured)
    assert '<section id="quality">' not in page_of(study)
