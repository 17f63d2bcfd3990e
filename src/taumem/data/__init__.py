"""Sources of data, and the split into a training set and held-out data."""

from taumem.data.alphabets import Alphabet, normalize_text8
from taumem.data.english import load_english
from taumem.data.fashion_mnist import load_fashion_mnist
from taumem.data.gathered import Gathered, gather, gather_all
from taumem.data.grammar import Levels, RandomHierarchyModel
from taumem.data.groups import read_groups
from taumem.data.images import load_images
from taumem.data.lines import Lines, load_lines
from taumem.data.mixtures import GaussianMixture
from taumem.data.pixels import Images, center_crop, resize, to_grayscale
from taumem.data.readers import load_array, load_cifar10, load_folder, load_idx
from taumem.data.split import Split
from taumem.data.text import Text, Windows, load_text

__all__ = [
    "Alphabet",
    "Gathered",
    "GaussianMixture",
    "Images",
    "Levels",
    "Lines",
    "RandomHierarchyModel",
    "Split",
    "Text",
    "Windows",
    "center_crop",
    "gather",
    "gather_all",
    "load_array",
    "load_cifar10",
    "load_english",
    "load_fashion_mnist",
    "load_folder",
    "load_idx",
    "load_images",
    "load_lines",
    "load_text",
    "normalize_text8",
    "read_groups",
    "resize",
    "to_grayscale",
]
