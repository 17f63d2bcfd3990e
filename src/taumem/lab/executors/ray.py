"""Tasks on a Ray cluster: that of an address, or one that is started on this machine."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, TypeVar

from taumem.errors import ConfigError

__all__ = ["RayExecutor"]

T = TypeVar("T")


class RayExecutor(Executor):
    """Runs tasks on Ray.

    Args:
        address: of the cluster; None for the one that this process is connected to, or else one on this machine.
        workers: processors of a cluster that is started here; as many as there are if None.
        cpus: of each task.
        gpus: of each task; a fraction lets tasks share one.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """

    def __init__(
        self, address: str | None = None, *, workers: int | None = None, cpus: float = 1, gpus: float = 0
    ) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError("the executor 'ray' needs Ray: pip install 'taumem[ray]'.") from None
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            own = {} if address else {"num_cpus": None if workers is None else max(1, round(workers * cpus))}
            try:
                ray.init(address=address, include_dashboard=False if not address else None, **own)
            except Exception as error:  # Ray raises that very class where a cluster does not start in time
                reason = str(error).strip().splitlines()[0]
                raise ConfigError(f"no Ray cluster at {address or 'this machine'}: {reason}") from None
        # What died is asked for again by the caller, who counts.
        self._run = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_call)
        self._refs: list[Any] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a function be called on the cluster."""
        ref = self._run.remote(partial(fn, *args, **kwargs))
        self._refs.append(ref)
        future: Future[T] = ref.future()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let tasks that run end (and those that wait, unless they are dropped); then a cluster that was started."""
        if cancel_futures:
            for ref in self._refs:
                self._ray.cancel(ref)
        if wait and self._refs:
            self._ray.wait(self._refs, num_returns=len(self._refs))
        self._refs = []
        if self._started:
            self._ray.shutdown()


def _call(task: Callable[[], T]) -> T:
    return task()
