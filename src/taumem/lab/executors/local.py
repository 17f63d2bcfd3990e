"""Making many runs: in this process, or in several at once. Interrupted, they save where they stand."""

import multiprocessing
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from taumem.errors import RecordError, TaumemWarning
from taumem.lab.interruption import Interrupted, children_ignore_ctrl_c, ctrl_c_is_known
from taumem.lab.plan import RunPlan
from taumem.lab.run import OnStep, make_run, make_runs_together

__all__ = ["available_processors", "execute"]

SECONDS_BETWEEN_REPORTS = 0.2

Job = Sequence[RunPlan]
"""Runs that one process makes: a single one, or several as one batched program."""


def execute(plans: Sequence[RunPlan], folder: Path, *, workers: int, on_step: OnStep, together: bool = False) -> None:
    """Make all runs, the longest first.

    Args:
        plans: what to run.
        folder: of the study.
        workers: processes at once; each computes on its share of the processors. With 1, runs are made in this process.
        together: whether each process trains its share of the runs as one batched program.
        on_step: called now and then with a run and the step that it has reached.

    Raises:
        KeyboardInterrupt: as it came; runs in other processes have then saved where they stand.
        TaumemError: of the first run that failed; the others have then saved where they stand.
    """
    longest_first = sorted(plans, key=lambda plan: -plan.steps)
    jobs = _shared_out(longest_first, workers) if together else [[plan] for plan in longest_first]
    if workers <= 1 or len(jobs) == 1:
        for job in jobs:
            _make(job, folder, on_step)
    else:
        _in_processes(jobs, folder, min(workers, len(jobs)), on_step)


def _make(job: Job, folder: Path, on_step: OnStep) -> None:
    if len(job) == 1:
        make_run(job[0], folder, on_step)
    else:
        make_runs_together(job, folder, on_step)


def _shared_out(plans: Sequence[RunPlan], workers: int) -> list[list[RunPlan]]:
    """Share out runs, the longest first, so that each worker has about as many steps to make."""
    shares: list[list[RunPlan]] = [[] for _ in range(max(1, min(workers, len(plans))))]
    for plan in plans:
        min(shares, key=lambda share: sum(plan.steps for plan in share)).append(plan)
    return shares


def available_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(jobs: Sequence[Job], folder: Path, workers: int, on_step: OnStep) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch can hang in its own threads
    steps: Queue[tuple[int, int, int]] = context.Queue()
    stop = context.Event()

    def report() -> None:
        while True:
            try:
                place, position, step = steps.get_nowait()
            except queue.Empty:
                return
            on_step(jobs[place][position], step)

    with ProcessPoolExecutor(workers, context, _start_worker, (steps, stop, workers)) as pool:
        try:
            with children_ignore_ctrl_c():
                pending: set[Future[None]] = {pool.submit(_work, k, job, folder) for k, job in enumerate(jobs)}
            while pending:
                done, pending = wait(pending, SECONDS_BETWEEN_REPORTS, FIRST_COMPLETED)
                report()
                for future in done:
                    future.result()
        except BrokenProcessPool:
            raise RecordError(
                f"{folder}: a worker process died while it started, or was killed (out of memory?). "
                "What was done is kept: the same command goes on from there; --workers 1 needs the least memory."
            ) from None
        except BaseException:
            with ctrl_c_is_known():  # the workers end their steps and save
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
            raise
        report()


_worker: dict[str, Any] = {}
"""What a worker process was started with."""


def _start_worker(steps: "Queue[tuple[int, int, int]]", stop: Event, workers: int) -> None:
    import torch

    # Ctrl-C reaches every process of the terminal; here the parent's flag counts, which lets a step end first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.formatwarning = _in_words
    for of_data in (r"taumem\.data\b", r"taumem\.lab\.domains\b"):  # the parent read them first, and has said it
        warnings.filterwarnings("ignore", category=TaumemWarning, module=of_data)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(max(1, available_processors() // workers))
    _worker.update(steps=steps, stop=stop)


def _in_words(message: Warning | str, *_: object, **__: object) -> str:
    """A note of a worker as the command line prints its own, without the line of code that it came from."""
    return f"note: {message}\n"


def _leave_with_parent() -> None:
    """End this process when its parent is gone: records and checkpoints survive that at any moment."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _work(place: int, job: Job, folder: Path) -> None:
    positions = {plan.name: k for k, plan in enumerate(job)}
    reported: dict[int, tuple[float, int]] = {}

    def on_step(plan: RunPlan, step: int) -> None:
        position = positions[plan.name]
        last_time, last_step = reported.get(position, (0.0, 0))
        if _worker["stop"].is_set():
            raise Interrupted
        now = time.monotonic()
        if now - last_time < SECONDS_BETWEEN_REPORTS and (step < plan.steps or step == last_step):
            return
        reported[position] = now, step
        _worker["steps"].put((place, position, step))

    _make(job, folder, on_step)
