"""`BridgeDaemon`: the fleet as the items of an mKTL daemon."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol

from mktl_daemon import Daemon, Item, Payload
from mqtt_bridge import contract, interpreter, language, metrics, settings, web
from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.bridge import Bridge
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.contract import Command
from mqtt_bridge.fleet import items
from mqtt_bridge.fleet.items import Description
from mqtt_bridge.fleet.records import ItemSource, Record
from mqtt_bridge.push import link_server
from mqtt_bridge.push.sender import PushSender
from mqtt_bridge.registry import RegistryProcess

logger = logging.getLogger(__name__)

_BROKER: Description = {
    "type": "boolean",
    "description": "Whether the bridge has its broker",
    "settable": False,
}


NOBODY = "mKTL"  # the origin of a client that names none
HAND_OVER_WITHIN = 20.0  # seconds for a standby to leave


class Mirrored(Item):
    """An item that only the printer changes."""


class Settable(Item):
    """An item whose SET becomes a command; the printer's next state is its change."""

    bridge: ClassVar[Bridge]
    publish_on_set = False

    def req_set(self, request: Any) -> Any:
        """Answer once the change can be read."""
        value = self.validate_type(self.from_payload(request.payload))
        printer, task, field = self.key.split(".", 2)
        by = _origin(request.payload)

        def make(record: Record, transaction: str) -> Command:
            return items.command(
                record.shape, record.values, field, value, by, transaction
            )

        # Those who do not say who they are have the limits of one client together.
        future = self.bridge.ask(printer, task, make, client=by)
        answer: Future[Payload] = Future()

        def settle(done: Future[Any]) -> None:
            error = done.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(Payload(value=True))

        future.add_done_callback(settle)
        return answer


class Server(Protocol):
    """What serves people and programs beside mKTL."""

    def close(self) -> None: ...


