"""Makes a paho client for one connection, by the settings and the broker's limits."""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ..broker import Broker, tls_context
from .allowed import IN_FLIGHT, Allowed
from .intake import LARGEST_INFO

CONNECT_WITHIN = 10.0  # seconds for DNS, TCP, TLS and the broker's CONNACK
VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


def make(broker: Broker, will_topic: str, allowed: Allowed) -> paho.Client:
    """Make a client with its last will. It is not connected yet."""
    five = broker.version == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if five else True,
        protocol=VERSIONS[broker.version],
        transport="tcp" if broker.path is None else "websockets",
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_WITHIN
    if broker.path is not None:
        client.ws_set_options(path=broker.path)
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.tls:
        client.tls_set_context(tls_context(broker))
    client.will_set(will_topic, b"offline", qos=allowed.qos, retain=allowed.retain)
    return client


def connect(client: paho.Client, broker: Broker) -> None:
    """Open the connection, and send an MQTT 5 broker the client's own limits."""
    properties = None
    if broker.version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = IN_FLIGHT
        properties.MaximumPacketSize = LARGEST_INFO + 1024
    client.connect(broker.host, broker.port, broker.keepalive, properties=properties)
