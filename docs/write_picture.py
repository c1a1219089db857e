"""Writes the picture of the digits page that the README shows.

make digits && .venv/bin/python docs/write_picture.py runs/digits/report.html
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "images" / "explorer.png"
_WIDTH, _HEIGHT = 1120, 760


def write(page: Path) -> None:
    """Opens the page in the machine's Chromium and writes what a reader sees of its explorer."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page(
            viewport={"width": _WIDTH, "height": _HEIGHT}, device_scale_factor=1.5
        )
        tab.goto(page.resolve().as_uri())
        tab.locator("#explore").scroll_into_view_if_needed()
        tab.evaluate("document.querySelector('#explore').scrollIntoView()")
        tab.wait_for_timeout(300)
        tab.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
