"""The printers below one base topic: their messages, and commands to them.

Home Assistant's own MQTT client transports the messages. Entities register listeners
here.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable

from homeassistant.components import mqtt
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import ANSWER_WITHIN, DOMAIN
from .contract import (
    BAD_ARGUMENT,
    BASE,
    DUE,
    INTEGRATION,
    MAX_COMMAND,
    MAX_TEXT,
    NO_ANSWER,
    OFFLINE,
    OK,
    ONLINE,
    SOON,
    UNKNOWN_TASK,
    Command,
    ContractError,
    Entry,
    Event,
    Info,
    Meters,
    Result,
    State,
    Summary,
    Topic,
)

type UpkeepEntry = ConfigEntry[Fleet]

_LOGGER = logging.getLogger(__name__)

CALENDAR = "time"  # the meter that also counts while a printer is off
LOGGED = 100  # entries of a log that one request asks for; a printer sends no more

FILTERS = (
    "availability",
    "info",
    "meters",
    "summary",
    "tasks/+",
    "results",
    "events",
)

# The user can correct these. The printer or the network causes the others.
USERS_FAULT = {UNKNOWN_TASK, BAD_ARGUMENT}

RETAINED = ("availability", "info", "meters", "summary", "task")


class Printer:
    """One printer, as its messages describe it."""

    def __init__(self, slug: str, base: str = BASE) -> None:
        self.slug = slug
        self.base = base
        self.info: Info | None = None
        self.online = False
        self.deleted = False  # the user deletes it, and Home Assistant its device
        self.tasks: dict[str, State] = {}
        self.summary: Summary | None = None
        self.meters: dict[str, float] = {}  # the meters' readings
        self.log: list[Entry] | None = None  # newest first; None: it is not known
        # The completions that the user has undone, each by its task and number. Two may
        # be in the same second.
        self.undone: set[tuple[str, int]] = set()

    @property
    def name(self) -> str:
        return self.slug if self.info is None else self.info.name

    @property
    def introduced(self) -> Info:
        """Return the printer's `info`. RuntimeError if it has not arrived yet."""
        if self.info is None:
            raise RuntimeError(f"{self.slug} has not introduced itself")
        return self.info

    @property
    def owned(self) -> bool:
        """Whether the integration, and not MQTT discovery, makes the entities."""
        return self.info is not None and self.info.home_assistant == INTEGRATION

    def topic(self, kind: str, task: str | None = None) -> str:
        """Return one of the printer's topics."""
        return Topic(self.slug, kind, task).format(self.base)

    @property
    def ready(self) -> bool:
        """Whether the `info` and the states of all tasks have arrived."""
        return self.info is not None and set(self.info.tasks) <= set(self.tasks)

    def status(self, state: State) -> str:
        """Return a task's status now. A limit in time also ends while a printer is off.

        A printer that is off publishes nothing, so its last message may be out of date.
        """
        if self.online or state.match != "any" or state.status not in (OK, SOON):
            return state.status
        passed = any(
            limit.meter == CALENDAR
            and state.time + limit.remaining * 3600.0 <= time.time()
            for limit in state.limits
        )
        return DUE if passed else state.status


