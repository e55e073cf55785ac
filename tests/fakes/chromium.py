"""A headless Chromium with one tab, controlled by the DevTools protocol."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests import programs
from tests.ha.websocket import WebSocket
from tests.waiting import until


class Tab:
    """One tab. Use it in a `with` statement."""

    def __init__(self, language: str = "en") -> None:
        self._number = 0
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--no-proxy-server",
            f"--lang={language}",
            f"--accept-lang={language}",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._profile.name}",
        ]
        binary = programs.require("chromium")
        self._process = subprocess.Popen(
            [binary, *flags, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        file = Path(self._profile.name) / "DevToolsActivePort"
        until(lambda: file.exists() and "\n" in file.read_text(), "chromium")
        port = file.read_text().splitlines()[0]
        self._socket = WebSocket(until(lambda: _tab(port), "a tab of chromium"))

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._profile.cleanup()

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        until(lambda: self.run("document.readyState") == "complete", address)

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Behave as the browser of a user who prefers "light" or "dark" pages."""
        wish = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[wish])

    def text(self) -> str:
        """The text that the page shows."""
        return self.run("document.body.innerText") or ""

    def wait_for(self, *texts: str) -> None:
        try:
            until(lambda: all(each in self.text() for each in texts), f"{texts}")
        except AssertionError as error:
            raise AssertionError(f"{error} on this page:\n{self.text()}") from None

    def click(self, text: str, selector: str = "button, a, summary") -> None:
        """Click the element that shows *text*."""
        search = f"""
            [...document.querySelectorAll({json.dumps(selector)})]
                .find((each) => each.innerText.includes({json.dumps(text)}))
        """
        until(lambda: self.run(f"!!({search})"), f"{text!r} to click")
        self.run(f"({search}).click()")

    def fill(self, selector: str, text: str) -> None:
        """Type into an input."""
        script = f"""
            (() => {{
                const input = document.querySelector({json.dumps(selector)});
                input.value = {json.dumps(text)};
                input.dispatchEvent(new Event("input", {{ bubbles: true }}));
            }})()
        """
        self.run(script)

    def picture(self, file: Path) -> None:
        """Write a picture of the page, once it has stopped moving."""
        last = b""

        def still() -> bool:
            nonlocal last
            before, last = last, self._shoot()
            return before == last

        until(still, "the page to stand still")
        file.write_bytes(last)

    def _shoot(self) -> bytes:
        time.sleep(0.5)  # An animation may take this long.
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png")["data"]
        )

    def run(self, script: str) -> Any:
        """Return the value of an expression, or the result of a promise."""
        answer = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        return answer["result"].get("value")

    def call(self, method: str, **arguments: Any) -> Any:
        """Send a command of the DevTools protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        self._socket.send(message)
        while True:
            answer = self._socket.receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]


def _tab(port: str) -> str | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
        tabs = json.load(answer)
    pages = [each["webSocketDebuggerUrl"] for each in tabs if each["type"] == "page"]
    return pages[0] if pages else None
