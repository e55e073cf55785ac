"""One connection to the broker, from its begin to its end.

It runs in the link's thread. Only that thread touches paho.
"""

from __future__ import annotations

import logging
import select
import time
from typing import Any, Callable, NamedTuple, Sequence

from ..broker import Broker
from ..language import tr
from . import client as clients
from . import reasons
from .allowed import IN_FLIGHT, Allowed, batches
from .outbox import Message, Outbox
from .pace import Pace
from .subscriptions import Subscriptions

TICK = 1.0  # seconds between two checks of the keepalive
FAREWELL_WITHIN = 1.0  # seconds for the last messages


class Listener(NamedTuple):
    """Callbacks of a session, in the link's thread."""

    welcome: Callable[[], None]
    receive: Callable[[str, bytes, bool], None]
    notice: Callable[[str], None]  # gets a sentence about a missing feature


class Knowledge:
    """The limits of a broker that earlier connections have shown."""

    def __init__(self) -> None:
        self.allowed = Allowed()
        self.careful = False  # whether messages are sent one by one
        self.left_out: set[str] = set()  # topics and filters that the broker refuses

    def cut(self, waiting: Sequence[Sequence[str]]) -> str:
        """Learn from a connection that was cut. *waiting* had no answer.

        MQTT 3.1.1 has no other way to refuse a message. If a connection is cut while
        messages wait for their acknowledgements, the next one sends them one by one. If
        that is cut too, the waiting message is left out. Each of *waiting* has the
        topics of one packet. Return what is left out from now on, or "".
        """
        opened = ""
        if self.careful and len(waiting) == 1 and len(waiting[0]) == 1:
            opened = waiting[0][0]
            self.left_out.add(opened)
        self.careful = bool(waiting)
        return opened


