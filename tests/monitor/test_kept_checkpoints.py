import numpy as np
import pytest
import torch
from loops import HELDOUT, TRAIN, Net, loss, train

import taumem
from taumem.analysis.stopping import Checkpoint, Reason, Verdict
from taumem.monitor.kept_checkpoints import KeptCheckpoints
from taumem.record import DataFacts, Estimate, Measurement, RunHeader, RunRecord

LOOKS = [10, 20, 40, 80, 160, 320]
VALUES = [1.0, 0.8, 0.6, 0.5, 0.7, 0.9]


def record(values=VALUES):
    header = RunHeader(
        name="a", data=DataFacts(name="a", fingerprint="0", n_train=4, n_heldout=4, item_shape=(2,)), seed=0,
        batch_size=4, steps=0,
    )  # fmt: skip
    rows = [
        Measurement.of(Estimate(quantity="heldout_loss", value=v), step=s, examples=0, seconds=0.0)
        for s, v in zip(LOOKS, values, strict=True)
    ]
    return RunRecord.of(header, rows)


def existing(*steps):
    kept = KeptCheckpoints()
    for step in steps:
        kept.add(step, f"{step}.pt")
    return kept


def test_where_the_loss_decides_the_checkpoint_with_the_lowest_loss_between_looks_wins():
    verdict = Verdict(True, "", since=80, keep=80, reason=Reason.LOSS_TURNED)
    # At 50 the loss reads 0.568 on a log axis, at 100 0.564, at 30 0.68
    assert existing(30, 50, 100, 300).best(verdict, record()) == Checkpoint(100, "100.pt")
    at = np.interp(np.log([30, 50, 100, 300]), np.log(LOOKS), VALUES)
    assert [30, 50, 100, 300][int(np.argmin(at))] == 100
    assert existing(300, 1000).best(verdict, record()) == Checkpoint(300, "300.pt")


@pytest.mark.parametrize("reason", [Reason.GAP_OPENED, Reason.COPIES, Reason.MEMBERS, Reason.FORECAST])
def test_else_the_last_one_that_is_not_after_the_look_to_keep(reason):
    verdict = Verdict(True, "", since=90, keep=80, reason=reason)
    assert existing(30, 50, 81, 300).best(verdict, record()).step == 50
    assert existing(30, 80).best(verdict, record()).step == 80
    assert existing(200, 300).best(verdict, record()).step == 200


def test_checkpoints_that_were_deleted_without_a_word_are_not_named(tmp_path):
    verdict = Verdict(True, "", since=90, keep=80, reason=Reason.COPIES)
    kept = KeptCheckpoints()
    for step in (30, 50, 300):
        (tmp_path / f"{step}.pt").touch()
        kept.add(step, str(tmp_path / f"{step}.pt"))
    assert kept.best(verdict, record()).step == 50
    (tmp_path / "50.pt").unlink()
    assert kept.best(verdict, record()).step == 30


def test_without_checkpoints_or_a_look_to_keep_there_is_none():
    assert existing().best(Verdict(False, "", keep=80), record()) is None
    assert existing(30).best(Verdict(False, ""), record()) is None


def test_weights_of_the_best_look_are_kept_in_the_folder_and_no_others(tmp_path):
    seen = {}

    def noting(model, x0, generator):
        seen[len(seen)] = 1
        return loss(model, x0, generator)

    guard = taumem.Guard(
        noting, train=TRAIN, heldout=HELDOUT, folder=tmp_path, on_onset="checkpoint", rule="quality", budget=None
    )
    torch.manual_seed(0)
    model = Net()
    weights = {}

    def call(model, step):
        stop = guard(model, step)
        weights[step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return stop

    train(call, model=model, steps=60)
    best = guard.verdict
    (file,) = tmp_path.glob("*.pt")
    assert file.name == f"weights-{best.keep}.pt"
    assert best.checkpoint == Checkpoint(best.keep, str(file))
    kept = torch.load(file, weights_only=True)
    assert all(torch.equal(kept[name], weights[best.keep][name]) for name in kept)
