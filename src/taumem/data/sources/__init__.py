"""Where items come from: anything that is given, read as images, vectors, tokens or texts with names."""

from taumem.data.sources.given import IN_MEMORY, holds_images, read_source
from taumem.data.sources.source import Kind, Options, Source
from taumem.data.sources.texts import of_texts

__all__ = ["IN_MEMORY", "Kind", "Options", "Source", "holds_images", "of_texts", "read_source"]
