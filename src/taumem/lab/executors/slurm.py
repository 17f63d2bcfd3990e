"""Tasks as jobs of Slurm, by submitit: those that come together are one job array."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from taumem.errors import ConfigError
from taumem.lab.executors.processes import WorkerDied
from taumem.lab.interruption import children_ignore_ctrl_c

__all__ = ["SlurmExecutor"]

T = TypeVar("T")
SECONDS_BETWEEN_QUESTIONS = 1.0


class SlurmExecutor(Executor):
    """Runs each task as a job of Slurm.

    Args:
        folder: for submitit's files and the jobs' logs; all machines must see it under this path.
        workers: jobs at once; as many as Slurm gives if None.
        options: what submitit's ``update_parameters`` takes, such as ``{"timeout_min": 60, "slurm_partition": "gpu"}``;
            and ``cluster``, which is ``slurm`` unless it says ``local`` (processes of this machine, to try it out).

    Raises:
        ConfigError: submitit or Slurm is not there, or an option that they do not know.
    """

    def __init__(self, folder: Path, *, workers: int | None = None, options: Mapping[str, Any] | None = None) -> None:
        try:
            import submitit
        except ImportError:
            raise ConfigError("the executor 'slurm' needs submitit: pip install 'taumem[slurm]'.") from None
        known = dict(options or {})
        cluster = str(known.pop("cluster", "slurm"))
        if workers is not None and cluster == "slurm":
            known["slurm_array_parallelism"] = workers
        try:
            self._submitit = submitit.AutoExecutor(folder / "%j", cluster=cluster)
            self._submitit.update_parameters(**{"timeout_min": 24 * 60, "name": "taumem"} | known)
        except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
            raise ConfigError(f"submitit: {str(error).strip().splitlines()[0]}") from None
        self._folder = folder
        self._at_once = None if cluster == "slurm" else workers
        self._new: list[tuple[Future[Any], Callable[[], Any]]] = []
        self._jobs: list[tuple[Any, Future[Any]]] = []
        self._changing = threading.Lock()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a function be called in a job, which is handed in within a second, with all that come by then."""
        future: Future[T] = Future()
        with self._changing:
            self._new.append((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let jobs that run end; those that wait in the queue end too, unless they are dropped."""
        if cancel_futures:
            with self._changing:
                for future, _ in self._new:
                    future.cancel()
                for job, future in self._jobs:
                    if job.state in ("PENDING", "REQUEUED"):
                        job.cancel()
                        future.cancel()
        self._leaving.set()
        if wait:
            self._thread.join()

    def _follow(self) -> None:
        """Hand in what is new, and ask what has become of the rest, until all has ended."""
        while not (self._leaving.is_set() and not self._new and not self._jobs):
            with self._changing:
                self._hand_in()
                ended = [(job, future) for job, future in self._jobs if job.done()]
                self._jobs = [pair for pair in self._jobs if pair not in ended]
            for job, future in ended:
                _settle(future, job)
            time.sleep(SECONDS_BETWEEN_QUESTIONS)

    def _hand_in(self) -> None:
        """Hand in what is new, as one job array."""
        room = len(self._new) if self._at_once is None else max(0, self._at_once - len(self._jobs))
        batch, self._new = self._new[:room], self._new[room:]
        batch = [(future, task) for future, task in batch if not future.cancelled()]
        if not batch:
            return
        try:
            with children_ignore_ctrl_c():  # of submitit's local jobs
                jobs = self._submitit.map_array(_Resumable(), [task for _, task in batch])
        except Exception as error:  # sbatch refuses
            for future, _ in batch:
                future.set_exception(error)
            return
        self._jobs += [(job, future) for job, (future, _) in zip(jobs, batch, strict=True)]


def _settle(future: "Future[Any]", job: Any) -> None:
    """Give a future what became of its job."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(job.result())
    except Exception as error:
        told = re.sub(r"\s+", " ", str(error)).strip()
        words = f"job {job.job_id} ended without a result ({told[:200]}); see {job.paths.stderr}"
        future.set_exception(WorkerDied(words))


class _Resumable:
    """Does a task, which submitit may hand in again if it is preempted or out of time: runs go on from files."""

    def __call__(self, task: Callable[[], T]) -> T:
        return task()

    def checkpoint(self, task: Callable[[], Any]) -> Any:
        """The same task again, in submitit's words; it asks the function that it calls for this."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)
