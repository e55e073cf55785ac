"""One MQTT connection that tries what the bridge will need. For `check`."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from mqtt_bridge.settings import Broker

QUIET = 0.5  # seconds without another retained message


class Probe:
    """Used in a `with`; *within* is in seconds."""

    def __init__(self, broker: Broker, within: float) -> None:
        self._broker = broker
        self._within = within
        self._told: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        version = paho.MQTTv5 if broker.version == "5" else paho.MQTTv311
        # An id of its own: the bridge's would throw out a bridge that runs.
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=version
        )
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls is not None:
            client.tls_set_context(broker.tls.context())
        client.on_connect = lambda _c, _u, _f, reason, _p: self._tell("connect", reason)
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._tell("sub", codes)
        client.on_message = lambda _c, _u, message: self._tell("message", message.topic)
        self.refused = ""

    def __enter__(self) -> Probe:
        try:
            self._client.connect(self._broker.host, self._broker.port)
        except (OSError, ValueError) as error:
            self.refused = str(error)
            return self
        self._client.loop_start()
        reason = self._wait("connect")
        if reason is None:
            self.refused = "it accepts connections and does not answer"
        elif reason.is_failure:
            self.refused = str(reason)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def forbidden(self) -> list[str]:
        """The topics of the bridge that this user may not read."""
        base = self._broker.base
        names = [f"{base}/+/{kind}" for kind in ("events", "results", "tasks/+")]
        self._client.subscribe([(name, 1) for name in names])
        codes = self._wait("sub") or []
        return [
            name for name, code in zip(names, codes, strict=False) if code.is_failure
        ]

    def echo(self, topic: str) -> bool:
        """Whether what is written to *topic* can be read there."""
        self._client.subscribe(topic, 1)
        self._wait("sub")
        self._client.publish(topic, b"?", qos=1)
        return self._wait("message", lambda each: each == topic) is not None

    def printers(self) -> int:
        """How many printers the broker retains."""
        self._client.subscribe(f"{self._broker.base}/+/info", 1)
        self._wait("sub")
        found: set[str] = set()
        while True:
            topic = self._wait(
                "message", lambda each: each.endswith("/info"), within=QUIET
            )
            if topic is None:
                return len(found)
            found.add(topic)

    def _tell(self, kind: str, what: Any) -> None:
        self._told.put((kind, what))

    def _wait(
        self,
        kind: str,
        fits: Callable[[Any], bool] = lambda _: True,
        within: float | None = None,
    ) -> Any:
        deadline = time.monotonic() + (self._within if within is None else within)
        while (left := deadline - time.monotonic()) > 0:
            try:
                found, what = self._told.get(timeout=left)
            except queue.Empty:
                break
            if found == kind and fits(what):
                return what
        return None
