"""How much a compressed file may unpack to: limits that are compared before memory is taken."""

from __future__ import annotations

import zlib
from pathlib import Path

from tfmem.messages.errors import InputError

FREE = 256 << 20  # bytes that any file may unpack to
RATIO = 100  # of unpacked to packed bytes above that; measurements stay far below
_GZIP = 16 + zlib.MAX_WBITS


def most(packed: int, ratio: int = RATIO) -> int:
    """The bytes that a compressed file of `packed` bytes may unpack to."""
    return max(FREE, ratio * packed)


def read_gzip(path: Path) -> bytes:
    """The contents of a gzipped file.

    Raises:
      InputError: if it is damaged or unpacks to more than `most`; no more than that is unpacked.
    """
    try:
        packed = path.read_bytes()
        limit = most(len(packed))
        contents = bytearray()
        while packed:
            unpacking = zlib.decompressobj(_GZIP)  # a file may have several members
            contents += unpacking.decompress(packed, limit - len(contents) + 1)
            if len(contents) > limit:
                raise InputError(
                    f"{path}: unpacks to more than {limit:,} bytes, {RATIO} times its size"
                )
            if not unpacking.eof:
                raise InputError(f"{path}: cannot be read: it is cut short")
            packed = unpacking.unused_data.lstrip(b"\0")
    except (OSError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return bytes(contents)
