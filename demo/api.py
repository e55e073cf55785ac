"""A client of Klippy's API socket: one request, one answer."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

END = b"\x03"
PATIENCE = (
    60.0  # seconds for an answer: a small machine is slow while everything starts
)


class Api:
    """Talks to a printer. OSError where there is none, ValueError where it refuses."""

    def __init__(self, path: Path) -> None:
        self._number = 0
        self._partial = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + END)
        try:
            while (message := self._receive()).get("id") != self._number:
                pass
        except TimeoutError:
            raise TimeoutError(
                f"Klippy did not answer {method} within {PATIENCE:.0f} s"
            ) from None
        if "error" in message:
            raise ValueError(message["error"]["message"])
        result: dict[str, Any] = message["result"]
        return result

    def status(self, name: str) -> dict[str, Any]:
        """Return the result of an object's `get_status`."""
        answer = self.call("objects/query", objects={name: None})
        status: dict[str, Any] = answer["status"][name]
        return status

    def gcode(self, script: str) -> None:
        self.call("gcode/script", script=script)

    def is_ready(self) -> bool:
        return bool(self.call("info")["state"] == "ready")

    def check(self) -> None:
        """Raise ValueError, with the printer's own words, unless it is ready."""
        info = self.call("info")
        if info["state"] != "ready":
            raise ValueError(f"the printer is not ready: {info['state_message']}")

    def _receive(self) -> dict[str, Any]:
        while END not in self._partial:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the printer is gone")
            self._partial += data
        message, _, self._partial = self._partial.partition(END)
        received: dict[str, Any] = json.loads(message)
        return received
