"""A headless Chromium that is logged in to a Home Assistant, for pictures of pages."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fakes.chromium import Tab
from tests.ha.home_assistant import START, HomeAssistant, until

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("PICTURES", ROOT / "artifacts" / "home-assistant"))
PHONE = 390  # pixels

# The page is a tree of shadow roots, and its text is collected from all of them.
TEXT = """
(() => {
  const lines = [], skipped = new Set(['STYLE', 'SCRIPT', 'NOSCRIPT']);
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      if (node.textContent.trim()) lines.push(node.textContent.trim());
    } else if (node.tagName === 'SLOT' && node.assignedNodes().length) {
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


class Browser(Tab):
    """One tab, which visits one Home Assistant after another."""

    @contextlib.contextmanager
    def visit(self, home: HomeAssistant) -> Iterator[Browser]:
        """Be logged in, and leave at the end."""
        self._home = home
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
        yield self
        self.open("about:blank")

    def go(self, path: str) -> None:
        self.open(self._home.url + path)

    def see(self, path: str, texts: Sequence[str], size: tuple[int, int]) -> None:
        """Open a page and wait until it is loaded and all *texts* are on it."""
        self.resize(*size)
        self.go(path)
        self.wait_until_shown(texts)

    def wait_until_shown(self, texts: Sequence[str]) -> None:
        """Wait until the page is loaded and all *texts* are on it."""

        def are_there() -> bool:
            return not self.run(WAITING) and all(each in self.text() for each in texts)

        try:
            until(are_there, f"{', '.join(texts)} on the page", START)
        except AssertionError as error:
            waits = "it still waits" if self.run(WAITING) else "it has settled"
            raise AssertionError(f"{error}; {waits}:\n{self.text()}") from None

    def text(self) -> str:
        """All the text of the page, from its shadow roots too."""
        return self.run(TEXT) or ""


class Gallery:
    """Shows pages of one Home Assistant, and writes their pictures."""

    def __init__(self, page: Browser, channel: str) -> None:
        self._page, self._channel = page, channel

    def keep(self, name: str) -> None:
        """Write a picture of the page as it is."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self._page.picture(PICTURES / f"{name}-{self._channel}.png")

    def show(
        self,
        name: str,
        path: str,
        texts: Sequence[str],
        size: tuple[int, int],
        height: int = 1400,
    ) -> None:
        """Show a page on a phone, whose screen has this *height*, and on a desk.

        The texts are on both.
        """
        self._page.see(path, texts, (PHONE, height))
        self.keep(f"{name}-phone")
        wide = self._page.run("document.documentElement.scrollWidth")
        assert wide <= PHONE, f"{path} is {wide} pixels wide on a phone"
        self._page.resize(*size)
        self._page.wait_until_shown(texts)
        self.keep(name)
