"""The broker's address, and the printer's credentials and TLS settings for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from .language import tr
from .paths import path_of, shown


class Broker(NamedTuple):
    """The options of `[maintain]` about the broker."""

    host: str
    client_id: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca: str | None = None  # a path; None: the system's authorities
    certificate: str | None = None
    key: str | None = None
    version: str = "3.1.1"
    keepalive: int = 30  # seconds
    server_name: str | None = None  # the name in the certificate; None: the host
    path: str | None = None  # the path of a websocket; None: no websocket

    def __repr__(self) -> str:
        # A traceback must not show the password.
        return f"Broker({self.host}:{self.port})"


def credentials(path: str) -> tuple[str, str | None]:
    """Read the ``username:`` and ``password:`` lines. ValueError names the fix."""
    where = path_of(path)
    try:
        # Editors on Windows write a byte order mark first.
        text = where.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{shown(where)} cannot be read ({error})") from None
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, mark, value = line.partition(":")
        if mark and not line.lstrip().startswith(("#", ";", "[")):
            values[name.strip().lower()] = value.strip()
    if not values.get("username"):
        raise ValueError(
            f"{shown(where)} has no line 'username: NAME' (and one 'password: WORD')"
        )
    return values["username"], values.get("password")


class NoTlsError(OSError):
    """This Python has no TLS."""


class NamedContext:
    """A TLS context that expects a given name in the certificate, not the host's."""

    def __init__(self, context: Any, name: str) -> None:
        self._context, self._name = context, name
        self.check_hostname = context.check_hostname

    def wrap_socket(self, connection: Any, **options: Any) -> Any:
        options["server_hostname"] = self._name
        return self._context.wrap_socket(connection, **options)


def tls_context(broker: Broker) -> Any:
    """Return the TLS settings. NoTlsError: this Python has no TLS."""
    try:
        # A Python for a small system may have no `ssl`, and only TLS needs it.
        import ssl  # noqa: PLC0415
    except ImportError as error:
        raise NoTlsError(
            tr(
                "the Python that runs Klippy has no 'ssl' ({error}), which 'mqtt_tls'"
                " needs: install it, or use a broker without TLS",
                error=str(error),
            )
        ) from None
    context = ssl.create_default_context(cafile=broker.ca)
    if broker.certificate is not None:
        context.load_cert_chain(broker.certificate, broker.key)
    if broker.server_name is not None:
        return NamedContext(context, broker.server_name)
    return context
