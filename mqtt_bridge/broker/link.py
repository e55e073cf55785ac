"""The connection to the broker. Only its thread touches paho.

The thread puts arriving messages into the inbox. Other threads put their messages into
the outbox, and wake this thread with a byte in a socket pair.
"""

from __future__ import annotations

import logging
import random
import selectors
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho

from mqtt_bridge.broker import client as clients
from mqtt_bridge.broker.buffered_socket import (
    BufferedSocket,
    UntriedPahoError,
    check_paho,
)
from mqtt_bridge.broker.inbox import Inbox
from mqtt_bridge.broker.outbox import Outbox, Refused
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.broker.session import Listener, Session
from mqtt_bridge.settings import Broker

logger = logging.getLogger(__name__)

BACK_OFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds, each +- 30 %
SHORT = 10.0  # seconds; a shorter connection counts as a failure
SHORT_ONES = 3  # short connections in a row; another program may use the same client id
CONNECT_WITHIN = 10.0  # seconds for DNS, TCP, TLS and the broker's CONNACK
CLOSE_WITHIN = 1.5  # seconds
READS = 128  # packets between two turns: in a flood, reading is more urgent


class Link:
    """Keeps a connection to the broker, and makes it again whenever it is lost.

    *printers* are slugs, or "+" for all. *owns* returns for a slug whether this bridge
    has the printer. A main bridge and its standby know each other by *presence*.
    UntriedPahoError: the installed paho is too old or too new.
    """

    def __init__(
        self,
        broker: Broker,
        inbox: Inbox,
        printers: Sequence[str],
        owns: Callable[[str], bool],
        presence: Presence | None = None,
    ) -> None:
        check_paho()
        self._broker = broker
        self._inbox = inbox
        self._outbox = Outbox()
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="upkeep-link", daemon=True
        )
        self._session = Session(broker, inbox, self._outbox, printers, owns, presence)
        self._short = 0  # how many connections in a row ended soon

    @property
    def connected(self) -> bool:
        return self._session.connected

    @property
    def connects(self) -> int:
        """The number of connections until now."""
        return self._session.connects

    @property
    def lacks(self) -> tuple[str, ...]:
        """A sentence for each feature that does not work with this broker."""
        return self._session.lacks

    @property
    def wildcards(self) -> bool:
        """Whether the broker accepts wildcards in subscriptions."""
        return self._session.publisher.allowance.wildcards

    @property
    def lost_marks(self) -> bool:
        """Whether the broker's queue was full and lost a mark on this connection."""
        return self._session.marks.repeated

    @property
    def dropped(self) -> int:
        """The number of messages that were dropped because they were too long."""
        return self._session.receiver.dropped

    @property
    def left_out(self) -> list[str]:
        """The subscriptions that the broker does not allow."""
        subscriptions = self._session.subscriptions
        return [*subscriptions.left_out, *subscriptions.refused]

    @property
    def last_retained(self) -> float:
        """When the newest retained message arrived (monotonic)."""
        return self._session.marks.last_retained

    # Any thread may call these. None of them waits.

    def start(self, listener: Listener) -> None:
        self._session.listener = listener
        self._thread.start()

    def publish(self, topic: str, payload: bytes, refused: Refused) -> None:
        """Send a message once at QoS 1, or drop it if there is no connection.

        If the broker refuses it, a call of *refused* with the reason goes to the inbox.
        """
        self._hand_over(
            lambda client: self._session.publisher.send(client, topic, payload, refused)
        )

    def request(
        self, filters: Sequence[str], then: Callable[[], None], *, qos: int, keep: bool
    ) -> None:
        """Let the broker send the retained messages for *filters* again.

        After them, a call of *then* goes to the inbox. With *keep*, the link stays
        subscribed to these filters.
        """
        self._hand_over(
            lambda client: self._session.request(
                client, filters, then, qos=qos, keep=keep
            )
        )

    def close(self) -> None:
        """Disconnect and end the thread, but do not wait for a name look-up."""
        self._closing.set()
        self._outbox.ring()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN)
        if not self._thread.is_alive():
            self._outbox.close()

    def _hand_over(self, act: Callable[[paho.Client], None]) -> None:
        if self.connected:
            self._outbox.append(act)

    # The thread. An exception would end it for ever, so each attempt is guarded.

    def _run(self) -> None:
        failures = 0
        session = self._session
        while not self._closing.is_set():
            try:
                self._attempt()
            except (OSError, ValueError) as error:
                session.reason = session.reason or str(error) or type(error).__name__
            except Exception as error:
                logger.exception("the link failed")
                session.reason = repr(error)
            lasted = time.monotonic() - session.since
            failures = 0 if session.connected and lasted > SHORT else failures + 1
            self._count_short(lasted)
            self._lost()
            if not self._closing.is_set():
                self._pause(BACK_OFF[min(failures, len(BACK_OFF) - 1)])

    def _attempt(self) -> None:
        self._outbox.clear()
        broker, session = self._broker, self._session
        # Each connection has a new client. An old client would send its unacknowledged
        # messages again, although their senders already have the answer "no result".
        client = clients.new_client(broker, client_id=broker.client_id)
        client.connect_timeout = CONNECT_WITHIN
        session.begin(client)
        try:
            # This is the keepalive of the last CONNACK. Some versions of paho obey it
            # only on the next connection.
            longest = session.publisher.allowance.keepalive or broker.keepalive
            keepalive = min(broker.keepalive, longest)
            clients.connect(client, broker, keepalive)
            with selectors.DefaultSelector() as selector:
                self._stay(client, selector)
            if self._closing.is_set():
                client.disconnect()
        finally:
            connection = client.socket()
            if connection is not None:
                connection.close()

    def _stay(self, client: paho.Client, selector: selectors.BaseSelector) -> None:
        connection: Any = client.socket()
        if not isinstance(connection, BufferedSocket):
            raise UntriedPahoError("this paho wraps its socket in an unknown way")
        selector.register(connection, selectors.EVENT_READ)
        selector.register(self._outbox.door, selectors.EVENT_READ)
        answer_by = time.monotonic() + CONNECT_WITHIN
        misc_at = 0.0
        while client.socket() is not None and not self._closing.is_set():
            now = time.monotonic()
            if not self.connected and now > answer_by:
                raise TimeoutError("it accepts connections, but it does not answer")
            self._wait(client, connection, selector)
            _flush(client, connection)  # the broker waits for acknowledgements
            self._session.listener.turn()
            self._session.send(client)
            _flush(client, connection)
            if now >= misc_at:
                misc_at = now + 0.5
                client.loop_misc()
                self._session.tick(now)

    def _wait(
        self,
        client: paho.Client,
        connection: BufferedSocket,
        selector: selectors.BaseSelector,
    ) -> None:
        # With a full inbox nothing is read, and so TCP makes the broker wait.
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
            if key.fileobj is self._outbox.door:
                self._outbox.heard()
            else:
                held = held or bool(mask & selectors.EVENT_READ)
        if held:
            self._read(client, connection)

    def _read(self, client: paho.Client, connection: BufferedSocket) -> None:
        packets, receiver = connection.packets, self._session.receiver
        if not packets.has_packet:
            connection.fill()
        for _ in range(READS):
            publication = packets.publication()
            if publication is not None:
                receiver.receive(publication)
            elif packets.has_packet or connection.ended:
                client.loop_read()
                if client.socket() is None:
                    return
            else:
                break
        while packets.oversized:
            receiver.drop(*packets.oversized.pop())

    def _lost(self) -> None:
        """Tell the bridge, and log the loss once until the broker is back."""
        session = self._session
        was_connected, reason = session.connected, session.reason
        reason = reason or "the connection ended"
        session.end()
        while self._inbox.waiting:
            session.listener.turn()
        if was_connected:
            self._inbox.call(lambda: session.listener.on_lost(reason))
        if reason != session.complaint and not self._closing.is_set():
            level = logging.DEBUG if session.complaint else logging.WARNING
            session.complaint = session.complaint or reason
            logger.log(level, "no connection to %s: %s", self._broker.address, reason)

    def _count_short(self, lasted: float) -> None:
        if not self.connected or self._closing.is_set():
            return
        self._short = self._short + 1 if lasted < SHORT else 0
        if self._short == SHORT_ONES:
            ours = self._broker.client_id
            why = "perhaps it is started again and again"
            if ours:
                why = f"perhaps another client has the same broker.client_id ({ours!r})"
            logger.warning(
                "%s ended %d connections within %g s each: %s, or it does not allow "
                "something that the bridge does",
                self._broker.address, SHORT_ONES, SHORT, why,
            )  # fmt: skip

    def _pause(self, seconds: float) -> None:
        # Several bridges must not connect at the same moment when their broker is back.
        self._closing.wait(seconds * random.uniform(0.7, 1.3))  # noqa: S311


def _flush(client: paho.Client, connection: BufferedSocket) -> None:
    client.loop_write()
    connection.flush()
