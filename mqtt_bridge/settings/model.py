"""The settings as the bridge uses them: frozen types with their defaults."""

from __future__ import annotations

import dataclasses
import ssl

from mqtt_bridge import contract, language
from mqtt_bridge.fleet import sharding


class SettingsError(ValueError):
    """A setting that cannot be used. The text is for the person who wrote it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tls:
    """The paths of TLS files. Without *ca*, the system's authorities are trusted."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files. OSError: one of them is not valid."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        return context


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broker:
    """The broker's address, and the bridge's credentials and id there.

    *bases* are the topics below which the printers are. *server_name* is the name in
    the certificate, if that is not *host*. *path* is the path of a WebSocket.
    """

    host: str = "localhost"
    port: int = 1883
    version: str = "3.1.1"
    bases: tuple[str, ...] = (contract.BASE,)
    client_id: str = ""
    keepalive: int = 30  # seconds
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    tls: Tls | None = None
    server_name: str = ""
    transport: str = "tcp"  # or websockets
    path: str = "/mqtt"

    @property
    def base(self) -> str:
        """The base topic of the bridge's own topics."""
        return self.bases[0]

    @property
    def authority(self) -> str:
        """The host and the port, as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def address(self) -> str:
        scheme = "ws" if self.transport == "websockets" else "mqtt"
        path = self.path if self.transport == "websockets" else ""
        return f"{scheme}{'s' if self.tls else ''}://{self.authority}{path}"


ONLY, MAIN, STANDBY = "only", "main", "standby"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """This bridge is number *index* (the first is 0) *of* several."""

    of: int = 1
    index: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Store:
    """The settings for mKTL: the names of items, and the access to them."""

    name: str = "upkeep"
    alias: str = "mqtt"
    share: Share = dataclasses.field(default_factory=Share)
    printers: tuple[str, ...] = ()
    read_only: bool = False
    interface: str = "127.0.0.1"
    allow: tuple[str, ...] = ()
    override: bool = False
    registry: bool = False  # the bridge runs a registry itself
    role: str = ONLY  # or MAIN, which has a standby, or STANDBY

    def owns(self, printer: str) -> bool:
        """Return whether this bridge mirrors *printer*."""
        if self.printers:
            return printer in self.printers
        return sharding.index(printer, self.share.of) == self.share.index


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Which events cause messages to which addresses, and their templates."""

    to: tuple[str, ...] = dataclasses.field(repr=False)
    printers: tuple[str, ...] = ("*",)  # patterns, like those of the tasks
    tasks: tuple[str, ...] = ("*",)
    events: tuple[str, ...] = ("due",)
    title: str = "{printer}: {label}"
    text: str = "{what}. {message}"
    buttons: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Push:
    """Messages to people. *quiet* and *digest* are local times (minutes of the day)."""

    rules: tuple[Rule, ...] = ()
    quiet: tuple[int, int] | None = None
    digest: int | None = None
    state: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Http:
    """The links behind buttons. Without *listen* there are none."""

    listen: tuple[str, int] | None = None
    url: str = ""  # the address that phones use for the links
    expire: float = 48.0  # hours


@dataclasses.dataclass(frozen=True, kw_only=True)
class Web:
    """The page, if there is *listen*. Without *token* everybody may use it."""

    listen: tuple[str, int] | None = None
    token: str = dataclasses.field(default="", repr=False)
    hosts: tuple[str, ...] = ()  # the names that browsers use for the page
    prefix: str = ""
    read_only: bool = False
    certificate: str | None = None
    key: str | None = None

    def tls(self) -> ssl.SSLContext | None:
        """Read the files. OSError: one of them is not valid."""
        if self.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key, password="")
        return context


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    broker: Broker = dataclasses.field(default_factory=Broker)
    store: Store = dataclasses.field(default_factory=Store)
    push: Push = dataclasses.field(default_factory=Push)
    http: Http = dataclasses.field(default_factory=Http)
    web: Web = dataclasses.field(default_factory=Web)
    metrics: tuple[str, int] | None = None
    language: str = language.ENGLISH  # for messages to people; it may be unknown
