"""`BridgeDaemon`: an mKTL daemon whose items are the fleet."""

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
from mqtt_bridge.broker import presence as words
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.contract import Command
from mqtt_bridge.fleet import items
from mqtt_bridge.fleet.items import Description
from mqtt_bridge.fleet.records import ItemSource, Record
from mqtt_bridge.http_server import serve
from mqtt_bridge.push import link_server
from mqtt_bridge.push.sender import PushSender
from mqtt_bridge.registry import RegistryProcess

logger = logging.getLogger(__name__)

_BROKER: Description = {
    "type": "boolean",
    "description": "Whether the bridge has its broker",
    "settable": False,
}


NOBODY = "mKTL"  # the origin of a client that names no origin
HAND_OVER_WITHIN = 20.0  # seconds in which a standby must let the main bridge take over


class Mirrored(Item):
    """An item that only its printer changes."""


class Settable(Item):
    """An item whose SET becomes a command. The printer's next state has the change."""

    bridge: ClassVar[Bridge]
    publish_on_set = False

    def req_set(self, request: Any) -> Any:
        """Return a Future that ends when the change can be read."""
        value = self.validate_type(self.from_payload(request.payload))
        printer, task, field = self.key.split(".", 2)
        by = _origin(request.payload)

        def make(record: Record, transaction: str) -> Command:
            return items.command(
                record.shape, record.values, field, value, by, transaction
            )

        # All clients that give no name share the limits of one client.
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


class Standby(Protocol):
    """The owner of a standby, which starts one daemon after the other."""

    presence: Presence
    registry: RegistryProcess

    def stand_by(self) -> None:
        """Wait until the main bridge is absent. SystemExit: this process must end."""

    def leave_if_told(self) -> None:
        """Raise SystemExit if this process must end."""


class Server(Protocol):
    """A server for people or programs beside mKTL."""

    def close(self) -> None: ...


