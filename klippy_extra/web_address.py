"""The address of a web server, most often Moonraker's."""

from __future__ import annotations

import configparser
import http.client
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

PORT = 7125  # Moonraker's port, unless its moonraker.conf has another one


class Address(NamedTuple):
    """A server, and the first part of its pages' paths."""

    secure: bool
    host: str
    port: int | None
    path: str

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        make = (
            http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        )
        return make(self.host, self.port, timeout=timeout)


def default_url(config_file: Path) -> str:
    """Return the address of the Moonraker whose moonraker.conf is beside *config_file*.

    Several instances on one host have one Moonraker each, and each has its own port.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        text = (config_file.parent / "moonraker.conf").read_text("utf-8-sig", "replace")
        parser.read_string(text)
        port = parser.getint("server", "port", fallback=PORT)
    except (OSError, ValueError, configparser.Error):
        port = PORT
    return f"http://127.0.0.1:{port}"


def parse_url(url: str) -> Address:
    """Read an address like ``http://127.0.0.1:7125``. ValueError names the fix."""
    try:
        parts = urlsplit(url.strip())
        secure, host, port = parts.scheme == "https", parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError(
            f"{url!r} is no address: write it like 'http://127.0.0.1:7125'"
        )
    return Address(
        secure, host, port or (443 if secure else PORT), parts.path.rstrip("/")
    )
