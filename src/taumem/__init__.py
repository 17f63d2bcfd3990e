"""taumem: when does a diffusion model start to memorize?"""

__version__ = "0.1.0"
