"""Limits of the size to which a compressed file may unpack, checked before memory is allocated."""

from __future__ import annotations

import zlib
from pathlib import Path

from tfmem.messages.errors import InputError

FREE = 256 << 20  # bytes to which any file may unpack
RATIO = 100  # most unpacked bytes for each packed byte above that; real files stay far below
_GZIP = 16 + zlib.MAX_WBITS


def most(packed: int, ratio: int = RATIO) -> int:
    """The number of bytes to which a compressed file of `packed` bytes may unpack."""
    return max(FREE, ratio * packed)


def read_gzip(path: Path) -> bytes:
    """Reads the contents of a gzipped file.

    Raises:
      InputError: if the file is damaged, or unpacks to more than `most`; it is unpacked only up to
        that limit.
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
