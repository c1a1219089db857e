"""What pages have in common: templates, filters, and files within them."""

from __future__ import annotations

import base64
from urllib.parse import quote

import jinja2

from tfmem.messages.numbers import three

_MEDIA = {"png": "png", "jpg": "jpeg"}


def template(name: str) -> jinja2.Template:
    """One of the package's templates; whatever it shows is escaped, a value it lacks is an error.

    Filters: `three` for memorization and influence, `percent(digits)` of a share, `count` with
    separators, `beside` for addresses relative to the page.
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
    """A share in percent; NaN is unknown."""
    return "unknown" if share != share else f"{100 * share:.{digits}f}%"


def count(number: float) -> str:
    """A whole number with separators between thousands."""
    return f"{number:,.0f}"


def beside(name: str) -> str:
    """An address relative to the page, of a file or folder that users named, whatever the name."""
    return f"./{quote(name, safe='')}"


def data_uri(image: bytes, suffix: str = "png") -> str:
    """An address that holds the image itself."""
    return f"data:image/{_MEDIA[suffix]};base64,{base64.b64encode(image).decode()}"
