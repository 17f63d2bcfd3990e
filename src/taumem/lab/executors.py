"""Making many runs: in this process, or in several at once. Interrupted, they save where they stand."""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from taumem.errors import RecordError
from taumem.lab.run import Interrupted, RunPlan, run

__all__ = ["available_processors", "execute"]

OnStep = Callable[[RunPlan, int], None]
SECONDS_BETWEEN_PULSES = 0.2


def execute(plans: Sequence[RunPlan], folder: Path, *, workers: int, on_step: OnStep) -> None:
    """Make all runs, the longest first.

    Args:
        plans: what to run.
        folder: of the study.
        workers: processes at once; each computes on its share of the processors. With 1, runs are made in this process.
        on_step: told now and then which step a run has reached.

    Raises:
        KeyboardInterrupt: as it came; runs in other processes have then saved where they stand.
        TaumemError: of the first run that failed; the others have then saved where they stand.
    """
    longest_first = sorted(plans, key=lambda plan: -plan.steps)
    if workers <= 1 or len(plans) == 1:
        for plan in longest_first:
            run(plan, folder, lambda step, plan=plan: on_step(plan, step))  # type: ignore[misc]
    else:
        _in_processes(longest_first, folder, min(workers, len(plans)), on_step)


def available_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(plans: Sequence[RunPlan], folder: Path, workers: int, on_step: OnStep) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch can hang in its own threads
    steps: Queue[tuple[int, int]] = context.Queue()
    stop = context.Event()

    def hear() -> None:
        while True:
            try:
                position, step = steps.get_nowait()
            except queue.Empty:
                return
            on_step(plans[position], step)

    with ProcessPoolExecutor(workers, context, _start_worker, (steps, stop, workers)) as pool:
        pending: set[Future[None]] = {pool.submit(_work, k, plan, folder) for k, plan in enumerate(plans)}
        try:
            while pending:
                done, pending = wait(pending, SECONDS_BETWEEN_PULSES, FIRST_COMPLETED)
                hear()
                for future in done:
                    future.result()
        except BrokenProcessPool:
            raise RecordError(
                f"{folder}: a worker process was killed (out of memory?). What was done is kept: the same command goes "
                "on from there; --workers 1 needs the least memory."
            ) from None
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        hear()


_worker: dict[str, Any] = {}
"""What a worker process was started with."""


def _start_worker(steps: "Queue[tuple[int, int]]", stop: Event, workers: int) -> None:
    import torch

    # Ctrl-C reaches every process of the terminal; here the parent's word counts, which lets a step end first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(max(1, available_processors() // workers))
    _worker.update(steps=steps, stop=stop)


def _leave_with_parent() -> None:
    """End this process when its parent is gone: records and checkpoints survive that at any moment."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _work(position: int, plan: RunPlan, folder: Path) -> None:
    heard = 0.0

    def pulse(step: int) -> None:
        nonlocal heard
        if (now := time.monotonic()) - heard < SECONDS_BETWEEN_PULSES and step < plan.steps:
            return
        heard = now
        _worker["steps"].put((position, step))
        if _worker["stop"].is_set():
            raise Interrupted

    run(plan, folder, pulse)
