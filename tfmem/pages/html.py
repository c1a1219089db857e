"""What pages have in common: templates, and files within them."""

from __future__ import annotations

import base64
from urllib.parse import quote

import jinja2


def template(name: str) -> jinja2.Template:
    """One of the package's templates; a value that it lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfmem.pages"),
        autoescape=True,
        extensions=["jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["beside"] = beside
    return environment.get_template(name)


def beside(name: str) -> str:
    """An address relative to the page, of a file or folder that users named, whatever the name."""
    return f"./{quote(name, safe='')}"


def data_uri(image: bytes, suffix: str = "png") -> str:
    """An address that holds the image itself."""
    kind = {"png": "png", "jpg": "jpeg"}[suffix]
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
