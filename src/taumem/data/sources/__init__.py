"""Where items come from: anything that is given, read as images, vectors, tokens or texts with names."""

from taumem.data.sources.given import IN_MEMORY, read_source
from taumem.data.sources.source import Kind, Options, Source

__all__ = ["IN_MEMORY", "Kind", "Options", "Source", "read_source"]
