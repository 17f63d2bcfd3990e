"""Build topics.json.gz from the Python that runs this. A user of taumem never needs it.

::

    python3.11 -m taumem.data.english.build

The topics are those of ``help()``, which every CPython brings along. They differ between its versions; the file here
is that of CPython 3.11.7, and the same version gives the same text again.
"""

import gzip
import hashlib
import json
import platform
from pydoc_data.topics import topics

from taumem.data.english import TOPICS_FILE

__all__ = ["topics_as_json"]


def topics_as_json() -> bytes:
    """The topics of this Python, unchanged, by name and in alphabetical order."""
    return json.dumps(topics, ensure_ascii=False, sort_keys=True, indent=0).encode("utf-8")


def main() -> None:
    """Write topics.json.gz beside this file, and say the SHA-256 of what is in it."""
    content = topics_as_json()
    TOPICS_FILE.write_bytes(gzip.compress(content, mtime=0))
    print(
        f"{TOPICS_FILE}: {len(topics)} topics of Python {platform.python_version()}, {TOPICS_FILE.stat().st_size} "
        f"bytes, SHA-256 of the text {hashlib.sha256(content).hexdigest()}"
    )


if __name__ == "__main__":
    main()
