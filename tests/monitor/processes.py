"""Two processes that train one model. They are forked: to import torch anew takes longer than all that they do."""

import multiprocessing
import os
import socket

import torch
import torch.distributed as dist


def by_two(work, *arguments):
    """What each of two processes, which know each other by gloo, returns of ``work(rank, *arguments)``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    started = [context.Process(target=_joined, args=(work, rank, port, answers, arguments)) for rank in (0, 1)]
    for process in started:
        process.start()
    found = dict(answers.get(timeout=120) for _ in started)
    for process in started:
        process.join(timeout=60)
    assert [process.exitcode for process in started] == [0, 0]
    return found[0], found[1]


def _joined(work, rank, port, answers, arguments):
    torch.set_num_threads(1)  # those of OpenMP do not outlive a fork
    os.environ.update(RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    answers.put((rank, work(rank, *arguments)))
    dist.destroy_process_group()
