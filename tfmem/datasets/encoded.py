"""Encoded images that stay in their files: where each lies, its size, traits and hash."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfmem.datasets.pixels import Header, read_header
from tfmem.messages.errors import InputError

DIGEST_BYTES = 16  # of SHA-256, kept for each image
MOST_BYTES = 1 << 29  # of an image file


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
      sizes: int32 `[num_images, 2]`, its height and width in pixels, once it is upright.
      traits: uint8 `[num_images]`, what is special about it, bits of `Trait`.
      digests: uint8 `[num_images, 16]`, the first bytes of its SHA-256.
    """

    folder: str
    files: np.ndarray
    file_numbers: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray
    traits: np.ndarray
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
            traits=self.traits[rows],
            digests=self.digests[rows],
        )

    def path(self, index: int) -> str:
        """The file that holds image `index`."""
        return os.path.join(self.folder, os.fsdecode(self.files[self.file_numbers[index]]))

    def where(self, index: int) -> str:
        """The file that holds image `index` and, if there are others in it, the place there."""
        path, offset = shown_path(self.path(index)), int(self.offsets[index])
        return f"{path}, {self.lengths[index]} bytes at {offset}" if offset else path

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
            raise InputError(f"{shown_path(path)}: cannot be read: {error.strerror}") from None
        if len(contents) < length:
            raise InputError(
                f"{shown_path(path)}: changed since it was indexed: expected {length} bytes at "
                f"{self.offsets[index]}, received {len(contents)}"
            )
        return contents


def digest_and_header(contents: bytes, where: str) -> tuple[bytes, Header]:
    """The digest of an encoded image, and its header.

    Raises:
      InputError: naming `where`, if it is no image that can be read, or was cut short.
    """
    header = read_header(contents, where, whole=True)
    return hashlib.sha256(contents).digest()[:DIGEST_BYTES], header


def described(found: list[tuple[bytes, Header]]) -> dict[str, np.ndarray]:
    """What `digest_and_header` found, as `sizes`, `digests` and `traits` of `EncodedImages`."""
    sizes = [(header.height, header.width) for _, header in found]
    digests = b"".join(digest for digest, _ in found)
    return {
        "sizes": np.array(sizes, np.int32).reshape(-1, 2),
        "digests": np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES),
        "traits": np.array([header.traits for _, header in found], np.uint8),
    }


def read_file(path: str) -> bytes:
    """The contents of an image file.

    Raises:
      InputError: naming the file, if it is none, cannot be read or is larger than any image.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{shown_path(path)}: expected an image file, found something else")
        if found.st_size > MOST_BYTES:
            raise InputError(
                f"{shown_path(path)}: expected an image file of at most {MOST_BYTES:,} bytes, "
                f"received {found.st_size:,}"
            )
        return Path(path).read_bytes()
    except OSError as error:
        link = " (a link that leads nowhere)" if os.path.islink(path) else ""
        raise InputError(f"{shown_path(path)}: cannot be read: {error.strerror}{link}") from None


def shown_path(path: str) -> str:
    """A path as it can be printed, whatever bytes its names are made of."""
    return os.fsencode(path).decode(errors="backslashreplace")
