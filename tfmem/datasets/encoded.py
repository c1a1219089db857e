"""Encoded images (JPEG, PNG, BMP) that stay in their files: where each lies, its size and hash."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from tfmem.errors import InputError

DIGEST_BYTES = 16  # of SHA-256, kept for each image


@dataclass(frozen=True)
class EncodedImages:
    """Random access to the encoded images of one split, in index order.

    Some 50 bytes an image are in memory, beside the names of the files.

    Attributes:
      folder: what the names of files are relative to.
      files: bytes `[num_files]`, names of the files that hold images.
      file_numbers: int32 `[num_images]`, which file holds an image.
      offsets: int64 `[num_images]`, its first byte in that file.
      lengths: int64 `[num_images]`, its number of bytes.
      sizes: int32 `[num_images, 2]`, its height and width in pixels.
      digests: uint8 `[num_images, 16]`, the first bytes of its SHA-256.
    """

    folder: str
    files: np.ndarray
    file_numbers: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets)

    def keep(self, rows: np.ndarray) -> EncodedImages:
        """Only these images: int64 `[kept]`, in their new order."""
        return replace(
            self,
            file_numbers=self.file_numbers[rows],
            offsets=self.offsets[rows],
            lengths=self.lengths[rows],
            sizes=self.sizes[rows],
            digests=self.digests[rows],
        )

    def path(self, index: int) -> str:
        """The file that holds image `index`."""
        return os.path.join(self.folder, os.fsdecode(self.files[self.file_numbers[index]]))

    def read(self, index: int) -> bytes:
        """The encoded image `index`.

        Raises:
          InputError: naming the file, if it is gone or shorter than when it was indexed.
        """
        path, length = self.path(index), int(self.lengths[index])
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                contents = os.pread(file, length, int(self.offsets[index]))
            finally:
                os.close(file)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        if len(contents) < length:
            raise InputError(
                f"{path}: changed since it was indexed: expected {length} bytes at "
                f"{self.offsets[index]}, received {len(contents)}"
            )
        return contents


def describe(contents: bytes, where: str) -> tuple[bytes, tuple[int, int]]:
    """The digest of an encoded image, and its height and width, read from its header.

    Raises:
      InputError: naming `where`, if it is no image of a form that is known.
    """
    try:
        with Image.open(io.BytesIO(contents), formats=("JPEG", "PNG", "BMP")) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError(
            f"{where}: expected an image in JPEG, PNG or BMP, received {len(contents)} bytes that "
            f"begin {contents[:8]!r}"
        ) from None
    return hashlib.sha256(contents).digest()[:DIGEST_BYTES], (height, width)