class BridgeDaemon(Daemon):
    """Mirrors the printers of a broker.

    *options* has the settings as ``settings``, or their file as ``appconfig``. Network
    arguments of `mkd` replace the settings. For a standby, which only `upkeep-bridge`
    can run, *options* has its `Standby` as ``standby``.
    """

    bridge: Bridge
    override_option = "store.override"

    def parse_options(self, options: Any) -> None:
        """Read the settings. SettingsError: they cannot be used."""
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
        standby: Standby | None = getattr(options, "standby", None)
        if store.role == settings.STANDBY and standby is None:
            raise settings.SettingsError(
                "store.role: a standby runs as upkeep-bridge, which comes back after "
                "the main bridge has been served; mkd does not"
            )
        self._standby = standby
        # A waiting standby must not answer at its old address: a client that still
        # knows this address would get an error, and would not search for the main
        # bridge.
        self.keeps_ports = standby is None
        self._presence = standby.presence if standby else Presence.of(given)
        self.bridge = make_bridge(given, self, self._presence)
        self._pusher = PushSender(given) if given.push.rules else None
        self._webs: list[Server] = []
        self._registry = (
            standby.registry
            if standby
            else RegistryProcess(here=store.role == settings.MAIN)
        )
        self._is_accepted = False  # whether all registries have accepted it
        self._settable = type("Settable", (Settable,), {"bridge": self.bridge})

    @property
    def _broker(self) -> str:
        # No printer's slug begins with an underscore, so no printer has this key.
        return f"_{self.alias}broker"

    def setup(self) -> None:
        """Wait for all retained messages: no client may see an incomplete store."""
        self.add_item(Mirrored, self._broker, description=_BROKER)
        interpreter.begin()
        if self._standby is None:
            self._begin_to_serve()
        self.bridge.start()
        while not self.bridge.ready.wait(0.2):
            if self.shutdown.is_set():
                raise InterruptedError("stopped before the broker was reached")
            if self._standby is not None:
                self._standby.leave_if_told()

    def setup_final(self) -> None:
        """Let a standby wait here until it is needed. It has mirrored all printers."""
        if self._standby is not None:
            interpreter.settle()
            self._standby.stand_by()
            self._begin_to_serve()
        if self._presence is not None:
            self._take_part(self._presence)

    def _begin_to_serve(self) -> None:
        """Start the page, the metrics and the messages to people."""
        given = self.bridge.settings
        if given.store.registry:
            self._registry.start(str(self.options.interface))
        if self._pusher is not None:
            self.bridge.events.event_listeners.append(self._pusher.take)
            self.bridge.events.standing_listeners.append(self._pusher.stand)
        # This runs before all messages have arrived, so that a monitor sees the start.
        self._serve(given)

    def _take_part(self, presence: Presence) -> None:
        """Publish that this bridge serves, so that its standby lets it take over."""
        presence.become(words.SERVING)
        if self.bridge.settings.store.role != settings.MAIN:
            return
        until = time.monotonic() + HAND_OVER_WITHIN
        while (now := time.monotonic()) < until and not self.shutdown.is_set():
            if presence.knows(now) and not presence.other_serves(now):
                return
            self.shutdown.wait(0.1)

    def _serve(self, given: settings.Settings) -> None:
        """Serve metrics and links at their addresses, and the page with all of them."""
        exporter = metrics.Exporter(
            self.bridge, self._pusher, lambda: self._is_accepted
        )
        plain = dict.fromkeys(metrics.PATHS, exporter.routes)
        if given.metrics is not None:
            server = serve(
                exporter.routes, given.metrics, "upkeep-metrics", "metrics.listen"
            )
            self._webs.append(server)
        if self._pusher is not None and given.http.url:
            links = link_server.LinkServer(self.bridge, self._pusher)
            plain[link_server.PATH] = links.routes
            if given.http.listen is not None:
                server = serve(
                    links.routes, given.http.listen, "upkeep-links", "http.listen"
                )
                self._webs.append(server)
        if given.web.listen is not None:
            self._webs.append(web.serve(self.bridge, given.web, plain))

    def announced(self, accepted: bool, reason: str) -> None:
        self._is_accepted = accepted
        super().announced(accepted, reason)

    def make_room(self) -> None:
        """Let registries accept another bridge for these printers.

        They ask whether this one still runs, and it does not answer. Clients that are
        connected to this bridge are served until it ends.
        """
        for suffix in ("uuid", "clk"):
            self.add_handler(f"_{self.alias}{suffix}", "get", lambda _request: None)
        if self._presence is not None:
            self._presence.become(words.LEAVING)

    def started(self) -> None:
        if self._presence is not None:
            self._presence.become(words.ANNOUNCED)
        self._is_accepted = True
        interpreter.settle()
        # A refused bridge sends no messages, since another bridge sends them. So this
        # begins only now.
        if self._pusher is not None:
            self._pusher.start()
        count = len(self.bridge.fleet.printers)
        logger.info("on the air with %d printers", count)

    def cleanup(self, *_args: Any, **_kwargs: Any) -> None:
        interpreter.end()
        if self._presence is not None:
            self._presence.become(words.SILENT if self._standby else words.STARTING)
        # All are ended first, and only then waited for, so that they end together.
        self.bridge.end()
        if self._pusher is not None:
            self._pusher.end()
        for server in self._webs:
            server.close()
        self.bridge.close()
        if self._pusher is not None:
            self._pusher.close()
        if self._standby is None:
            self._registry.close()

    # The bridge calls these in its turn.

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
                # The items and their values stay, so that a GET meanwhile gets an
                # answer.
                self.catalog.describe(anew)
            if plain:
                self.add_items(plain, Mirrored)
            if settable:
                self.add_items(settable, self._settable)

    def connected(self, *, up: bool, when: float) -> None:
        super().publish([(self._broker, int(up), when)])


def _settings(options: Any) -> settings.Settings:
    """Return the settings for `mkd`. Its store and alias replace those of the file."""
    names = {"name": getattr(options, "store", None),
             "alias": getattr(options, "alias", None)}  # fmt: skip
    flags = [f"store.{name}={value}" for name, value in names.items() if value]
    return settings.load(getattr(options, "appconfig", None), flags=flags)


def _origin(payload: Payload) -> str:
    """Return the name of the client that sent a SET, for the task's log."""
    user = getattr(payload, "_user", None)
    host = getattr(payload, "_hostname", None)
    origin = "@".join(str(each) for each in (user, host) if each)
    return contract.clean(origin)[:200].strip() or NOBODY
