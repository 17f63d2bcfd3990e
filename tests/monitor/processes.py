"""Run by the tests in processes of its own: two processes train one model, or one trains it alone."""

import json
import os
import sys

import torch
import torch.distributed as dist
from loops import HELDOUT, TRAIN, Net, loss

import taumem


def main(folder, rank, size):
    if size > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[4], RANK=str(rank), WORLD_SIZE=str(size))
        dist.init_process_group("gloo")
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
    numbers = [[*m.key, m.value] for m in guard.record.measurements]
    print(json.dumps({"stopped": stopped, "said": str(guard.verdict.reason), "numbers": numbers}))
    guard.close()
    if size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
