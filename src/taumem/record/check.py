"""The check of some bytes, by which damage to them is found, down to a single bit."""

import zlib

__all__ = ["check_of"]


def check_of(content: bytes, previous: str = "") -> str:
    """The CRC-32 of some bytes in hexadecimal, going on from that of the bytes before.

    >>> check_of(b"45", previous=check_of(b"123")) == check_of(b"12345")
    True
    """
    return f"{zlib.crc32(content, int(previous or '0', 16)):08x}"
