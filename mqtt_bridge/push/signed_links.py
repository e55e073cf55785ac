"""Signed links that mark a task done, or snooze it. They expire. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from typing import Any, NamedTuple

from mqtt_bridge.language import mark, tr

ACTIONS = {"done": mark("Done"), "later": mark("Later")}
FOREIGN = mark("This link was not made by this bridge.")
LATER = 24.0  # hours
REMEMBERED = 10_000  # used links that are remembered


class ButtonPress(NamedTuple):
    """The command of a link; *until* is in UNIX seconds.

    *done_count* is how often the task had been done when the link was made. If it has
    been done since then, the link does nothing. Links of an older version have none.
    """

    printer: str
    task: str
    action: str  # one of ACTIONS
    until: int
    number: int  # makes each link different
    done_count: int = -1


class LinkError(ValueError):
    """A link that this bridge has not made, or that has expired."""


def sign(press: ButtonPress, secret: bytes) -> str:
    """Return *press* as a signed text for the end of an address."""
    body = json.dumps(list(press), separators=(",", ":")).encode()
    return f"{_encode(body)}.{_encode(_mac(body, secret))}"


def verify(text: str, secret: bytes, now: float) -> ButtonPress:
    """Return the command of *text*. LinkError: its signature or its time is wrong."""
    try:
        body, mac = (_decode(part) for part in text.split("."))
    except ValueError:
        raise LinkError(tr(FOREIGN)) from None
    if not hmac.compare_digest(mac, _mac(body, secret)):
        raise LinkError(tr(FOREIGN))
    press = ButtonPress(*json.loads(body))
    if press.until < now:
        raise LinkError(tr("This link is too old."))
    return press


class UsedLinks:
    """The used links that have not expired. Each link works only once."""

    def __init__(self, kept: Any = None) -> None:
        """*kept* is the former value of `kept`. Invalid entries are left out."""
        self._presses: OrderedDict[ButtonPress, None] = OrderedDict()
        for row in kept if isinstance(kept, list) else ():
            try:
                printer, task, action, *numbers = row
                press = ButtonPress(
                    str(printer), str(task), str(action), *map(int, numbers)
                )
            except (TypeError, ValueError):
                continue
            self._presses[press] = None

    def take(self, press: ButtonPress, now: float) -> bool:
        """Use *press*. False: it was used before."""
        if press in self._presses:
            return False
        for each in [each for each in self._presses if each.until < now]:
            del self._presses[each]
        self._presses[press] = None
        if len(self._presses) > REMEMBERED:
            self._presses.popitem(last=False)
        return True

    def free(self, press: ButtonPress) -> None:
        self._presses.pop(press, None)

    def kept(self) -> list[ButtonPress]:
        return list(self._presses)


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).digest()[:16]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
