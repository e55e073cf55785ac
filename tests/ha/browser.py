"""A headless Chromium that is logged in to a Home Assistant, for pictures of pages."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tests.fakes.chromium import Tab
from tests.ha.home_assistant import START, HomeAssistant, until

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
    """One tab. Use it in a `with` statement."""

    def __init__(self, home: HomeAssistant) -> None:
        super().__init__()
        self._home = home

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

    def go(self, path: str) -> None:
        self.open(self._home.url + path)

    def see(self, path: str, texts: Sequence[str], size: tuple[int, int]) -> None:
        """Open a page and wait until it is loaded and all *texts* are on it."""
        self.resize(*size)
        self.go(path)

        def are_there() -> bool:
            return not self.run(WAITING) and all(each in self.text() for each in texts)

        try:
            until(are_there, f"{', '.join(texts)} on {path}", START)
        except AssertionError as error:
            waits = "it still waits" if self.run(WAITING) else "it has settled"
            raise AssertionError(f"{error}; {waits}:\n{self.text()}") from None

    def text(self) -> str:
        """All the text of the page, from its shadow roots too."""
        return self.run(TEXT) or ""