class BridgeDaemon(Daemon):
    """Mirrors the printers of a broker.

    *options* has the settings as ``settings``, or their file as ``appconfig``. What
    `mkd` gets as arguments for the network goes over them. A standby, which only
    `upkeep-bridge` can be, has its ``presence`` there as well.
    """

    bridge: Bridge
    override_option = "store.override"

    def parse_options(self, options: Any) -> None:
        """SettingsError: settings that cannot be used."""
        given = getattr(options, "settings", None) or _settings(options)
        unspoken = language.current.use(given.language)
        if unspoken:
            logger.warning("%s", unspoken)
        store = given.store
        self.override = self.override or store.override
        self.options = SimpleNamespace(
            interface=getattr(options, "interface", None) or store.interface,
            allow=getattr(options, "allow", None) or store.allow,
        )
        presence = getattr(options, "presence", None)
        if store.role == settings.STANDBY and presence is None:
            raise settings.SettingsError("store.role: a standby runs as upkeep-bridge")
        self._presence = presence or Presence.of(given)
        self.bridge = make_bridge(given, self, self._presence)
        self._pusher = _pusher(given, self.bridge)
        self._webs: list[Server] = []
        self._registry: RegistryProcess | None = None
        self._is_accepted = False  # by every registry
        self._settable = type("Settable", (Settable,), {"bridge": self.bridge})

    @property
    def _broker(self) -> str:
        # The underscore keeps it apart from a printer: no slug begins so.
        return f"_{self.alias}broker"

    def setup(self) -> None:
        """Wait for what the broker retains: no client sees a half-filled store."""
        self.add_item(Mirrored, self._broker, description=_BROKER)
        if self.bridge.settings.store.registry:
            self._registry = RegistryProcess(str(self.options.interface))
        interpreter.begin()
        self.bridge.start()
        # Before all else: whoever looks after the bridge sees that it starts.
        self._serve(self.bridge.settings)
        while not self.bridge.ready.wait(0.2):
            if self.shutdown.is_set():
                raise InterruptedError("stopped before the broker was reached")
        if self._presence is not None:
            self._take_part(self._presence)

    def _take_part(self, presence: Presence) -> None:
        """Say that this bridge serves; its standby leaves before it is announced."""
        presence.serve()
        if self.bridge.settings.store.role != settings.MAIN:
            return
        until = time.monotonic() + HAND_OVER_WITHIN
        while (now := time.monotonic()) < until and not self.shutdown.is_set():
            if presence.knows(now) and not presence.other_serves(now):
                return
            self.shutdown.wait(0.1)

    def _serve(self, given: settings.Settings) -> None:
        """Serve metrics and links where they are to be, and all beside the page."""
        exporter = metrics.Exporter(
            self.bridge, self._pusher, lambda: self._is_accepted
        )
        plain = dict.fromkeys(metrics.PATHS, exporter.routes)
        if given.metrics is not None:
            self._webs.append(metrics.serve(exporter, given.metrics))
        if self._pusher is not None and given.http.url:
            links = link_server.LinkServer(self.bridge, self._pusher)
            plain[link_server.PATH] = links.routes
            if given.http.listen is not None:
                self._webs.append(link_server.serve(links, given.http.listen))
        if given.web.listen is not None:
            self._webs.append(web.serve(self.bridge, given.web, plain))

    def announced(self, accepted: bool, reason: str) -> None:
        self._is_accepted = accepted
        super().announced(accepted, reason)

    def started(self) -> None:
        self._is_accepted = True
        interpreter.settle()
        # Not before: a bridge that is refused tells nobody, another one does.
        if self._pusher is not None:
            self._pusher.start()
        count = len(self.bridge.fleet.printers)
        logger.info("on the air with %d printers", count)

    def cleanup(self, *_args: Any, **_kwargs: Any) -> None:
        interpreter.end()
        if self._presence is not None:
            self._presence.serves = False
        # All are asked to end before any is waited for.
        self.bridge.end()
        if self._pusher is not None:
            self._pusher.end()
        for server in self._webs:
            server.close()
        self.bridge.close()
        if self._pusher is not None:
            self._pusher.close()
        if self._registry is not None:
            self._registry.close()

    # What the bridge hands over, in its turn

    def change(self, removed: Iterable[str], placed: dict[str, ItemSource]) -> None:
        known = self.catalog.authoritative_items
        gone = [key for key in removed if key in known]
        anew: dict[str, Description] = {}
        plain: dict[str, Description] = {}
        settable: dict[str, Description] = {}
        for key, place in placed.items():
            kind = settable if place.description["settable"] else plain
            kind = anew if key in known else kind
            kind[key] = place.description
        with self.changing():
            if gone:
                self.remove_items(gone)
            if anew:
                # The items stay, with their values: a GET meanwhile is answered.
                self.catalog.describe(anew)
            if plain:
                self.add_items(plain, Mirrored)
            if settable:
                self.add_items(settable, self._settable)

    def connected(self, *, up: bool, when: float) -> None:
        super().publish([(self._broker, int(up), when)])


def _settings(options: Any) -> settings.Settings:
    """The settings of `mkd`; its store and alias go over the file's, as flags do."""
    names = {"name": getattr(options, "store", None),
             "alias": getattr(options, "alias", None)}  # fmt: skip
    flags = [f"store.{name}={value}" for name, value in names.items() if value]
    return settings.load(getattr(options, "appconfig", None), flags=flags)


def _origin(payload: Payload) -> str:
    """Say who sets: it goes into the task's log."""
    user = getattr(payload, "_user", None)
    host = getattr(payload, "_hostname", None)
    origin = "@".join(str(each) for each in (user, host) if each)
    return contract.clean(origin)[:200].strip() or NOBODY


def _pusher(given: settings.Settings, bridge: Bridge) -> PushSender | None:
    if not given.push.rules:
        return None
    pusher = PushSender(given)
    bridge.events.event_listeners.append(pusher.take)
    bridge.events.standing_listeners.append(pusher.stand)
    return pusher
