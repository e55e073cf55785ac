"""Sends messages to people with Apprise, in its own threads."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.language import tr
from mqtt_bridge.push import signed_links
from mqtt_bridge.push.memory import Memory
from mqtt_bridge.push.messages import PushMessage
from mqtt_bridge.push.rules import MOST_WAITING, Entry, PushQueue, QueuedMessage
from mqtt_bridge.push.signed_links import ButtonPress, UsedLinks
from mqtt_bridge.settings import Rule, Settings, SettingsError

logger = logging.getLogger(__name__)

Address = tuple[int, int]  # the number of a rule, and of an address in it

TICK = 5.0  # seconds between two checks of the clock
CLOSE_WITHIN = 1.0  # seconds in which messages can still be sent at the end
SENDERS = 16  # addresses to which messages are sent at once
MOST_EVENTS = 20_000  # events that wait for the queue's thread
NTFY = ("ntfy://", "ntfys://")  # only these services have buttons


class PushSender:
    """Any thread gives it events. SettingsError: an address cannot be used.

    One thread uses the queue and the memory. Each address with a message gets a thread
    until that is sent, so that a slow address does not delay the others.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = settings.push.rules
        self._apprise = check_rules(settings.push.rules)
        if self._rules and not settings.push.state:
            logger.warning(
                "there is no folder for push.state, so messages may be sent again "
                "after a restart: set push.state"
            )
        self._memory = Memory(settings.push.state)
        kept = self._memory.load()
        self.secret = self._memory.secret
        self._used = UsedLinks(kept.get("used"))
        self._queue = PushQueue(settings.push)
        self._queue.restore(kept, settings.store.owns)
        self._bell = threading.Condition()
        # Calls for the queue's thread. They return true if there are entries to keep.
        self._acts: list[Callable[[float], bool]] = []
        self._links: list[Entry] = []  # the used links that must be remembered
        self._dropped = False  # whether the log tells of dropped messages
        self._closing = False
        self._end_by = 0.0  # monotonic
        self._ready: dict[Address, list[QueuedMessage]] = {}
        self._busy: set[Address] = set()
        self.sent = 0
        self.failed = 0
        self._thread = threading.Thread(
            target=self._run, name="upkeep-push", daemon=True
        )

    @property
    def waiting(self) -> int:
        """The number of messages that wait to be sent."""
        return self._queue.waiting

    def start(self) -> None:
        """Begin to send messages, also about earlier events."""
        self._thread.start()

    def take(self, event: PrinterEvent) -> None:
        """Handle an event. This is one of `Events.event_listeners`."""
        if len(self._acts) < MOST_EVENTS:
            self._ring(lambda now: self._queue.happened(event, now))
        else:
            self._name_dropped()

    def stand(self, printers: frozenset[str], standing: list[PrinterEvent]) -> None:
        """Handle the tasks' statuses. This is one of `Events.standing_listeners`."""
        self._ring(lambda now: self._queue.stand(printers, standing, now))

    def use(self, press: ButtonPress) -> bool:
        """Note that a link is used. False: it was used before."""
        with self._bell:
            fresh = self._used.take(press, time.time())
            self._links.append(("used", json.dumps(press)))
        self._ring(lambda _: True)
        return fresh

    def free(self, press: ButtonPress) -> None:
        """Let a link be used again, since it had no effect."""
        with self._bell:
            self._used.free(press)
            self._links.append(("free", json.dumps(press)))
        self._ring(lambda _: True)

    def end(self) -> None:
        """Ask the threads to end, without waiting."""
        with self._bell:
            if not self._closing:
                self._closing = True
                self._end_by = time.monotonic() + CLOSE_WITHIN
            self._bell.notify()

    def close(self) -> None:
        """End the threads. Unsent messages are kept for the next start."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._end_by - time.monotonic()) + 0.2)
        if not self._thread.is_alive():
            self._memory.close()

    def link(self, message: PushMessage, action: str) -> str:
        """Return the address behind a button of *message*."""
        until = int(time.time() + self._settings.http.expire * 3600)
        press = ButtonPress(
            message.printer, message.task, action, until, secrets.randbits(32),
            message.done_count,
        )  # fmt: skip
        return f"{self._settings.http.url}/do/{signed_links.sign(press, self.secret)}"

    def _name_dropped(self) -> None:
        if not self._dropped:
            self._dropped = True
            logger.warning(
                "push: more than %d messages wait, so some are dropped", MOST_WAITING
            )

    def _ring(self, act: Callable[[float], bool]) -> None:
        with self._bell:
            self._acts.append(act)
            self._bell.notify()

    # The queue's thread

    def _run(self) -> None:
        over = False
        while not over:
            with self._bell:
                if not self._acts:
                    self._bell.wait(self._pause())
                acts, self._acts = self._acts, []
                links, self._links = self._links, []
                closing = self._closing
            try:
                self._turn(acts, links, closing=closing)
            # The thread must not end, since later messages would then be lost.
            except Exception:
                logger.exception("push: sending failed; it goes on with the next event")
            over = closing and self._pause() <= 0

    def _pause(self) -> float:
        if self._closing:
            return self._end_by - time.monotonic() if self._busy else 0.0
        due = self._queue.next()
        return TICK if due is None else min(TICK, max(0.0, due - time.time()))

    def _turn(
        self,
        acts: list[Callable[[float], bool]],
        links: list[Entry],
        *,
        closing: bool,
    ) -> None:
        now = time.time()
        for act in acts:
            _guarded(act, now)
        if self._queue.dropped:
            self._name_dropped()
        ready = [] if closing else self._queue.due(now)
        # A message is stored before it is sent. So after a crash it is sent once more
        # rather than never, and after a normal end it is not sent twice.
        self._memory.append([*self._queue.entries(), *links])
        for queued in ready:
            address = queued.note.rule, queued.note.address
            self._ready.setdefault(address, []).append(queued)
        for address in [] if closing else list(self._ready):
            if address not in self._busy and len(self._busy) < SENDERS:
                self._busy.add(address)
                threading.Thread(
                    target=self._deliver,
                    args=(address, self._ready.pop(address)),
                    name="upkeep-push-sender",
                    daemon=True,
                ).start()

    def _tried(self, queued: QueuedMessage, now: float, *, taken: bool) -> bool:
        if taken:
            self.sent += 1
            self._queue.sent(queued)
            return True
        self.failed += 1
        message = queued.note
        scheme = self._rules[message.rule].to[message.address].partition("://")[0]
        again = self._queue.failed(queued, now)
        if not queued.failures or not again:
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
        for queued in several:
            if self._closing:
                break  # the message is stored
            try:
                taken = self._send(queued.note)
            # The error's text may have the address, with a token in it.
            except Exception as error:  # noqa: BLE001
                logger.error("push: a message was not sent: %s", type(error).__name__)  # noqa: TRY400
                taken = False
            self._ring(partial(self._tried, queued, taken=taken))
        self._ring(partial(self._free, address))

    def _send(self, message: PushMessage) -> bool:
        # The service's method is called, since Apprise's own notify() would start other
        # threads, and Python waits for those at its end.
        service = self._apprise.Apprise.instantiate(self._address(message))
        if service is None:
            return False
        # Apprise accepts no message without a body.
        title, body = message.title, _body(message) or message.title
        return bool(service.notify(**_converted(self._apprise, service, title, body)))

    def _address(self, message: PushMessage) -> str:
        address = self._rules[message.rule].to[message.address]
        if not address.startswith(NTFY):
            return address
        more = {}
        click = message.guide or message.url
        if click:
            more["click"] = click
        if message.printer and self._rules[message.rule].buttons:
            more["actions"] = "; ".join(
                f"http, {tr(label)}, {self.link(message, action)}, method=POST,"
                " clear=true"
                for action, label in signed_links.ACTIONS.items()
            )
        if not more:
            return address
        return (
            address
            + ("&" if "?" in address else "?")
            + urlencode(more, quote_via=quote)
        )


def check_rules(rules: Sequence[Rule]) -> Any:
    """Return Apprise. SettingsError: *rules* have an address that it does not know."""
    apprise = _apprise()
    for number, rule in enumerate(rules):
        for each in rule.to:
            if apprise.Apprise.instantiate(each) is None:
                scheme, mark, _ = each.partition("://")
                which = f"{scheme}://..." if mark else "without ://"
                raise SettingsError(
                    f"push.rule.{number}.to has an address ({which}) that "
                    "Apprise does not know; see its list of services"
                )
    return apprise


def _guarded(act: Callable[[float], bool], now: float) -> None:
    try:
        act(now)
    except Exception:
        logger.exception("push: an event was dropped")


def _converted(apprise: Any, service: Any, title: str, body: str) -> dict[str, Any]:
    """Return the title and the body in a service's format, as Apprise converts them.

    Printers send plain text, so "<rods>" in it must not become a tag.
    """
    plain, convert = apprise.NotifyFormat.TEXT, apprise.conversion.convert_between
    # Newer versions of Apprise have services with several formats.
    resolve = getattr(service, "resolve_format", None)
    target = resolve(plain) if resolve else service.notify_format
    if service.title_maxlen <= 0:  # the title becomes a part of the body
        title = convert(plain, target, content=title)
    body = convert(plain, target, content=body)
    return {"title": title, "body": body, "body_format": target}


def _body(message: PushMessage) -> str:
    parts = (message.text, message.guide, message.url)
    return "\n".join(each for each in parts if each)


def _apprise() -> Any:
    try:
        import apprise.conversion  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "push.rule needs Apprise: pip install 'klipper-upkeep[push]'"
        ) from None
    # They would log addresses with tokens, and headers with our links. The sender logs
    # failures itself.
    for name in ("apprise", "requests", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return apprise
