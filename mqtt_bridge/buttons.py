"""Links that mark a task done, or put it off: signed, and good for a while. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import NamedTuple

ACTIONS = {"done": "Done", "later": "Later"}
LATER = 24.0  # hours


class Press(NamedTuple):
    """What a link asks for; *until* is in UNIX seconds."""

    printer: str
    task: str
    action: str  # one of ACTIONS
    until: int
    event: int  # the seq of the event that it came with


class LinkError(ValueError):
    """A link that is not ours, or not good any more."""


def sign(press: Press, secret: bytes) -> str:
    """Return *press* as a text for the end of an address."""
    body = json.dumps(list(press), separators=(",", ":")).encode()
    return f"{_encode(body)}.{_encode(_mac(body, secret))}"


def verify(text: str, secret: bytes, now: float) -> Press:
    """Return what *text* asks for; LinkError if nobody may ask for it."""
    try:
        body, mac = (_decode(part) for part in text.split("."))
    except ValueError:
        raise LinkError("this is no link of ours") from None
    if not hmac.compare_digest(mac, _mac(body, secret)):
        raise LinkError("this is no link of ours")
    press = Press(*json.loads(body))
    if press.until < now:
        raise LinkError("this link is too old")
    return press


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()[:16]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
