"""Decodes image files of any form and mode: upright, on white, with 8 bits for each channel.

Images in memory, images that are streamed to models and images on a page all come from here. (Only
plain JPEG images for models are decoded by TensorFlow, whose pixels are the same to the bit.)
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.ExifTags import Base as Tag

from tfmem.messages.errors import InputError, reason

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")  # others are unsafe: EPS runs Ghostscript
MOST_PIXELS = 89_478_485  # Pillow, too, suspects a decompression bomb in an image with more
_FREE_TILE = 1 << 20  # pixels that a tile of a TIFF image may have, however small the image is
_WORDS = "JPEG, PNG, BMP, GIF, WebP or TIFF"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # the keys are values of EXIF's Orientation
_SIDEWAYS = (5, 6, 7, 8)
_JPEG = ("JPEG", "MPO")  # MPO holds several JPEG images one after the other, as some cameras do
_JPEG_END = b"\xff\xd9"

# Pillow warns of damaged EXIF data and the like, on which no pixel depends.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Trait(IntFlag):
    """What is special about an image file."""

    PLAIN = 1  # JPEG image in RGB or grey that is stored upright
    TURNED = 2
    TRANSPARENT = 4
    SIXTEEN = 8
    FRAMES = 16
    GREY = 32


SAID = {
    Trait.TURNED: "turned upright, as EXIF's orientation says",
    Trait.TRANSPARENT: "put on white, having an alpha channel or a transparent colour",
    Trait.SIXTEEN: "of 16 bits a channel, of which the higher 8 are used",
    Trait.FRAMES: "of several frames, of which the first is used",
}  # each text continues "NUMBER images "


@dataclass(frozen=True)
class Header:
    """Size and traits of an image, which are known before it is decoded.

    Attributes:
      height: height of the upright image, in pixels.
      width: width of the upright image, in pixels.
      traits: what is special about the image.
    """

    height: int
    width: int
    traits: Trait


def read_header(contents: bytes, where: str, whole: bool = False) -> Header:
    """Reads the header of an encoded image.

    Args:
      contents: an encoded image.
      where: the image's name in error messages.
      whole: whether to look for cuts and damage; the image is then decoded if nothing quicker can
        tell. (For JPEG only the end marker is looked for.)

    Raises:
      InputError: if `contents` are no image of a form and mode that can be read, have more than
        `MOST_PIXELS`, or are not whole; the error names `where`.
    """
    with _opened(contents, where) as image:
        width, height = image.size
        orientation = _orientation(image, contents)
        if orientation in _SIDEWAYS and Tag.Orientation not in getattr(image, "tag_v2", ()):
            width, height = height, width  # Pillow has already followed TIFF's own tag
        header = Header(height, width, _traits(image, orientation))
        if whole and image.format == "PNG":
            image.verify()  # checks all checksums
        elif whole and not (image.format in _JPEG and contents.endswith(_JPEG_END)):
            image.load()
    return header


def decode(contents: bytes, where: str, ratio: int = 1) -> Image.Image:
    """Decodes an image: upright, in mode `L` if it is grey and `RGB` otherwise.

    A transparent image is put on white. Of 16 bits the higher 8 are used (`v >> 8`): Pillow and
    TensorFlow do so for colours, and it undoes a widening of 8 bits, whether by 256 or by 257. Of
    several frames the first is used.

    Args:
      contents: an encoded image.
      where: the image's name in error messages.
      ratio: side of the blocks of pixels that are averaged: 1, 2, 4 or 8. The JPEG decoder averages
        them itself. Only whole blocks are kept, so the sides are `height // ratio` and
        `width // ratio`.

    Raises:
      InputError: if the image cannot be decoded; the error names `where`.
    """
    with _opened(contents, where) as image:
        turn = None if image.format == "TIFF" else _TURNS.get(_orientation(image, contents))
        size = image.size
        if min(size) < ratio:
            raise InputError(
                f"{where}: expected sides of at least {ratio} pixels, received {size[0]} x "
                f"{size[1]}"
            )
        averaged = ratio > 1 and image.format in _JPEG
        if averaged:
            image.draft(None, (size[0] // ratio, size[1] // ratio))
        picture = _on_white(image)
    if averaged:
        picture = picture.crop((0, 0, size[0] // ratio, size[1] // ratio))
    if turn is not None:
        picture = picture.transpose(turn)
    if ratio > 1 and not averaged:
        width, height = (side // ratio * ratio for side in picture.size)
        picture = picture.reduce(ratio, box=(0, 0, width, height))
    return picture


@contextmanager
def _opened(contents: bytes, where: str) -> Iterator[ImageFile.ImageFile]:
    """Opens an image and reads its header; any failure within becomes an `InputError`."""
    if not contents:
        raise InputError(f"{where}: expected an image, received an empty file")
    try:
        _check_size(_webp_canvas(contents), where)
        with Image.open(io.BytesIO(contents), formats=FORMATS) as image:
            _check_size(image.size, where)
            _check_tiles(image, where)
            if image.mode in ("I", "F"):
                raise InputError(
                    f"{where}: expected 8 or 16 bits a channel, received 32 (mode {image.mode})"
                )
            yield image
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{where}: expected an image of at most {MOST_PIXELS:,} pixels: {reason(error)}"
        ) from None
    except UnidentifiedImageError:
        raise InputError(
            f"{where}: expected an image in {_WORDS}, received {len(contents):,} bytes that begin "
            f"{contents[:8]!r} and cannot be read as one"
        ) from None
    except Exception as error:  # damaged files make Pillow raise almost anything
        raise InputError(f"{where}: an image that cannot be decoded: {reason(error)}") from error


def _check_size(size: tuple[int, int], where: str) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(
            f"{where}: expected an image of at most {MOST_PIXELS:,} pixels, received one that "
            f"says it has {size[0]} x {size[1]}"
        )


def _webp_canvas(contents: bytes) -> tuple[int, int]:
    """Width and height of an extended WebP image, whose memory Pillow allocates on opening."""
    if contents[:4] + contents[8:16] != b"RIFFWEBPVP8X":
        return 0, 0
    width, height = (int.from_bytes(contents[at : at + 3], "little") + 1 for at in (24, 27))
    return width, height


def _check_tiles(image: ImageFile.ImageFile, where: str) -> None:
    """Refuses tiles much larger than their image: memory is allocated for a whole tile."""
    tags = getattr(image, "tag_v2", {})
    tile = tags.get(Tag.TileWidth, 1) * tags.get(Tag.TileLength, 1)
    if tile > max(_FREE_TILE, 4 * image.width * image.height):
        raise InputError(
            f"{where}: expected tiles that fit an image of {image.width} x {image.height}, "
            f"received tiles of {tags[Tag.TileWidth]} x {tags[Tag.TileLength]}"
        )


def _orientation(image: ImageFile.ImageFile, contents: bytes) -> int:
    """EXIF's Orientation, 1 to 8; 1 if there is none or EXIF data are damaged."""
    try:
        if image.format == "PNG" and b"eXIf" not in contents:
            exif = Image.Image.getexif(
                image
            )  # PNG's own method decodes the image to look behind it
        else:
            exif = image.getexif()
        found = exif.get(Tag.Orientation, 1)
        return found if found in _TURNS else 1
    except Exception:  # every viewer ignores damaged EXIF data
        return 1


def _traits(image: ImageFile.ImageFile, orientation: int) -> Trait:
    traits = Trait(0)
    jpeg = image.format in _JPEG
    if jpeg and image.mode in ("L", "RGB") and orientation == 1:
        traits |= Trait.PLAIN
    if orientation != 1:
        traits |= Trait.TURNED
    if image.has_transparency_data:
        traits |= Trait.TRANSPARENT
    if image.mode.startswith("I;16") or ";16" in str(image.tile):
        traits |= Trait.SIXTEEN
    if getattr(image, "is_animated", False) and not jpeg:
        traits |= Trait.FRAMES
    if _is_grey(image):
        traits |= Trait.GREY
    return traits


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA") or image.mode.startswith("I;16")


def _on_white(image: Image.Image) -> Image.Image:
    """Puts an image on white, and returns it in mode `L` or `RGB`."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        pixels = (values >> 8).astype(np.uint8)
        pixels[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(pixels)
    grey = _is_grey(image)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
        return picture.getchannel("R") if grey else picture.convert("RGB")
    return image.convert("L" if grey else "RGB")
