"""The connection to the broker: one thread, which alone touches paho.

What arrives goes into the inbox; what is to be sent is handed over and the
thread is rung for.
"""

from __future__ import annotations

import contextlib
import logging
import random
import selectors
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from mqtt_bridge.broker.buffered_socket import (
    BufferedContext,
    BufferedSocket,
    UntriedPahoError,
)
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.broker.packets import Publication
from mqtt_bridge.contract import MAX_PAYLOAD
from mqtt_bridge.settings import Broker

logger = logging.getLogger(__name__)

BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds, each +- 30 %
CONNECT_WITHIN = 10.0  # seconds for DNS, TCP, TLS and the broker's greeting
CLOSE_WITHIN = 1.5  # seconds
QUIET = 2.0  # seconds without a retained message after which none is awaited
MARK_WITHIN = 120.0  # seconds after which it is not, whatever comes
IN_FLIGHT = 1000  # publications that have not been acknowledged
READS = 128  # packets between turns: in a flood reading comes first
STATES = ("availability", "info", "meters", "summary", "tasks/+")
MOMENTS = ("results", "events")  # never retained, none may be lost

_VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


class Link:
    """Keeps a connection for as long as it lives, whatever the broker does.

    What comes goes into *inbox*, a portion of which *turn* reads; it must not raise.
    `on_connected` and `on_lost` are put there as calls, and `on_settled` once what
    the broker retains has arrived, on each connection.
    *printers* are slugs, or "+" for all; *wanted* tells by the slug.
    """

    def __init__(
        self,
        broker: Broker,
        inbox: Inbox,
        printers: Sequence[str],
        wanted: Callable[[str], bool],
        turn: Callable[[], None],
        on_connected: Callable[[], None],
        on_settled: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self._inbox = inbox
        self._printers = tuple(printers)
        self._wanted = wanted
        self._turn = turn
        self._on_connected = on_connected
        self._on_settled = on_settled
        self._on_lost = on_lost
        self._below = len(broker.base) + 1
        self._outbox: deque[Callable[[paho.Client], None]] = deque()
        self._bell, self._door = socket.socketpair()
        self._bell.setblocking(False)
        self._door.setblocking(False)
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="upkeep-link", daemon=True
        )
        self.connected = False
        self.reconnects = 0
        # The thread's.
        self._mark = f"{broker.base}/_bridge/{uuid.uuid4().hex}"
        self._marks: dict[bytes, Callable[[], None]] = {}
        self._quiet_since = 0.0
        self._marked_at = 0.0
        self._unmarked = False  # the log tells that marks do not come back
        self._in_flight = 0  # publications that wait for their PUBACK
        self._most = IN_FLIGHT
        self._subscribing: set[int] = set()
        self._reason = ""
        self._complaint = ""
        self._too_big: set[str] = set()

    # Any thread: none of these waits.

    def start(self) -> None:
        self._thread.start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send once, at QoS 1; dropped if there is no connection."""
        self._hand_over(lambda client: self._send(client, topic, payload))

    def fetch(self, printers: Sequence[str], then: Callable[[], None]) -> None:
        """Have the broker send again what it retains of *printers*, then call *then*.

        Some brokers drop a part of a large answer to one wide subscription.
        """
        filters = self._filters(printers, STATES)

        def ask(client: paho.Client) -> None:
            client.subscribe([(each, 1) for each in filters])
            self._await_mark(lambda: self._fetched(client, filters, then))

        self._hand_over(ask)

    def close(self) -> None:
        """Say goodbye and end the thread; a name look-up that hangs is left alone."""
        self._closing.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN)
        if not self._thread.is_alive():
            self._bell.close()
            self._door.close()

    def _hand_over(self, act: Callable[[paho.Client], None]) -> None:
        if self.connected:
            self._outbox.append(act)
            self._ring()

    def _ring(self) -> None:
        # A full doorbell already means "wake up"; a closed one, "too late".
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    # The thread. An exception would end it for good: each attempt is guarded.

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._attempt()
            except (OSError, ValueError) as error:
                self._reason = self._reason or str(error) or type(error).__name__
            except Exception as error:
                logger.exception("the link failed")
                self._reason = repr(error)
            failures = 0 if self.connected else failures + 1
            self._gone()
            if not self._closing.is_set():
                self._pause(BACK_OFF[min(failures, len(BACK_OFF) - 1)])

    def _attempt(self) -> None:
        self._reason = ""
        self._outbox.clear()
        self._marks.clear()
        self._in_flight = 0
        client = self._client()
        broker = self._broker
        try:
            client.connect(broker.host, broker.port, broker.keepalive)
            with selectors.DefaultSelector() as selector:
                self._stay(client, selector)
            if self._closing.is_set():
                client.disconnect()
        finally:
            connection = client.socket()
            if connection is not None:
                connection.close()

    def _client(self) -> paho.Client:
        # A new one each time: what an old one has in flight must not be sent
        # again, its sender has been told that there was no answer.
        broker = self._broker
        five = broker.version == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if five else True,
            protocol=_VERSIONS[broker.version],
        )
        client.connect_timeout = CONNECT_WITHIN
        client.max_inflight_messages_set(IN_FLIGHT)
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        tls = None if broker.tls is None else broker.tls.context()
        client.tls_set_context(BufferedContext(tls, five=five))
        client.on_connect = self._greeted
        client.on_disconnect = self._ended
        client.on_subscribe = self._subscribed
        client.on_publish = self._acknowledged
        client.on_message = self._received
        return client

    def _stay(self, client: paho.Client, selector: selectors.BaseSelector) -> None:
        connection: Any = client.socket()
        if not isinstance(connection, BufferedSocket):
            raise UntriedPahoError("paho wraps its socket in another way than expected")
        selector.register(connection, selectors.EVENT_READ)
        selector.register(self._door, selectors.EVENT_READ)
        greeted_by = time.monotonic() + CONNECT_WITHIN
        misc_at = 0.0
        while client.socket() is not None and not self._closing.is_set():
            now = time.monotonic()
            if not self.connected and now > greeted_by:
                raise TimeoutError("it accepts connections but does not answer")
            self._wait(client, connection, selector)
            _flush(client, connection)  # acknowledged, so that the broker goes on
            self._turn()
            while self._outbox and self._in_flight < self._most:
                self._outbox.popleft()(client)
            _flush(client, connection)
            if now >= misc_at:
                misc_at = now + 0.5
                client.loop_misc()
                self._give_up_marks(now)

    def _wait(
        self,
        client: paho.Client,
        connection: BufferedSocket,
        selector: selectors.BaseSelector,
    ) -> None:
        # Where the inbox is full TCP tells the broker to wait.
        reading = not (self._inbox.full or connection.clogged)
        events = selectors.EVENT_READ if reading else 0
        if connection.has_unsent:
            events |= selectors.EVENT_WRITE
        held = reading and connection.packets.has_packet
        if not events:
            return
        if selector.get_key(connection).events != events:
            selector.modify(connection, events)
        timeout = 0.0 if held or self._inbox.waiting else 0.5
        for key, mask in selector.select(timeout):
            if key.fileobj is self._door:
                with contextlib.suppress(BlockingIOError):
                    self._door.recv(4096)
            else:
                held = held or bool(mask & selectors.EVENT_READ)
        if held:
            self._read(client, connection)

    def _read(self, client: paho.Client, connection: BufferedSocket) -> None:
        if not connection.packets.has_packet:
            connection.fill()
        for _ in range(READS):
            said = connection.packets.publication()
            if said is not None:
                self._hear(said)
            elif connection.packets.has_packet or connection.ended:
                client.loop_read()
                if client.socket() is None:
                    return
            else:
                return

    def _gone(self) -> None:
        """Tell the bridge and, once until it is back, the log."""
        was, self.connected = self.connected, False
        reason = self._reason or "the connection ended"
        while self._inbox.waiting:
            self._turn()
        if was:
            self._inbox.call(lambda: self._on_lost(reason))
        if reason != self._complaint and not self._closing.is_set():
            level = logging.DEBUG if self._complaint else logging.WARNING
            self._complaint = self._complaint or reason
            logger.log(level, "no connection to %s: %s", self._broker.address, reason)

    def _pause(self, seconds: float) -> None:
        # A farm whose broker comes back must not arrive in one instant.
        self._closing.wait(seconds * random.uniform(0.7, 1.3))  # noqa: S311

    # Paho's callbacks, on this thread: inside the guard of `_run`.

    def _greeted(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, more: Any
    ) -> None:
        if reason.is_failure:
            self._reason = f"it refuses us: {reason}"
            client.disconnect()
            return
        # MQTT 5: paho does not look, and a strict broker would cut us off.
        self._most = min(IN_FLIGHT, getattr(more, "ReceiveMaximum", IN_FLIGHT))
        # Of an earlier connection: whether somebody is online is told anew.
        self._inbox.forget("availability")
        if self._complaint:
            logger.warning("connected to %s again", self._broker.address)
        else:
            logger.info("connected to %s", self._broker.address)
        self._complaint = ""
        self.connected = True
        self.reconnects += 1
        self._inbox.call(self._on_connected)
        filters = [
            *self._filters(self._printers, MOMENTS), self._mark,
            *self._filters(self._printers, STATES),
        ]  # fmt: skip
        self._subscribing = set()
        for first in range(0, len(filters), 100):
            part = [(each, 1) for each in filters[first : first + 100]]
            _, mid = client.subscribe(part)
            self._subscribing.add(mid or 0)

    def _subscribed(
        self, _client: paho.Client, _data: Any, mid: int, reasons: Any, _more: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            logger.error(
                "%s forbids a subscription below %s/: give this user the right to read",
                self._broker.address,
                self._broker.base,
            )
        if mid in self._subscribing:
            self._subscribing.discard(mid)
            if not self._subscribing:
                self._await_mark(lambda: self._inbox.call(self._on_settled))

    def _received(
        self, _client: paho.Client, _data: Any, message: paho.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # of nobody who keeps to the contract
        self._hear(Publication(topic, bytes(message.payload), message.retain))

    def _hear(self, said: Publication) -> None:
        try:
            if said.retained:
                self._quiet_since = time.monotonic()
            self._sort(*said)
        except Exception:
            logger.exception("a message was dropped")

    def _sort(self, topic: str, payload: bytes, retained: bool) -> None:
        printer, _, rest = topic[self._below :].partition("/")
        if topic == self._mark:
            then = self._marks.pop(payload, None)
            if then is not None:
                then()
        elif len(payload) > MAX_PAYLOAD:
            if topic not in self._too_big and len(self._too_big) < 1000:
                self._too_big.add(topic)
                logger.warning("%.200s: %d bytes are dropped", topic, len(payload))
        elif not self._wanted(printer):
            return
        elif rest not in MOMENTS:
            self._inbox.state(topic, payload)
        elif not retained:
            self._inbox.message(topic, payload)

    def _ended(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: Any, _more: Any
    ) -> None:
        if not self._reason:
            self._reason = str(reason)

    # Marks: a message to ourselves that follows what the broker sends before it.

    def _await_mark(self, then: Callable[[], None]) -> None:
        mark = uuid.uuid4().hex.encode()
        self._marks[mark] = then
        self._quiet_since = self._marked_at = time.monotonic()
        self._outbox.append(lambda client: self._send(client, self._mark, mark))

    def _give_up_marks(self, now: float) -> None:
        """Go on without marks: the broker may forbid them, or drop them."""
        quiet = now - self._quiet_since > QUIET and not self._inbox.full
        if not self._marks or not (quiet or now - self._marked_at > MARK_WITHIN):
            return
        if not self._unmarked:
            self._unmarked = True
            logger.warning(
                "%s does not send back what goes to %s/_bridge/: give this user the "
                "right to write there, or all that is retained may not have come",
                self._broker.address,
                self._broker.base,
            )
        waiting, self._marks = self._marks, {}
        for then in waiting.values():
            then()

    def _fetched(
        self, client: paho.Client, filters: list[str], then: Callable[[], None]
    ) -> None:
        if "+" in self._printers:
            client.unsubscribe(filters)
        self._inbox.call(then)

    def _filters(self, printers: Iterable[str], kinds: Iterable[str]) -> list[str]:
        base = self._broker.base
        return [f"{base}/{each}/{kind}" for kind in kinds for each in printers]

    # What is sent counts until the broker has it.

    def _send(self, client: paho.Client, topic: str, payload: bytes) -> None:
        self._in_flight += 1
        client.publish(topic, payload, qos=1)

    def _acknowledged(self, *_told: Any) -> None:
        self._in_flight -= 1


def _flush(client: paho.Client, connection: BufferedSocket) -> None:
    client.loop_write()
    connection.flush()
