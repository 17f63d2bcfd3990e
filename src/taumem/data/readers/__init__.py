"""Readers of files. Those of images, one module a format, give float32 [n, channels, height, width] in [-1, 1]."""

from taumem.data.readers.arrays import load_array
from taumem.data.readers.cifar10 import load_cifar10
from taumem.data.readers.folder import load_folder
from taumem.data.readers.idx import load_idx

__all__ = ["load_array", "load_cifar10", "load_folder", "load_idx"]
