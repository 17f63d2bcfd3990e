"""Tasks in processes of this machine. One that is killed takes its task with it, and no other."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeVar

from taumem.errors import TaumemError, TaumemWarning
from taumem.lab.interruption import children_ignore_ctrl_c

__all__ = ["Processes", "WorkerDied", "available_processors"]

T = TypeVar("T")
_starting = threading.Lock()


class WorkerDied(TaumemError):  # noqa: N818 (what happened to it)
    """The process that a task ran in has ended before the task had."""


def available_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Processes(Executor):
    """Runs tasks in processes, each on its share of the processors.

    Unlike the pool of Python's own, it survives the death of a process: the task fails with :class:`WorkerDied`, the
    others go on, and a new process takes its place.

    Args:
        workers: processes at once, started as they are needed.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a function be called in a process; it and what it returns must be picklable."""
        future: Future[T] = Future()
        self._tasks.put((future, partial(fn, *args, **kwargs)))
        if len(self._threads) < self._workers:
            thread = threading.Thread(target=self._serve, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let tasks that run end (and those that wait, unless they are dropped), and then the processes."""
        while cancel_futures and not self._tasks.empty():
            if (item := self._tasks.get()) is not None:
                item[0].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads if wait else ():
            thread.join()
        self._threads = []

    def _serve(self) -> None:
        """Hand tasks to a process of one's own, one at a time."""
        worker: _Worker | None = None
        while (item := self._tasks.get()) is not None:
            future, task = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker = worker or _Worker(self._workers)
                succeeded, result = worker.call(task)
            except Exception as error:  # it died, or the task cannot be pickled and has not reached it
                succeeded, result = False, error
                if worker is not None and isinstance(error, WorkerDied):
                    worker.end()
                    worker = None
            if succeeded:
                future.set_result(result)
            else:
                future.set_exception(result)
        if worker is not None:
            worker.end()


class _Worker:
    """A process, seen from its parent."""

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")  # a forked torch can hang in its own threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, max(1, available_processors() // workers)))
        with _starting:
            resource_tracker.ensure_running()  # which would let Ctrl-C through again if it were started below
            with children_ignore_ctrl_c():
                self._process.start()
        theirs.close()

    def call(self, task: Callable[[], Any]) -> tuple[bool, Any]:
        """Have a task done: whether it succeeded, and its result or error."""
        try:
            self._connection.send(task)
            answer: tuple[bool, Any] = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with exit code {code}"
            raise WorkerDied(f"its process {how}") from None
        return answer

    def end(self) -> None:
        """Let the process go: it leaves when nobody can ask it for anything any more."""
        self._connection.close()
        self._process.join()


def _work(connection: Connection, threads: int) -> None:
    """What the process does: tasks, until its parent has no more or is gone."""
    # Ctrl-C reaches every process of the terminal; it is for the parent to say what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.formatwarning = _in_words
    for of_data in (r"taumem\.data\b", r"taumem\.lab\.domains\b"):  # the parent read them first, and has said it
        warnings.filterwarnings("ignore", category=TaumemWarning, module=of_data)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    while True:
        try:
            connection.send(_done(connection.recv))
        except (EOFError, OSError):
            return


def _done(receive: Callable[[], Callable[[], Any]]) -> tuple[bool, Any]:
    """Do a task; what cannot be understood here (a module is missing, say) is its failure."""
    try:
        task = receive()
        return True, task()
    except (EOFError, OSError):
        raise
    except Exception as error:
        return False, error


def _in_words(message: Warning | str, *_: object, **__: object) -> str:
    """A note of a worker as the command line prints its own, without the line of code that it came from."""
    return f"note: {message}\n"


def _leave_with_parent() -> None:
    """End this process when its parent is gone: records and checkpoints survive that at any moment."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
