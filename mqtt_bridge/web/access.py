"""Decides who may use the page: people with the token, or everybody if so chosen.

Pure. A browser that has shown the token gets a cookie; the token itself never goes
back to it. The cookie ends with the token: another token makes another cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

COOKIE = "upkeep"
# Paths for monitoring, and links that have a signature of their own.
PUBLIC = ("/health", "/ready", "/do/")


def is_public(path: str) -> bool:
    """Whether everybody may ask for *path*, by any name of ours."""
    return path in PUBLIC or path.startswith("/do/")


def needs_login(path: str) -> bool:
    """Whether *path* is answered to those alone who have shown the token."""
    return path == "/metrics" or (path.startswith("/api/") and path != "/api/login")


@dataclass(frozen=True, kw_only=True)
class Access:
    """*token* "" lets everybody in; *hosts* are names that the page is reached by."""

    token: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def cookie(self) -> str:
        key, about = self.token.encode(), b"the page of klipper upkeep"
        return hmac.new(key, about, hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        return hmac.compare_digest(self.token.encode(), token.encode())

    def admits(self, cookie: str, authorization: str) -> bool:
        """Whether a request with these headers may go on."""
        if not self.token:
            return True
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer" and self.knows(token.strip()):
            return True
        return hmac.compare_digest(self.cookie, cookie)

    def is_ours(self, host: str) -> bool:
        """Whether *host*, of a request, is a name of ours.

        Without a token a foreign page could reach us in the name of its own host,
        which its name server moves to our address in mid-visit.
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
