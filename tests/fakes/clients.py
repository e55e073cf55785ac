"""How tests end their own MQTT clients."""

from __future__ import annotations

import paho.mqtt.client as paho


def end(client: paho.Client) -> None:
    """End the thread of *client*, and close its sockets.

    paho would leave two sockets to the garbage collector, which warns of them.
    """
    client.loop_stop()
    client._reset_sockets()  # noqa: SLF001 - paho has no public way
