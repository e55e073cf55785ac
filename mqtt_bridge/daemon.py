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
from mqtt_bridge.broker import presence as words
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
HAND_OVER_WITHIN = 20.0  # seconds for a standby to make room


class Mirrored(Item):
    """An item that only the printer changes."""


class Settable(Item):
    """An item whose SET becomes a command; the printer's next state is its change."""

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


class Standby(Protocol):
    """Who runs a standby, through all the daemons that it has in turn."""

    presence: Presence
    registry: RegistryProcess

    def stand_by(self) -> None:
        """Return once the main bridge is gone. SystemExit: it is told to end."""

    def leave_if_told(self) -> None:
        """SystemExit: it is told to end."""


class Server(Protocol):
    """A server for people or programs beside mKTL."""

    def close(self) -> None: ...


class BridgeDaemon(Daemon):
    """Mirrors the printers of a broker.

    *options* has the settings as ``settings``, or their file as ``appconfig``. What
    `mkd` gets as arguments for the network goes over them. A standby, which only
    `upkeep-bridge` can be, has its `Standby` there as ``standby``.
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
        standby: Standby | None = getattr(options, "standby", None)
        if store.role == settings.STANDBY and standby is None:
            raise settings.SettingsError(
                "store.role: a standby runs as upkeep-bridge, which comes back after "
                "the main bridge has been served; mkd does not"
            )
        self._standby = standby
        # A client that still asks where a standby answered is to find the main bridge,
        # and would get an error from a standby that waits there.
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
        self._is_accepted = False  # by every registry
        self._settable = type("Settable", (Settable,), {"bridge": self.bridge})

    @property
    def _broker(self) -> str:
        # The underscore keeps it apart from a printer: no slug begins so.
        return f"_{self.alias}broker"

    def setup(self) -> None:
        """Wait for what the broker retains: no client sees a half-filled store."""
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
        """Let a standby stay here, with everything mirrored, until it is needed."""
        if self._standby is not None:
            interpreter.settle()
            self._standby.stand_by()
            self._begin_to_serve()
        if self._presence is not None:
            self._take_part(self._presence)

    def _begin_to_serve(self) -> None:
        """Begin with all that serves or tells people and programs beside mKTL."""
        given = self.bridge.settings
        if given.store.registry:
            self._registry.start(str(self.options.interface))
        if self._pusher is not None:
            self.bridge.events.event_listeners.append(self._pusher.take)
            self.bridge.events.standing_listeners.append(self._pusher.stand)
        # Before all has arrived: whoever looks after the bridge sees that it starts.
        self._serve(given)

    def _take_part(self, presence: Presence) -> None:
        """Say that this bridge serves; its standby makes room for it."""
        presence.become(words.SERVING)
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

    def make_room(self) -> None:
        """Let registries take another bridge's word for these printers.

        They ask whether this one still runs, and are told nothing; clients that have
        this bridge are served until it ends.
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
        # Not earlier: a refused bridge sends no messages; another bridge does.
        if self._pusher is not None:
            self._pusher.start()
        count = len(self.bridge.fleet.printers)
        logger.info("on the air with %d printers", count)

    def cleanup(self, *_args: Any, **_kwargs: Any) -> None:
        interpreter.end()
        if self._presence is not None:
            self._presence.become(words.SILENT if self._standby else words.STARTING)
        # All are asked to end before any is waited for.
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

    # The bridge calls these in its turn

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
    """Return the name of the client that sets, for the task's log."""
    user = getattr(payload, "_user", None)
    host = getattr(payload, "_hostname", None)
    origin = "@".join(str(each) for each in (user, host) if each)
    return contract.clean(origin)[:200].strip() or NOBODY
