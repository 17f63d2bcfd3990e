"""Training: a generator of steps, the average of the weights, checkpoints."""

from taumem.training.checkpoint import load_checkpoint, save_checkpoint
from taumem.training.ema import power_average
from taumem.training.loop import Learner, Step, train

__all__ = ["Learner", "Step", "load_checkpoint", "power_average", "save_checkpoint", "train"]
