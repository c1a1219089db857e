"""Templates and filters that all pages use, and images within pages."""

from __future__ import annotations

import base64
from urllib.parse import quote

import jinja2

from tfmem.messages.numbers import three

_MEDIA = {"png": "png", "jpg": "jpeg"}


def template(name: str) -> jinja2.Template:
    """Loads a template of the package; values are escaped, and a missing value is an error.

    Filters: `three` for memorization and influence, `percent(digits)` for shares, `count` for whole
    numbers, `beside` for addresses relative to the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfmem.pages"),
        autoescape=True,
        extensions=["jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"three": three, "percent": percent, "count": count, "beside": beside}
    return environment.get_template(name)


def percent(share: float, digits: int = 1) -> str:
    """Formats a share as percent; NaN becomes `unknown`."""
    return "unknown" if share != share else f"{100 * share:.{digits}f}%"


def count(number: float) -> str:
    """Formats a whole number with separators between thousands."""
    return f"{number:,.0f}"


def beside(name: str) -> str:
    """Returns the address, relative to the page, of a file or folder with any name."""
    return f"./{quote(name, safe='')}"


def data_uri(image: bytes, suffix: str = "png") -> str:
    """Returns an address that contains the image itself."""
    return f"data:image/{_MEDIA[suffix]};base64,{base64.b64encode(image).decode()}"
