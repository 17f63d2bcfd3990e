"""Training: a generator of steps, the engine that computes them, ensembles, the average of the weights, checkpoints."""

from taumem.training.augmentation import Augmentation
from taumem.training.checkpoint import load_checkpoint, save_checkpoint
from taumem.training.ema import power_average
from taumem.training.engine import Engine, Precision, join_processes
from taumem.training.ensemble import Member, train_together
from taumem.training.loop import Learner, Step, train
from taumem.training.pace import EffectiveTime, OptimizerState

__all__ = [
    "Augmentation",
    "EffectiveTime",
    "Engine",
    "Learner",
    "Member",
    "OptimizerState",
    "Precision",
    "Step",
    "join_processes",
    "load_checkpoint",
    "power_average",
    "save_checkpoint",
    "train",
    "train_together",
]
