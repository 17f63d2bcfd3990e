"""Stopping a run between two steps, where it can be saved and gone on with."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

__all__ = ["Interrupted", "children_ignore_ctrl_c", "ctrl_c_is_known", "ctrl_c_waits"]


class Interrupted(Exception):  # noqa: N818 (not an error: the run is saved and can go on)
    """The run was asked to stop between two steps; it has saved where it stands."""


@contextmanager
def ctrl_c_waits() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait until a step has ended: half a step can be neither saved nor gone on from.

    Gives a function to call between two steps, which raises KeyboardInterrupt if Ctrl-C has come since. A second Ctrl-C
    does not wait. Where Ctrl-C means something else (in a worker, in another thread, to a handler of the caller's own),
    nothing changes.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    def raise_if_it_came() -> None:
        if came:
            raise KeyboardInterrupt

    with _ctrl_c_means(note):
        yield raise_if_it_came
    raise_if_it_came()


def ctrl_c_is_known() -> AbstractContextManager[None]:
    """Have Ctrl-C do nothing while what it asked for is being done: pressed again, it would leave that half done."""
    return _ctrl_c_means(signal.SIG_IGN)


@contextmanager
def _ctrl_c_means(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    usual = signal.default_int_handler
    changes = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is usual
    if changes:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if changes:
            signal.signal(signal.SIGINT, usual)


@contextmanager
def children_ignore_ctrl_c() -> Iterator[None]:
    """Have processes that are started inside ignore Ctrl-C from their first moment on, their imports included.

    Ctrl-C reaches every process of a terminal, and it is for the parent, to which it comes as always, to say what
    becomes of it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows: the children ignore it once they have started
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which children inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
