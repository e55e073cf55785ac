"""Makes paho clients from the settings, and reads a broker's CONNACK."""

from __future__ import annotations

import socket
import ssl
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties

from mqtt_bridge.broker.buffered_socket import BufferedContext
from mqtt_bridge.broker.packets import MAX_BODY
from mqtt_bridge.settings import Broker

IN_FLIGHT = 1000  # publications that may wait for an acknowledgement
_VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


class Allowance(NamedTuple):
    """What the broker allows on a connection, by the properties of its CONNACK."""

    receive_maximum: int = IN_FLIGHT
    packet_size: int | None = None  # the largest packet that it accepts, in bytes
    qos: int = 2
    wildcards: bool = True
    retain: bool = True
    keepalive: int | None = None  # seconds; it replaces the client's keepalive

    @classmethod
    def of(cls, properties: Any) -> Allowance:
        """Read paho's *properties*. With MQTT 3.1.1 there are none."""

        def read(name: str, default: Any) -> Any:
            return getattr(properties, name, default)

        return cls(
            receive_maximum=min(IN_FLIGHT, read("ReceiveMaximum", IN_FLIGHT)),
            packet_size=read("MaximumPacketSize", None),
            qos=read("MaximumQoS", 2),
            wildcards=bool(read("WildcardSubscriptionAvailable", 1)),
            retain=bool(read("RetainAvailable", 1)),
            keepalive=read("ServerKeepAlive", None),
        )

    def lacks(self) -> list[str]:
        """Return a sentence for each feature that does not work on such a broker."""
        sentences = []
        if not self.retain:
            sentences.append(
                "it retains no messages, so the bridge shows a printer only after the "
                "printer has sent something, also after a restart of the bridge"
            )
        if not self.wildcards:
            sentences.append(
                "it takes no wildcards in subscriptions, so the bridge sees only the "
                "printers that store.printers names"
            )
        return sentences


def new_client(broker: Broker, *, client_id: str) -> paho.Client:
    """Return a client with a `BufferedSocket`. The caller reads and flushes that."""
    client = _client(broker, client_id, "tcp")
    client.max_inflight_messages_set(IN_FLIGHT)
    client.tls_set_context(BufferedContext(broker))
    return client


def connect(client: paho.Client, broker: Broker, keepalive: int) -> None:
    """Open the connection and send CONNECT. OSError or ValueError if that fails."""
    properties = None
    if broker.version == "5":
        properties = Properties(paho.CONNECT >> 4)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = MAX_BODY
    client.connect(broker.host, broker.port, keepalive, properties=properties)


def plain_client(broker: Broker, client_id: str = "") -> paho.Client:
    """Return a client with paho's own socket, and with another id than the bridge's.

    A client with the bridge's id would end the connection of a running bridge.
    """
    client = _client(broker, client_id, broker.transport)
    if broker.transport == "websockets":
        client.ws_set_options(broker.path)
    if broker.tls is not None:
        client.tls_set_context(_NamedContext(broker))
    return client


class _NamedContext(ssl.SSLContext):
    """A TLS context that expects the server name of the settings in the certificate."""

    _broker: Broker

    def __new__(cls, broker: Broker) -> _NamedContext:
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._broker = broker
        return made

    def wrap_socket(  # type: ignore[override]  # what paho asks of it is all there
        self, sock: socket.socket, *, server_hostname: str, **given: Any
    ) -> ssl.SSLSocket:
        assert self._broker.tls is not None  # noqa: S101 - or there were no context
        name = self._broker.server_name or server_hostname
        context = self._broker.tls.context()
        return context.wrap_socket(sock, server_hostname=name, **given)


def _client(broker: Broker, client_id: str, transport: Any) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if broker.version == "5" else True,
        protocol=_VERSIONS[broker.version],
        transport=transport,
    )
    if broker.username:
        client.username_pw_set(broker.username, broker.password)
    return client