class Fleet:
    """All printers below the topic *base*, by their slugs."""

    def __init__(
        self, hass: HomeAssistant, base: str, *, entry_id: str, children: bool = False
    ) -> None:
        self.hass = hass
        self.base = base
        self.entry_id = entry_id
        self.children = children  # whether each task has a device of its own
        self.printers: dict[str, Printer] = {}
        self.adders: dict[str, AddConfigEntryEntitiesCallback] = {}  # by platform
        self._results: dict[str, asyncio.Future[Result]] = {}
        self._on_change: list[Callable[[Printer], None]] = []
        self._on_event: list[Callable[[Printer, Event], None]] = []
        self._on_gone: list[Callable[[Printer], None]] = []
        self._complaints: set[tuple[str, str]] = set()

    @property
    def connected(self) -> bool:
        """Whether Home Assistant is connected to its broker.

        Without a broker nothing is known of a printer, and no command can be sent.
        """
        return mqtt.is_connected(self.hass)

    async def subscribe(self) -> list[CALLBACK_TYPE]:
        """Subscribe to all printers; return the functions that end it.

        The broker sends the retained messages at once.
        """

        @callback
        def connection(connected: bool) -> None:
            for printer in self.printers.values():
                printer.log = None  # no events arrived without a connection
                if not connected:
                    printer.online = False  # until its availability arrives again
            self.look_again()

        stop = mqtt.async_subscribe_connection_status(self.hass, connection)
        return [stop] + [
            await mqtt.async_subscribe(
                self.hass, f"{self.base}/+/{each}", self._received, qos=1, encoding=None
            )
            for each in FILTERS
        ]

    @callback
    def listen(
        self,
        change: Callable[[Printer], None] | None = None,
        event: Callable[[Printer, Event], None] | None = None,
        gone: Callable[[Printer], None] | None = None,
    ) -> CALLBACK_TYPE:
        """Register functions for a printer's changes, events and removal.

        Return the function that ends this.
        """
        pairs = (
            (self._on_change, change),
            (self._on_event, event),
            (self._on_gone, gone),
        )
        for listeners, listener in pairs:
            if listener is not None:
                listeners.append(listener)  # type: ignore[arg-type]

        @callback
        def stop() -> None:
            for listeners, listener in pairs:
                if listener is not None:
                    listeners.remove(listener)  # type: ignore[arg-type]

        return stop

    async def command(self, printer: Printer, task: str, command: Command) -> Result:
        """Send *command* and wait until the printer has carried it out.

        ServiceValidationError if the user's command is not possible,
        HomeAssistantError if the printer failed or sent no result.
        """
        self.check(printer)
        transaction = uuid.uuid4().hex
        topic = printer.topic("command", task)
        payload = command._replace(transaction=transaction).encode()
        if max(len(command.note), len(command.by)) > MAX_TEXT or (
            len(payload) > MAX_COMMAND
        ):
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="too_long",
                translation_placeholders={"most": str(MAX_TEXT)},
            )
        future: asyncio.Future[Result] = self.hass.loop.create_future()
        self._results[transaction] = future
        try:
            await mqtt.async_publish(self.hass, topic, payload, qos=1)
            async with asyncio.timeout(ANSWER_WITHIN):
                result = await future
        except TimeoutError:
            raise _refused(NO_ANSWER, printer, task, "") from None
        finally:
            del self._results[transaction]
        if result.code is not None:
            raise _refused(result.code, printer, task, result.text)
        return result

    def check(self, printer: Printer) -> None:
        """Raise HomeAssistantError if a command cannot be sent to *printer* now.

        Home Assistant would otherwise keep the command and send it later.
        """
        if not self.connected:
            raise HomeAssistantError(
                translation_domain=DOMAIN, translation_key="broker_away"
            )
        if not printer.online:
            raise HomeAssistantError(
                translation_domain=DOMAIN,
                translation_key="offline",
                translation_placeholders={"printer": printer.name},
            )

    async def log(self, printer: Printer) -> list[Entry]:
        """Return the log of all tasks, newest first. The printer is asked only once."""
        if printer.log is None:
            command = Command("log", limit=LOGGED, every=True)
            result = await self.command(printer, next(iter(printer.tasks)), command)
            printer.log = list(result.log)
        return printer.log

    @callback
    def look_again(self) -> None:
        """Call all listeners for all printers, as the time or the broker changed."""
        for printer in list(self.printers.values()):
            self._changed(printer)

    # Messages. One that breaks the contract is ignored, and is logged once.

    @callback
    def _received(self, message: mqtt.ReceiveMessage) -> None:
        try:
            topic = Topic.parse(self.base, message.topic)
            payload = as_bytes(message.payload)
            # An empty payload clears a retained message. From an unknown printer it
            # is the rest of a removal. An empty event or result says nothing, since
            # those topics retain nothing.
            known = topic.printer in self.printers and topic.kind in RETAINED
            if payload or known:
                self._take(topic, payload)
        except ContractError as error:
            complaint = (message.topic, str(error))
            if complaint not in self._complaints and len(self._complaints) < 100:
                self._complaints.add(complaint)
                _LOGGER.warning("Ignored a message on %s: %s", message.topic, error)

    def _take(self, topic: Topic, payload: bytes) -> None:
        printer = self._printer(topic.printer)
        if topic.kind == "results":
            self._settle(Result.decode(payload))
        elif topic.kind == "events":
            self._happened(printer, Event.decode(payload))
        elif topic.kind == "availability":
            self._reachable(printer, payload)
        elif topic.kind in ("meters", "summary"):
            self._summed(printer, topic.kind, payload)
        elif topic.kind == "info":
            self._introduced(printer, payload)
        elif topic.task is not None:
            if payload:
                printer.tasks[topic.task] = State.decode(payload)
            else:
                printer.tasks.pop(topic.task, None)
            self._changed(printer)

    def _printer(self, slug: str) -> Printer:
        return self.printers.setdefault(slug, Printer(slug, self.base))

    def _summed(self, printer: Printer, kind: str, payload: bytes) -> None:
        if kind == "summary":
            printer.summary = Summary.decode(payload) if payload else None
        else:
            printer.meters = Meters.decode(payload).meters if payload else {}
        self._changed(printer)

    def _settle(self, result: Result) -> None:
        future = self._results.get(result.transaction)
        if future is not None and not future.done():
            future.set_result(result)

    def _happened(self, printer: Printer, event: Event) -> None:
        printer.log = None  # it is requested again when somebody wants it
        for listener in list(self._on_event):
            listener(printer, event)

    def _reachable(self, printer: Printer, payload: bytes) -> None:
        if payload not in (ONLINE, OFFLINE, b""):
            raise ContractError(f"{payload[:20]!r} is neither online nor offline")
        online = payload == ONLINE
        if online != printer.online and printer.info is not None:
            _LOGGER.info("%s is %s", printer.name, "online" if online else "offline")
        printer.online = online
        printer.log = None
        self._changed(printer)

    def _introduced(self, printer: Printer, payload: bytes) -> None:
        if not payload:
            self.remove(printer)
            return
        info = Info.decode(payload)
        if printer.info is not None and printer.info.uuid != info.uuid:
            self.remove(printer)  # another printer now has this name
            printer = self._printer(printer.slug)
        printer = self._renamed(printer, info.uuid)
        printer.info = info
        for task in set(printer.tasks) - set(info.tasks):
            del printer.tasks[task]
        self._changed(printer)

    def _renamed(self, printer: Printer, uuid: str) -> Printer:
        """Return the printer itself, or the one that had this uuid under another name.

        A renamed printer stays the same object. It clears the topics of its old name
        only after it has published everything under the new name.
        """
        for known in self.printers.values():
            if known is not printer and known.info and known.info.uuid == uuid:
                del self.printers[known.slug]
                known.slug, known.online = printer.slug, printer.online
                known.tasks, known.log = printer.tasks, None
                known.summary, known.meters = printer.summary, printer.meters
                self.printers[known.slug] = known
                return known
        return printer

    @callback
    def remove(self, printer: Printer) -> None:
        """Forget a printer until its `info` arrives again."""
        self.printers.pop(printer.slug, None)
        for listener in list(self._on_gone):
            listener(printer)

    def _changed(self, printer: Printer) -> None:
        if printer.ready:
            for listener in list(self._on_change):
                listener(printer)


def as_bytes(payload: str | bytes | bytearray) -> bytes:
    """Return a payload's bytes, also if Home Assistant has already decoded it."""
    return payload.encode() if isinstance(payload, str) else bytes(payload)


def _refused(code: str, printer: Printer, task: str, text: str) -> HomeAssistantError:
    kind = ServiceValidationError if code in USERS_FAULT else HomeAssistantError
    return kind(
        translation_domain=DOMAIN,
        translation_key=code,
        translation_placeholders={
            "printer": printer.name,
            "task": task,
            "text": text,
            "tasks": ", ".join(state.label for state in printer.tasks.values()),
        },
    )
