"""Encoded images that stay in their files: the place, size, traits and hash of each."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfmem.datasets.pixels import Header, read_header
from tfmem.messages.errors import InputError

DIGEST_BYTES = 16  # bytes of SHA-256 that are kept for each image
MOST_BYTES = 1 << 29  # bytes that an image file may have


@dataclass(frozen=True)
class EncodedImages:
    """Random access to the encoded images of one split, in index order.

    About 50 bytes for each image are in memory, beside the names of the files.

    Attributes:
      folder: the folder to which the names of files are relative.
      files: bytes `[num_files]`, names of the files that hold images.
      file_numbers: int32 `[num_images]`, the file that holds each image, as a row of `files`.
      offsets: int64 `[num_images]`, the first byte of each image in its file.
      lengths: int64 `[num_images]`, the number of bytes of each image.
      sizes: int32 `[num_images, 2]`, height and width of each upright image, in pixels.
      traits: uint8 `[num_images]`, what is special about each image, as bits of `Trait`.
      digests: uint8 `[num_images, 16]`, the first bytes of each image's SHA-256.
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
        """Reduces the images to `rows`, int64 `[kept]`, in their new order."""
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
        """The file that holds image `index`, with the offset if it holds other images, too."""
        path, offset = shown_path(self.path(index)), int(self.offsets[index])
        return f"{path}, {self.lengths[index]} bytes at {offset}" if offset else path

    def read(self, index: int) -> bytes:
        """Reads the encoded image `index`.

        Raises:
          InputError: if the file is gone or has become shorter since it was indexed.
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
      InputError: if the image cannot be read or is cut short; the error names `where`.
    """
    header = read_header(contents, where, whole=True)
    return hashlib.sha256(contents).digest()[:DIGEST_BYTES], header


def described(found: list[tuple[bytes, Header]]) -> dict[str, np.ndarray]:
    """The results of `digest_and_header` as the arrays `sizes`, `digests` and `traits`."""
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
      InputError: if `path` is no file, cannot be read or is larger than any image.
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
    """A path in a form that can be printed, whatever bytes its names consist of."""
    return os.fsencode(path).decode(errors="backslashreplace")
