"""Decides who may use the page: people with the token, or everybody if it is open.

Pure. A browser that has sent the token gets a cookie, and never gets the token itself.
The cookie is made from the token, so it is not valid any more with another token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

COOKIE = "upkeep"
# The paths for monitoring, and the links, which have their own signature.
PUBLIC = ("/health", "/ready", "/do/")


def is_public(path: str) -> bool:
    """Return whether everybody may request *path*, under any name of this machine."""
    return path in PUBLIC or path.startswith("/do/")


def needs_login(path: str) -> bool:
    """Return whether only a user who has sent the token may request *path*."""
    return path == "/metrics" or (path.startswith("/api/") and path != "/api/login")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The rules of access. An empty *token* admits everybody. *hosts* are our names."""

    token: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def cookie(self) -> str:
        key, about = self.token.encode(), b"the page of klipper upkeep"
        return hmac.new(key, about, hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        return hmac.compare_digest(self.token.encode(), token.encode())

    def admits(self, cookie: str, authorization: str) -> bool:
        """Return whether a request with these headers is admitted."""
        if not self.token:
            return True
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer" and self.knows(token.strip()):
            return True
        return hmac.compare_digest(self.cookie, cookie)

    def is_ours(self, host: str) -> bool:
        """Return whether the *host* of a request is a name of this page.

        Without a token, a foreign page could otherwise send requests to this server.
        Its name server can change the address of its own host to ours (DNS rebinding).
        """
        name = host.rpartition(":")[0] if _has_port(host) else host
        name = name.strip("[]").lower()
        if self.token or name == "localhost" or name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _has_port(host: str) -> bool:
    head, colon, port = host.rpartition(":")
    return bool(colon) and port.isdigit() and (":" not in head or head.endswith("]"))
