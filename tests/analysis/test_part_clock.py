"""tau_part: found where it was planted, for each size of part; silent where chance is all there is."""

import numpy as np
import pytest
from planted import header
from scipy.stats import beta

from taumem.analysis import CLOCKS, Seen
from taumem.record import Measurement, RunRecord

STEPS = np.unique(np.round(32 * 2 ** (np.arange(14) / 2))).astype(int)
N = 256


def onset(folder, shares, chance, size="0.5"):
    """The clock of a record with these shares of samples, and held-out items in which a part is copied by chance."""
    with RunRecord.open(folder, header(16)) as record:
        for step, value in zip(STEPS.tolist(), shares, strict=True):
            for name, each in ((f"part_copies[{size}]", value), (f"part_copies_chance[{size}]", chance)):
                k = round(each * N)
                low, high = beta.ppf(0.025, k, N - k + 1) if k else 0, beta.ppf(0.975, k + 1, N - k) if k < N else 1
                facts = {"value": k / N, "low": low, "high": high, "confidence": 0.95, "count": N}
                record.append([Measurement(quantity=name, **facts, step=step, examples=16 * step, seconds=1)])
    return CLOCKS[f"tau_part[{size}]"].onset(Seen(RunRecord.read(folder)), 0.9)


@pytest.mark.parametrize("chance", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("size", ["0.25", "1"])
def test_a_planted_onset_is_found_above_chance(tmp_path, chance, size):
    found = onset(tmp_path, chance + (1 - chance) * np.clip(np.log2(STEPS / 400) / 4, 0, 1), chance, size)
    assert found.censored == "no"
    assert found.low <= 400 * 2 ** (4 * 0.05 / (1 - chance)) <= found.high


@pytest.mark.parametrize("chance", [0.02, 0.3, 0.95])
def test_it_is_silent_where_samples_have_as_many_parts_as_new_items(tmp_path, chance):
    draws = np.random.default_rng(0).binomial(N, chance, len(STEPS)) / N
    assert onset(tmp_path, draws, chance).censored == "right"


def test_it_is_not_read_where_parts_were_not_counted(tmp_path):
    with RunRecord.open(tmp_path, header(16)):
        pass
    assert CLOCKS["tau_part[0.5]"].onset(Seen(RunRecord.read(tmp_path)), 0.9) is None
