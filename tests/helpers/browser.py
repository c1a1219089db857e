"""A headless Chromium, driven by Playwright."""

import contextlib
import shutil

import pytest

_PROGRAMS = "chromium", "chromium-browser", "google-chrome"


@contextlib.contextmanager
def launched():
    """Launches the machine's own browser; the test is skipped if there is none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium`")
    api = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: `pip install playwright`"
    )
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--disable-gpu"])
        yield browser
        browser.close()


class Tabs:
    """Tabs that share nothing, each in a window of its own size.

    Attributes:
      faults: errors of scripts, elements beyond the right edge of the window, and requests to a
        network.
    """

    def __init__(self, browser):
        self._browser = browser
        self._contexts = []
        self.faults = []

    def open(self, address, width=1280, **options):
        """Opens an address as a laptop does, or, below a width of 600 pixels, as a phone does."""
        phone = width < 600
        context = self._browser.new_context(
            viewport={"width": width, "height": 800}, is_mobile=phone, has_touch=phone, **options
        )
        context.set_default_timeout(5_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._asked)
        page.goto(address)
        reached = page.evaluate("document.documentElement.scrollWidth")
        if reached > width:
            self.faults.append(f"{address}: {reached} pixels in a window of {width}")
        return page

    def _asked(self, request):
        if not request.url.startswith(("file:", "data:", "about:")):
            self.faults.append(request.url)

    def close(self):
        """Closes all tabs."""
        for context in self._contexts:
            context.close()
