"""A headless Chromium, spoken to over its debugging pipe: no driver, no package, no port."""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One tab."""

    def __init__(self):
        to_browser, self._commands = os.pipe()
        self._answers, from_browser = os.pipe()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # It reads commands from file 3 and writes answers to file 4.
        joined = (
            f"exec {CHROMIUM} {' '.join(_FLAGS)} --user-data-dir={self._profile.name} about:blank"
        )
        self._process = subprocess.Popen(
            ["bash", "-c", f"{joined} 3<&{to_browser} 4>&{from_browser}"],
            pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._numbers, self._rest, self._session = itertools.count(1), b"", None
        self.errors = []
        (tab,) = (t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime"):
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        """Sends a command of Chromium's DevTools protocol, and waits for its result."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == number)
        assert "error" not in answer, answer
        return answer["result"]

    def _until(self, wanted):
        while True:
            while b"\0" not in self._rest:
                part = os.read(self._answers, 1 << 20)
                assert part, "the browser has gone"
                self._rest += part
            raw, self._rest = self._rest.split(b"\0", 1)
            message = json.loads(raw)
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(message["params"]["exceptionDetails"])
            if wanted(message):
                return message

    def open(self, address, width=1280, height=800, scripts=True):
        """Opens a page in a window of a size, and waits until it is loaded."""
        self("Emulation.setScriptExecutionDisabled", value=not scripts)
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self("Page.navigate", url="about:blank")
        self("Page.navigate", url=address)
        self._until(lambda message: message.get("method") == "Page.loadEventFired")
        while (
            self("Runtime.evaluate", expression="location.href + document.readyState")["result"][
                "value"
            ]
            != address + "complete"
        ):
            pass

    def run(self, script):
        """The value of a JavaScript expression; promises are waited for."""
        result = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def click(self, selector):
        """Clicks in the middle of an element, as a mouse does."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self(
                "Input.dispatchMouseEvent",
                type=kind, x=box[0], y=box[1], button="left", clickCount=1,
            )  # fmt: skip
        self.settle()

    def press(self, key, code, text=""):
        """Presses a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text
            )
        self.settle()

    def settle(self):
        """Waits until the page has drawn what follows from an event."""
        self.run("new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")

    def screenshot(self, whole=False):
        """What is to be seen, or the whole page, as PNG."""
        shot = self("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(shot["data"])

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        self._profile.cleanup()
