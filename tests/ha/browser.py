"""A headless Chromium that is signed in to a Home Assistant, for pictures of pages."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.ha.home_assistant import HomeAssistant, until
from tests.ha.websocket import WebSocket

BINARY = shutil.which("chromium") or shutil.which("google-chrome")
MISSING = "no chromium (Debian: apt-get install chromium)"

# The page is a tree of shadow roots: its text is gathered through all of them.
TEXT = """
(() => {
  const lines = [], skipped = new Set(['STYLE', 'SCRIPT', 'NOSCRIPT']);
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.textContent.trim()) lines.push(node.textContent.trim());
    } else if (node.tagName === 'SLOT') {
      node.assignedNodes().forEach(walk);
    } else if (!skipped.has(node.tagName)) {
      (node.shadowRoot || node).childNodes.forEach(walk);
    }
  };
  walk(document.body);
  return lines.join('\\n');
})()
"""
WAITING = """
(() => {
  const spinners = 'ha-spinner, ha-circular-progress, hass-loading-screen';
  const search = (root) => [...root.querySelectorAll('*')].some((each) =>
    (each.matches(spinners) && each.getClientRects().length > 0) ||
    (each.shadowRoot && search(each.shadowRoot)));
  return !document.querySelector('home-assistant')
    || !!document.getElementById('ha-launch-screen') || search(document);
})()
"""


class Browser:
    """One tab. Used in a `with`."""

    def __init__(self, home: HomeAssistant) -> None:
        self._home, self._number = home, 0
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._profile.name}",
        ]
        assert BINARY is not None
        self._process = subprocess.Popen(
            [BINARY, *flags, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        told = Path(self._profile.name) / "DevToolsActivePort"
        until(lambda: told.exists() and "\n" in told.read_text(), "chromium")
        port = told.read_text().splitlines()[0]
        self._socket = WebSocket(until(lambda: tab(port), "a tab of chromium"))

    def __enter__(self) -> Browser:
        home = self._home
        self.go("/manifest.json")
        tokens = {
            "access_token": home.token,
            "token_type": "Bearer",
            "refresh_token": "",
            "expires_in": 1800,
            "expires": int(time.time() * 1000) + 10**10,
            "hassUrl": home.url,
            "clientId": home.url + "/",
        }
        stored = json.dumps(json.dumps(tokens))
        self.run(f"localStorage.setItem('hassTokens', {stored})")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._profile.cleanup()

    def go(self, path: str) -> None:
        self.call("Page.navigate", url=self._home.url + path)
        until(lambda: self.run("document.readyState") == "complete", path)

    def see(self, path: str, texts: Sequence[str], size: tuple[int, int]) -> None:
        """Open a page and wait for all *texts* on it."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.go(path)

        def are_there() -> bool:
            return not self.run(WAITING) and all(each in self.text() for each in texts)

        until(are_there, f"{', '.join(texts)} on {path}")

    def text(self) -> str:
        """All that the page says now."""
        return self.run(TEXT) or ""

    def picture(self, file: Path) -> None:
        """What is seen now, once it has stopped moving."""
        last = b""

        def still() -> bool:
            nonlocal last
            before, last = last, self._shoot()
            return before == last

        until(still, "the page to stand still")
        file.write_bytes(last)

    def _shoot(self) -> bytes:
        time.sleep(0.5)  # an animation may move for so long
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png")["data"]
        )

    def run(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def call(self, method: str, **arguments: Any) -> Any:
        """A command of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        self._socket.send(message)
        while True:
            answer = self._socket.receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]


def tab(port: str) -> str | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
        tabs = json.load(answer)
    pages = [each["webSocketDebuggerUrl"] for each in tabs if each["type"] == "page"]
    return pages[0] if pages else None
