import pytest
import torch
from loops import HELDOUT, TRAIN, Net, loss
from processes import by_two

import taumem
from taumem.record import RunRecord


def guarded(rank, folder, size):
    """Train one model, alone or by two; gives where it stopped, why, and all numbers of its record."""
    torch.manual_seed(0)
    model = Net()
    trained = torch.nn.parallel.DistributedDataParallel(model) if size > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    drawn = torch.Generator().manual_seed(3)

    def sampled(model, generator):
        return TRAIN[:16] + 1e-3 * torch.randn(16, 6, generator=generator)

    stop_at = taumem.Interval(33.5, 33.5, 40.0, confidence=0.5)
    rules = ["balanced", "forecast"]
    guard = taumem.Guard(
        loss, train=TRAIN, heldout=HELDOUT, folder=folder, forecast=stop_at, rule=rules, on_onset="stop", strict=True,
        sampler=sampled, sample_cadence=taumem.LogCadence(16, 1), budget=0.5, block=16,
    )  # fmt: skip
    guard._watchman.schedule.budget.share = None  # times differ from run to run; the looks to compare must not
    stopped = 0
    for step in range(1, 100):
        # Every process sees all items: the same gradient, so that one process alone trains the same model.
        optimizer.zero_grad()
        loss(trained.train(), TRAIN, drawn).mean().backward()
        optimizer.step()
        stopped = step
        if guard(trained, step):
            break
    numbers = [(*m.key, m.value) for m in guard.record.measurements]
    said = str(guard.verdict.reason)
    guard.close()
    return stopped, said, numbers


@pytest.mark.slow
def test_two_processes_measure_stop_and_write_as_one(tmp_path):
    with torch.random.fork_rng():
        stopped, _, alone = guarded(0, tmp_path / "one", 1)
    first, second = by_two(guarded, tmp_path / "two", 2)
    assert first == second
    assert first[:2] == (stopped, "forecast")
    assert stopped == 34
    numbers = first[2]
    assert [number[:3] for number in numbers] == [number[:3] for number in alone]
    for (*_, ours), (*_, theirs) in zip(numbers, alone, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)
    record = RunRecord.read(tmp_path / "two")
    assert [(*m.key, m.value) for m in record.measurements] == numbers
    assert record.curve("copy_fraction").steps.tolist() == [16, 32]
