"""A standby's connection to the broker. It is only for the main bridge's presence."""

from __future__ import annotations

import logging
import time
from typing import Any

import paho.mqtt.client as paho

from mqtt_bridge.broker.client import plain_client
from mqtt_bridge.broker.presence import LEAVING, Presence
from mqtt_bridge.settings import Broker

logger = logging.getLogger(__name__)

PAUSES = (1, 15)  # the shortest and the longest pause between two attempts, in seconds


class Watcher:
    """Keeps *presence* up to date from `start` to `close`."""

    def __init__(self, broker: Broker, presence: Presence) -> None:
        self._broker = broker
        self._presence = presence
        name = f"{broker.client_id}-watch" if broker.client_id else ""
        self._client = plain_client(broker, name)
        self._client.reconnect_delay_set(*PAUSES)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._lost
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received

    def start(self) -> None:
        """Begin to connect, for as long as it takes."""
        self._client.connect_async(
            self._broker.host, self._broker.port, self._broker.keepalive
        )
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say_left(self) -> None:
        """Tell the main bridge that its place is free."""
        self._client.publish(self._presence.own, LEAVING, 1)

    # paho's thread calls these.

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _more: Any
    ) -> None:
        if reason.is_failure:
            logger.error("%s refuses a standby: %s", self._broker.address, reason)
            return
        client.subscribe(self._presence.other, 1)

    def _subscribed(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: Any, _more: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            logger.error(
                "%s refuses the subscription to %s, so the standby cannot see the main "
                "bridge. Give this user the right to read this topic",
                self._broker.address, self._presence.other,
            )  # fmt: skip
            return
        self._presence.connected(time.monotonic())

    def _lost(self, *_more: Any) -> None:
        self._presence.lost()

    def _received(
        self, _client: paho.Client, _data: Any, message: paho.MQTTMessage
    ) -> None:
        self._presence.hear(bytes(message.payload), time.monotonic())
