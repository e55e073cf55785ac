"""Sends notes by Apprise, from threads of its own, and keeps what was told."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.push import signed_links
from mqtt_bridge.push.rules import PushMessage, PushQueue, QueuedMessage
from mqtt_bridge.push.signed_links import ButtonPress, UsedLinks
from mqtt_bridge.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

Address = tuple[int, int]  # a rule's number, and the address's in it

DOZE = 5.0  # seconds between looks at the clock
CLOSE_WITHIN = 1.0  # seconds for what is being sent at the end
SENDERS = 16  # addresses that are sent to at once
NTFY = ("ntfy://", "ntfys://")  # the services that have buttons


class PushSender:
    """Takes events from any thread. SettingsError: addresses that cannot be used.

    One thread has the notifier. Each address that there is something for has another,
    until it is sent: one that is slow keeps no other waiting.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = settings.push.rules
        self._apprise = _apprise()
        for number, rule in enumerate(self._rules):
            for each in rule.to:
                if self._apprise.Apprise.instantiate(each) is None:
                    scheme, mark, _ = each.partition("://")
                    which = f"{scheme}://..." if mark else "without ://"
                    raise SettingsError(
                        f"push.rule.{number}.to has an address ({which}) that "
                        "Apprise does not know; see its list of services"
                    )
        self._file = (
            Path(settings.push.state).expanduser() if settings.push.state else None
        )
        kept = self._load()
        self.secret = _secret(kept)
        self._used = UsedLinks(kept.get("used"))
        self._notifier = PushQueue(settings.push)
        self._notifier.restore(kept, settings.store.owns)
        self._bell = threading.Condition()
        # What is to be done with the notifier; true if it is to be kept.
        self._news: list[Callable[[float], bool]] = []
        self._closing = False
        self._end_by = 0.0  # monotonic
        self._ready: dict[Address, list[QueuedMessage]] = {}
        self._busy: set[Address] = set()
        self.sent = 0
        self.failed = 0
        self._thread = threading.Thread(
            target=self._run, name="upkeep-push", daemon=True
        )

    def start(self) -> None:
        """Begin to send: what was told before waits until then."""
        self._thread.start()

    def tell(self, told: PrinterEvent) -> None:
        self._ring(lambda now: self._notifier.happened(told, now))

    def look(self, printers: frozenset[str], standing: list[PrinterEvent]) -> None:
        """Take how tasks stand, as `Bridge.watchers` get it."""
        self._ring(lambda now: self._notifier.look(printers, standing, now))

    def use(self, press: ButtonPress) -> bool:
        """Take note that a link was used; False if it was before."""
        with self._bell:
            fresh = self._used.take(press, time.time())
        self._ring(lambda _: True)
        return fresh

    def free(self, press: ButtonPress) -> None:
        """Let a link be used again: it had no effect."""
        with self._bell:
            self._used.free(press)
        self._ring(lambda _: True)

    def end(self) -> None:
        """Have it end, without waiting."""
        with self._bell:
            if not self._closing:
                self._closing = True
                self._end_by = time.monotonic() + CLOSE_WITHIN
            self._bell.notify()

    def close(self) -> None:
        """End; what has not been sent is kept for the next start."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._end_by - time.monotonic()) + 0.2)

    def _ring(self, act: Callable[[float], bool]) -> None:
        with self._bell:
            self._news.append(act)
            self._bell.notify()

    # The thread

    def _run(self) -> None:
        over = False
        while not over:
            with self._bell:
                if not self._news:
                    self._bell.wait(self._pause())
                news, self._news = self._news, []
                closing = self._closing
            try:
                self._turn(news, closing=closing)
            # The thread must live on: with it would go every later message.
            except Exception:
                logger.exception("push: messages wait for the next one")
            over = closing and self._pause() <= 0

    def _pause(self) -> float:
        if self._closing:
            return self._end_by - time.monotonic() if self._busy else 0.0
        due = self._notifier.next()
        return DOZE if due is None else min(DOZE, max(0.0, due - time.time()))

    def _turn(self, news: list[Callable[[float], bool]], *, closing: bool) -> None:
        now = time.time()
        took = [_took(act, now) for act in news]
        if any(took):
            # Kept before it is sent: after a crash it is told once more rather
            # than never, and after a stop not twice.
            self._save()
        if closing:
            return
        for waiting in self._notifier.due(now):
            address = waiting.note.rule, waiting.note.address
            self._ready.setdefault(address, []).append(waiting)
        for address in list(self._ready):
            if address not in self._busy and len(self._busy) < SENDERS:
                self._busy.add(address)
                threading.Thread(
                    target=self._deliver,
                    args=(address, self._ready.pop(address)),
                    name="upkeep-push-sender",
                    daemon=True,
                ).start()

    def _tried(self, waiting: QueuedMessage, now: float, *, taken: bool) -> bool:
        if taken:
            self.sent += 1
            self._notifier.sent(waiting)
            return True
        self.failed += 1
        note = waiting.note
        scheme = self._rules[note.rule].to[note.address].partition("://")[0]
        again = self._notifier.failed(waiting, now)
        if not waiting.failures or not again:
            logger.warning(
                "push: %s:// took no message; %s",
                scheme,
                "trying again" if again else "given up",
            )
        return True

    def _free(self, address: Address, _now: float) -> bool:
        self._busy.discard(address)
        return False

    # A sender's thread

    def _deliver(self, address: Address, several: list[QueuedMessage]) -> None:
        for waiting in several:
            if self._closing:
                break  # it is kept
            try:
                taken = self._send(waiting.note)
            # Its words may have the address, and that the token.
            except Exception as error:  # noqa: BLE001
                logger.error("push: a message was not sent: %s", type(error).__name__)  # noqa: TRY400
                taken = False
            self._ring(partial(self._tried, waiting, taken=taken))
        self._ring(partial(self._free, address))

    def _send(self, note: PushMessage) -> bool:
        # The service itself: Apprise's own notify() would take other threads, and
        # Python waits for those at its end.
        service = self._apprise.Apprise.instantiate(self._address(note))
        # Apprise takes no message without a body.
        body = _body(note) or note.title
        return service is not None and bool(service.notify(title=note.title, body=body))

    def _address(self, note: PushMessage) -> str:
        address = self._rules[note.rule].to[note.address]
        if not address.startswith(NTFY):
            return address
        more = {}
        click = note.guide or note.url
        if click:
            more["click"] = click
        if note.printer and self._rules[note.rule].buttons:
            more["actions"] = "; ".join(
                f"http, {label}, {self.link(note, action)}, method=POST, clear=true"
                for action, label in signed_links.ACTIONS.items()
            )
        if not more:
            return address
        return (
            address
            + ("&" if "?" in address else "?")
            + urlencode(more, quote_via=quote)
        )

    def link(self, note: PushMessage, action: str) -> str:
        until = int(time.time() + self._settings.http.expire * 3600)
        press = ButtonPress(
            note.printer, note.task, action, until, secrets.randbits(32)
        )
        return f"{self._settings.http.url}/do/{signed_links.sign(press, self.secret)}"

    # What outlives a restart

    def _load(self) -> dict[str, Any]:
        if self._file is None:
            if self._rules:
                logger.warning(
                    "no push.state and no home: a restart forgets what was told"
                )
            return {}
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            logger.warning("push.state: %s is begun anew: %s", self._file, error)
            return {}
        return kept if isinstance(kept, dict) else {}

    def _save(self) -> None:
        if self._file is None:
            return
        with self._bell:
            used = self._used.kept()
        kept = {**self._notifier.kept(), "used": used, "secret": self.secret.hex()}
        text = json.dumps(kept)
        try:
            _write(self._file, text)
        except OSError as error:
            logger.error("push.state: %s is not written: %s", self._file, error)  # noqa: TRY400


def _took(act: Callable[[float], bool], now: float) -> bool:
    try:
        return act(now)
    except Exception:
        logger.exception("push: an event was dropped")
        return False


def _secret(kept: dict[str, Any]) -> bytes:
    try:
        secret = bytes.fromhex(kept.get("secret") or "")
    except (TypeError, ValueError):
        secret = b""
    return secret or secrets.token_bytes(32)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Only we may read it (mkstemp): it has the secret behind the buttons.
    number, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as out:
            out.write(text)
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _body(note: PushMessage) -> str:
    return "\n".join(each for each in (note.text, note.guide, note.url) if each)


def _apprise() -> Any:
    try:
        import apprise  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "push.rule needs Apprise: pip install 'klipper-upkeep[push]'"
        ) from None
    # They log addresses, with the tokens in them, and headers, with our links: what
    # fails we tell ourselves.
    for name in ("apprise", "requests", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return apprise
