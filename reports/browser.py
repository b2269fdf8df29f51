"""A headless Chromium, driven over a pipe by its DevTools protocol, to see a page as readers do.

Commands and events are JSON messages that end with a NUL, on the file descriptors 3 and 4 of the
browser. Source: https://chromedevtools.github.io/devtools-protocol/, --remote-debugging-pipe.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.foundation.errors import HarnessError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 60.0
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
for fd, end in zip((3, 4), ends):
    os.dup2(end, fd)
os.execv(sys.argv[3], sys.argv[3:])
"""  # a child may be given descriptors, yet not under which numbers


def find() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A context manager. Raises HarnessError where there is no Chromium, or it does not answer."""

    def __enter__(self) -> Browser:
        program = find()
        if program is None:
            raise HarnessError("there is no Chromium", fix="Debian: apt-get install chromium")
        self._folder = tempfile.mkdtemp(prefix="chromium-")
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        flags = (*_FLAGS, f"--user-data-dir={self._folder}", "about:blank")
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(to_read), str(to_write), program, *flags],
            pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._ids, self._rest, self.events = itertools.count(1), b"", []
        return self

    def __exit__(self, *exception) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(TIMEOUT_S)
        except (HarnessError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come meanwhile are kept."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        try:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise HarnessError(f"Chromium has ended: {error}", where=method) from None
        while True:
            found = self.next_message(method)
            if found.get("id") != number:
                self.events.append(found)
            elif "error" in found:
                raise HarnessError(f"Chromium: {found['error']['message']}", where=method)
            else:
                return found["result"]

    def next_message(self, awaited: str) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            part = os.read(self._read, 1 << 16) if ready else b""
            if not part:
                raise HarnessError("Chromium does not answer", where=awaited)
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def open(self, file: Path, *, width: int, height: int = 900, dark: bool = False) -> Page:
        """The page of a file, loaded, in a window of so many pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.paint(dark=dark)
        page.call("Page.navigate", url=file.resolve().as_uri())
        page.wait_for("Page.loadEventFired")
        return page


class Page:
    """An open page; what it has asked for and said is in `requests` and `complaints`."""

    def __init__(self, browser: Browser, session: str):
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def wait_for(self, event: str) -> None:
        """Until the page has sent this event."""
        while not any(True for _ in self._events(event)):
            self._browser.events.append(self._browser.next_message(event))

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def paint(self, *, dark: bool) -> None:
        """As for a reader who prefers dark, or light, pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression. Raises HarnessError for one that throws."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            thrown = found["exceptionDetails"].get("exception", {}).get("description")
            raise HarnessError(f"JavaScript: {thrown}", where=expression)
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """A key, as the focused element gets it; Enter comes with its character."""
        text = {"text": "\r"} if key == "Enter" else {}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": {"Enter": 13, "Tab": 9}[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    @property
    def requests(self) -> list[str]:
        """Addresses that the page has asked for."""
        return [each["request"]["url"] for each in self._events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """What it has written to the console, errors and violations of its policy."""
        said = [str(each["args"]) for each in self._events("Runtime.consoleAPICalled")]
        said += [str(each["exceptionDetails"]) for each in self._events("Runtime.exceptionThrown")]
        return said + [each["entry"]["text"] for each in self._events("Log.entryAdded")]

    def _events(self, method: str):
        for each in self._browser.events:
            if each.get("sessionId") == self._session and each.get("method") == method:
                yield each["params"]
