"""Sends notes by Apprise, from a thread of its own, and keeps what was told."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from mqtt_bridge import buttons
from mqtt_bridge.buttons import Press
from mqtt_bridge.notifier import Note, Notifier, Told, Waiting
from mqtt_bridge.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

DOZE = 5.0  # seconds between looks at the clock
CLOSE_WITHIN = 1.0  # seconds
NTFY = ("ntfy://", "ntfys://")  # the services that have buttons


class Pusher:
    """Takes events from any thread. SettingsError: addresses that cannot be used."""

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
        self._first = not kept
        self.secret = bytes.fromhex(kept.get("secret") or secrets.token_hex(32))
        self._notifier = Notifier(settings.push)
        self._notifier.restore(kept)
        self._bell = threading.Condition()
        self._events: list[Told] = []
        self._closing = False
        self.sent = 0
        self.failed = 0
        self._thread = threading.Thread(
            target=self._run, name="upkeep-push", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def catch_up(self, standing: list[Told]) -> None:
        """Tell what came to be while the bridge was away; call it before `start`.

        The very first time nobody is told: nothing is new to somebody who begins.
        """
        for told in standing:
            if self._first:
                self._notifier.known(told)
            else:
                self._notifier.stands(told, time.time())
        self._save()

    def tell(self, told: Told) -> None:
        with self._bell:
            self._events.append(told)
            self._bell.notify()

    def close(self) -> None:
        """End; what has not been sent is kept for the next start."""
        with self._bell:
            self._closing = True
            self._bell.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN)

    # The thread

    def _run(self) -> None:
        while not self._closing:
            with self._bell:
                if not (self._events or self._closing):
                    self._bell.wait(self._pause())
                events, self._events = self._events, []
            try:
                self._turn(events)
            # The thread must live on: with it would go every later message.
            except Exception:
                logger.exception("push: %d events were dropped", len(events))

    def _pause(self) -> float:
        due = self._notifier.next()
        return DOZE if due is None else min(DOZE, max(0.0, due - time.time()))

    def _turn(self, events: list[Told]) -> None:
        now = time.time()
        news = [told for told in events if self._notifier.happened(told, now)]
        ready = self._notifier.due(now)
        if news:
            # Kept before it is sent: after a crash it is told once more rather
            # than never, and after a stop not twice.
            self._save()
        for waiting in ready:
            if self._closing:
                return
            self._send(waiting)
            self._save()

    def _send(self, waiting: Waiting) -> None:
        note = waiting.note
        # The service itself: Apprise's own notify() would take other threads, and
        # Python waits for those at its end.
        service = self._apprise.Apprise.instantiate(self._address(note))
        if service is not None and service.notify(title=note.title, body=_body(note)):
            self.sent += 1
            self._notifier.sent(waiting)
            return
        self.failed += 1
        scheme = self._rules[note.rule].to[note.address].partition("://")[0]
        again = self._notifier.failed(waiting, time.time())
        if not waiting.failures or not again:
            logger.warning(
                "push: %s:// took no message; %s",
                scheme,
                "trying again" if again else "given up",
            )

    def _address(self, note: Note) -> str:
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
                for action, label in buttons.ACTIONS.items()
            )
        if not more:
            return address
        return (
            address
            + ("&" if "?" in address else "?")
            + urlencode(more, quote_via=quote)
        )

    def link(self, note: Note, action: str) -> str:
        until = int(time.time() + self._settings.http.expire * 3600)
        press = Press(note.printer, note.task, action, until, secrets.randbits(32))
        return f"{self._settings.http.url}/do/{buttons.sign(press, self.secret)}"

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
        text = json.dumps({**self._notifier.kept(), "secret": self.secret.hex()})
        try:
            _write(self._file, text)
        except OSError as error:
            logger.error("push.state: %s is not written: %s", self._file, error)  # noqa: TRY400


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


def _body(note: Note) -> str:
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
