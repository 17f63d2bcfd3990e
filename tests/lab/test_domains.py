"""What each domain that comes with taumem says of its data, asks of models and asks of samples."""

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny

from taumem.lab import RunPlan
from taumem.record import RunRecord

STRINGS = {"source": "grammar", "v": 4, "m": 2, "s": 2, "L": 2, "n_heldout": 8}
LINES = {"source": "lines", "path": "own.txt", "n_heldout": 8}
TEXT = {"source": "text", "window": 16, "n_heldout": 16}
OF_VECTORS = (["LossGap", "EmpiricalGap"], ["Copies"])


@pytest.mark.parametrize(
    ("changes", "kind", "asked"),
    [
        ({"data": {"source": "fashion-mnist", "size": 8}}, "images", OF_VECTORS),
        ({"data": {"source": "images", "path": "own.npy"}, "model": {"kind": "unet"}}, "images", OF_VECTORS),
        ({}, "vectors", OF_VECTORS),
        ({"data": STRINGS, "diffusion": {"kind": "uniform"}}, "strings", (["LossGap"], ["GrammarLevels"])),
        (
            {"data": TEXT, "diffusion": {"kind": "masked"}},
            "texts",
            (["LossGap", "PredictiveEntropy", "BitsPerSymbol", "Infilling"], ["TextCopies", "TextQuality"]),
        ),
        (
            {"data": LINES, "diffusion": {"kind": "uniform"}},
            "texts",
            (["LossGap", "PredictiveEntropy"], ["TextCopies", "TextQuality", "Novelty"]),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*passed over:taumem.errors.TaumemWarning")
def test_a_run_says_what_its_items_are_and_is_asked_what_suits_them(tmp_path, monkeypatch, changes, kind, asked):
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype("uint8"))
    Path("own.txt").write_text("\n".join(f"{k * k} items" for k in range(40)))
    prepared = RunPlan(tiny(**changes), 4, 0, "b").prepare()
    assert prepared.header().data.kind == kind
    assert prepared.header().data.n_train == len(prepared.split.train) == len(prepared.twin_items) == 4
    with RunRecord.open(tmp_path / "run", prepared.header()) as record:
        monitor = prepared.monitor(record)
    names = [[type(probe).__name__ for probe in probes] for probes in (monitor.probes, monitor.sample_probes)]
    assert names == list(asked)


def test_where_the_distribution_is_known_losses_are_compared_with_its_optimum(tmp_path):
    for k, changes in enumerate(({}, {"data": STRINGS, "diffusion": {"kind": "masked"}})):
        prepared = RunPlan(tiny(**changes), 4, 0, None).prepare()
        with RunRecord.open(tmp_path / str(k), prepared.header()) as record:
            monitor = prepared.monitor(record)
            monitor.look(prepared.learner().denoiser, 1, 4)
            assert {"loss_above_exact", "gap_exact"} & set(record.quantities)
