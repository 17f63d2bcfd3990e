"""tau_quality: where the Fréchet distance of samples turns, and silence where it does not."""

import numpy as np
import pytest
import torch
from planted import header

from taumem.analysis import CLOCKS, Seen
from taumem.probes.frechet import frechet_distance
from taumem.record import Measurement, RunRecord

STEPS = np.unique(np.round(32 * 2 ** (np.arange(14) / 2))).astype(int)  # 32 to 2,896, two looks for each doubling
N, D = 128, 8


def distances(far, seed=0):
    """What a probe would say of samples whose mean is so far off at each look: from the same noise at every look."""
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(256, D, generator=generator, dtype=torch.float64)
    noise = torch.randn(N, D, generator=generator, dtype=torch.float64)
    jitter = 0.02 * torch.randn(len(far), N, D, generator=generator, dtype=torch.float64)
    return [frechet_distance(noise + own + off, reference).items.numpy() for off, own in zip(far, jitter, strict=True)]


def read(folder, far, seed=0):
    """The clock, off a record of it."""
    run = header(16)
    with RunRecord.open(folder, run) as record:
        for step, items in zip(STEPS.tolist(), distances(far, seed), strict=True):
            facts = {"value": float(items.mean()), "se": 0.1, "count": N, "items": tuple(items.tolist())}
            record.append([Measurement(quantity="heldout_frechet", **facts, step=step, examples=16 * step, seconds=1)])
    return CLOCKS["tau_quality"].onset(Seen(RunRecord.read(folder)), 0.9)


@pytest.mark.parametrize("tau", [150.0, 400.0, 900.0])
def test_the_minimum_is_found_where_it_was_planted(tmp_path, tau):
    onset = read(tmp_path, 0.6 * np.abs(np.log(STEPS / tau)))
    assert onset.censored == "no"
    assert onset.low < tau < onset.high
    assert onset.step == pytest.approx(tau, rel=0.2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("course", ["falls", "falls and stays", "never falls"])
def test_it_is_silent_where_nothing_turns(tmp_path, course, seed):
    falling = np.maximum(np.log(3000 / STEPS), 0) * 0.4
    far = {
        "falls": falling,
        "falls and stays": np.maximum(falling, 0.6),
        "never falls": np.full(len(STEPS), 1.0),
    }[course]
    assert read(tmp_path, far, seed).censored == "right"


def test_it_needs_eight_looks_and_the_parts_of_the_samples(tmp_path):
    with RunRecord.open(tmp_path, header(16)) as record:
        record.append(
            Measurement(quantity="heldout_frechet", value=1.0, se=0.1, count=N, step=step, examples=step, seconds=1)
            for step in STEPS.tolist()
        )
    assert CLOCKS["tau_quality"].onset(Seen(RunRecord.read(tmp_path)), 0.9) is None
