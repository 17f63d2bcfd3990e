"""Where tasks run: in processes of this machine, on a Ray cluster, by Slurm.

The protocol is Python's own, :class:`concurrent.futures.Executor`: ``submit`` takes a function and gives a Future. So
any other executor of that kind (of Dask, mpi4py, loky) does as well, and so do these for a search in shards
(:func:`taumem.neighbors.nearest_in_shards`). What runs elsewhere tells how far it is by files, in the folder that all
can see: see :mod:`taumem.lab.jobs`.
"""

from taumem.lab.executors.choice import EXECUTORS, Resources, executor_named
from taumem.lab.executors.processes import Processes, WorkerDied, available_processors
from taumem.lab.executors.ray import RayExecutor
from taumem.lab.executors.slurm import SlurmExecutor

__all__ = [
    "EXECUTORS",
    "Processes",
    "RayExecutor",
    "Resources",
    "SlurmExecutor",
    "WorkerDied",
    "available_processors",
    "executor_named",
]