class Session:
    """Connects, subscribes, sends and receives until the connection ends."""

    def __init__(
        self,
        number: int,
        broker: Broker,
        will_topic: str,
        subscriptions: Subscriptions,
        outbox: Outbox,
        pace: Pace,
        knowledge: Knowledge,
        listener: Listener,
    ) -> None:
        self._number = number
        self._broker, self._will_topic = broker, will_topic
        self._subscriptions = subscriptions
        self._outbox, self._pace, self._knowledge = outbox, pace, knowledge
        self._listener = listener
        self.reason = ""  # why the session ended, as the end of a sentence
        self.ready_at: float | None = None
        self.is_greeted = False
        self.was_taken_over = False
        self._released = False
        self._batches: list[tuple[str, ...]] = []
        self._unanswered: tuple[int | None, tuple[str, ...]] | None = None
        self._unacknowledged: dict[int, Message] = {}
        self._most = IN_FLIGHT

    @property
    def lived(self) -> float:
        """Return the seconds since the subscription to all filters."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    def run(
        self,
        is_closing: Callable[[], bool],
        say_offline: Callable[[], bool],
        tend: Callable[[], None],
    ) -> None:
        """Run until the connection ends, or *is_closing*. *tend* is called often."""
        client = self._client = clients.make(
            self._broker, self._will_topic, self._knowledge.allowed
        )
        client.on_connect = self._greeted
        client.on_disconnect = self._ended
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_publish = self._acknowledged
        try:
            clients.connect(client, self._broker)
            greeted_by = time.monotonic() + clients.CONNECT_WITHIN
            while client.socket() is not None and not is_closing():
                if self.ready_at is None and time.monotonic() > greeted_by:
                    raise TimeoutError
                self._wait(TICK)
                self._flush()
                client.loop_misc()
                tend()
            if is_closing() and client.socket() is not None:
                self._farewell(say_offline())
        finally:
            self._finish()

    def _finish(self) -> None:
        self._outbox.keep(self._unacknowledged.values())
        # No DISCONNECT is sent, so that the broker publishes the last will.
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def cut(self) -> str:
        """Learn from the end of this session; return what is left out, or ""."""
        waiting = [[each.topic] for each in self._unacknowledged.values()]
        if self._unanswered is not None:
            waiting.append(list(self._unanswered[1]))
        return self._knowledge.cut(waiting)

    def hold(self) -> None:
        """Send as many messages at once as the broker allows, since all works."""
        self._knowledge.careful = False
        self._most = self._knowledge.allowed.in_flight

    def explain(self, error: BaseException) -> str:
        """Return why the session failed, as the end of a sentence."""
        if isinstance(error, TimeoutError) and not self.is_greeted:
            connected = self._client.socket() is not None
            return (
                reasons.silent(self._broker)
                if connected
                else (reasons.explain(error, self._broker))
            )
        return reasons.explain(error, self._broker)

    # Waiting and sending

    def _wait(self, most: float) -> None:
        client = self._client
        connection: Any = client.socket()
        if connection is None:
            return  # the connection ended while something was sent
        rest = self._pace.rest()
        pending = getattr(connection, "pending", None)  # TLS may have unread bytes
        is_pending = rest <= 0.0 and pending is not None and bool(pending())
        timeout = 0.0 if is_pending else min(most, rest) if rest > 0.0 else most
        reads = [self._outbox.door] + ([] if rest > 0.0 else [connection])
        writes = [connection] if client.want_write() else []
        readable, writable, _ = select.select(reads, writes, [], timeout)
        if self._outbox.door in readable:
            self._outbox.answer_bell()
        if connection in readable or is_pending:
            client.loop_read()
        if connection in writable:
            client.loop_write()

    def _flush(self) -> None:
        """Give paho the reactor's messages for this connection."""
        while len(self._unacknowledged) < self._most:
            message, self._released = self._outbox.take(self._number, self._released)
            if message is None:
                return
            self._send(message)

    def _send(self, message: Message) -> None:
        allowed = self._knowledge.allowed
        if message.topic in self._knowledge.left_out:
            return
        too_large = allowed.too_large(message.topic, message.payload)
        if too_large:
            self._listener.notice(too_large)
            return
        info = self._client.publish(
            message.topic,
            message.payload,
            qos=allowed.qos,
            retain=message.retain and allowed.retain,
        )
        if allowed.qos:
            self._unacknowledged[info.mid] = message

    def _farewell(self, say_offline: bool) -> None:
        """Send the last messages and `offline`, wait for the answers, and disconnect.

        If the broker is too slow for that, the last will also says `offline`.
        """
        client = self._client
        if self.ready_at is not None and say_offline:
            topic = self._will_topic
            self._outbox.put(Message(topic, b"offline", True, False, self._number))
            until = time.monotonic() + FAREWELL_WITHIN
            while client.socket() is not None:
                self._flush()
                if not self._unacknowledged:
                    break
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._wait(left)
        client.disconnect()

    # paho calls these in the same thread.

    def _greeted(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason: Any,
        properties: Any = None,
    ) -> None:
        self.is_greeted = True
        knowledge = self._knowledge
        if reason.is_failure:
            self.reason = reasons.reason(reason.value)
            if reason.value == reasons.RETAIN_NOT_SUPPORTED:
                knowledge.allowed = knowledge.allowed._replace(retain=False)
            elif reason.value == reasons.QOS_NOT_SUPPORTED:
                knowledge.allowed = knowledge.allowed._replace(qos=0)
            client.disconnect()
            return
        allowed = knowledge.allowed = Allowed.of(properties, knowledge.allowed)
        for text in allowed.lacks():
            self._listener.notice(text)
        # paho does not check the limit, and a strict broker would end the connection.
        self._most = 1 if knowledge.careful else allowed.in_flight
        for filters in self._subscriptions[:2]:
            wanted = [each for each in filters if each not in knowledge.left_out]
            self._batches += batches(
                wanted, self._subscriptions.instead, allowed, knowledge.careful
            )
        self._subscribe()

    def _subscribe(self) -> None:
        """Send the next SUBSCRIBE, or note that none is left."""
        self._unanswered = None
        if self._batches:
            filters = self._batches.pop(0)
            _, mid = self._client.subscribe([(each, 1) for each in filters])
            self._unanswered = mid, filters
        elif self.ready_at is None:
            self.ready_at = time.monotonic()
            self._listener.welcome()

    def _subscribed(
        self, client: Any, userdata: Any, mid: int, codes: Any, properties: Any = None
    ) -> None:
        if self._unanswered is None or mid != self._unanswered[0]:
            return
        for name, code in zip(self._unanswered[1], codes):
            if code.is_failure:
                self._refused(name, code.value)
        self._subscribe()

    def _refused(self, name: str, code: int) -> None:
        """Continue without a subscription. Only its own messages are missing."""
        exact = self._subscriptions.instead.get(name)
        if exact:
            known = self._knowledge.allowed
            self._batches += batches(exact, {}, known, self._knowledge.careful)
            return
        self._listener.notice(
            tr(
                "The MQTT broker refuses the subscription to {topic}: {why}. What"
                " arrives there is not read.",
                topic=name,
                why=reasons.reason(code),
            )
        )

    def _received(self, client: Any, userdata: Any, message: Any) -> None:
        self._pace.spend(len(message.payload))
        try:
            self._listener.receive(message.topic, message.payload, message.retain)
        except Exception:
            logging.exception("maintain: dropped a message to %s", message.topic)

    def _acknowledged(
        self,
        client: Any,
        userdata: Any,
        mid: int,
        reason: Any = None,
        properties: Any = None,
    ) -> None:
        message = self._unacknowledged.pop(mid, None)
        if message is not None and reason is not None and reason.is_failure:
            self._listener.notice(
                tr(
                    "The MQTT broker refuses what is published to {topic}: {why}.",
                    topic=message.topic,
                    why=reasons.reason(reason.value),
                )
            )

    def _ended(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason: Any,
        properties: Any = None,
    ) -> None:
        if self.reason:
            return
        if flags.is_disconnect_packet_from_server:
            self.reason = reasons.reason(reason.value)
            self.was_taken_over = reason.value == reasons.TAKEN_OVER
        elif not self.is_greeted:
            self.reason = reasons.silent(self._broker)
        else:
            self.reason = tr(reasons.ENDED)
