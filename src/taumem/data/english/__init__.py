"""The built-in text: the 79 topics of CPython 3.11.7's language reference. See PROVENANCE.md and LICENSE here."""

import gzip
import hashlib
import json
import zlib
from pathlib import Path

from taumem.errors import DataError

__all__ = ["SHA256", "TOPICS_FILE", "load_english"]

TOPICS_FILE = Path(__file__).parent / "topics.json.gz"

SHA256 = "4717ccc51e2e7bd1eed2feddb0bcb5a7da19a1a923fd2f258cf81e4285e31683"
"""Of the decompressed file: compression may differ between versions of zlib, the text may not."""


def load_english() -> dict[str, str]:
    """Load the built-in documents: English prose about Python, with some tables and code, 465,000 characters.

    Returns:
        The text of each topic by its name, in alphabetical order of the names.

    Raises:
        DataError: the packaged file is missing or damaged.
    """
    try:
        content = gzip.decompress(TOPICS_FILE.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{TOPICS_FILE}: the built-in text is missing or damaged ({error}); install taumem again."
        ) from error
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise DataError(
            f"{TOPICS_FILE}: the built-in text is damaged: its SHA-256 is {found[:12]}..., it should be "
            f"{SHA256[:12]}...; install taumem again."
        )
    topics: dict[str, str] = json.loads(content)
    return topics
