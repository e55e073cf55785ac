"""How tests end the MQTT clients of their own."""

from __future__ import annotations

import paho.mqtt.client as paho


def end(client: paho.Client) -> None:
    """End *client*'s thread, and close what it has open.

    paho would leave two sockets to the garbage collector, which complains.
    """
    client.loop_stop()
    client._reset_sockets()  # noqa: SLF001 - paho's has no other way
