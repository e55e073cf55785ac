"""The connection to the MQTT broker: one thread, which alone touches paho.

The reactor hands over bytes and rings; what arrives is posted to the reactor.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import random
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

KEPT = 256  # events and results that wait for an absent broker
OUTBOX = 20_000  # messages handed over and not yet taken: more is a runaway
IN_FLIGHT = 20  # messages that the broker has not acknowledged
CONNECT_WITHIN = 10.0  # seconds for DNS, TCP, TLS and the broker's greeting
CLOSE_WITHIN = 2.0  # seconds
FAREWELL_WITHIN = 1.0  # seconds
BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds, each +- 30 %
TICK = 1.0  # seconds between looks at keepalive

VERSIONS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


class Broker(NamedTuple):
    """Where the broker is and how we present ourselves."""

    host: str
    client_id: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca: str | None = None  # paths; None: the system's authorities
    certificate: str | None = None
    key: str | None = None
    version: str = "3.1.1"
    keepalive: int = 30  # seconds

    def __repr__(self) -> str:
        # The password must not reach a log by way of a traceback.
        return f"Broker({self.host}:{self.port})"


def credentials(path: str) -> tuple[str, str | None]:
    """Read ``username:`` and ``password:`` lines; ValueError tells the fix."""
    where = Path(path).expanduser()
    try:
        text = where.read_text(encoding="utf-8-sig")  # Windows writes a mark first
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{where} cannot be read ({error})") from None
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, mark, value = line.partition(":")
        if mark and not line.lstrip().startswith(("#", ";", "[")):
            found[name.strip().lower()] = value.strip()
    if not found.get("username"):
        raise ValueError(
            f"{where} has no line 'username: NAME' (and one 'password: WORD')"
        )
    return found["username"], found.get("password")


def _tls_context(broker: Broker) -> Any:
    """The TLS settings. OSError where this Python knows no TLS."""
    try:
        # A Python for a small system may lack it, and only TLS needs it.
        import ssl  # noqa: PLC0415
    except ImportError as error:
        raise OSError(
            f"the Python that runs Klippy has no 'ssl' ({error}), which 'mqtt_tls'"
            " needs: install it, or use a broker without TLS"
        ) from None
    context = ssl.create_default_context(cafile=broker.ca)
    if broker.certificate is not None:
        context.load_cert_chain(broker.certificate, broker.key)
    return context


class _Message(NamedTuple):
    topic: str
    payload: bytes
    retain: bool
    keep: bool
    connection: int


_RELEASE = ""  # no topic is empty


class Link:
    """Keeps a connection for as long as it lives, whatever the broker does.

    ``first`` is subscribed before ``then``, and ``on_connected`` follows when
    both are confirmed: what the broker retains under ``first`` came before it.
    The callbacks are posted to the reactor with ``post``, which must be safe
    from any thread and must not raise.
    """

    def __init__(
        self,
        broker: Broker,
        will_topic: str,
        first: Sequence[str],
        then: Sequence[str],
        post: Callable[[Callable[[], None]], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[str], None],
        on_message: Callable[[str, bytes, bool], None],
    ) -> None:
        self._broker = broker
        self._will_topic = will_topic
        self._filters = (tuple(first), tuple(then))
        self._post = post
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_message = on_message
        # Shared with the thread: deques and a bell, whose operations are atomic.
        self._outbox: collections.deque[_Message] = collections.deque()
        self._bell, self._door = socket.socketpair()
        self._bell.setblocking(False)
        self._door.setblocking(False)
        self._closing = threading.Event()
        self._say_offline = True
        self._thread = threading.Thread(
            target=self._run, name="maintain-link", daemon=True
        )
        # The reactor's.
        self.connected = False
        self._connection = 0
        # The thread's.
        self._turn = 0
        self._unanswered: set[int | None] = set()
        self._ready = False
        self._released = False
        self._reason = ""
        self._missing = False  # and said so
        self._unacknowledged: dict[int, _Message] = {}
        self._most = IN_FLIGHT
        self._kept: collections.deque[_Message] = collections.deque()

    # Reactor: none of these waits.

    def start(self) -> None:
        self._thread.start()

    def publish(
        self, topic: str, payload: bytes, retain: bool = False, keep: bool = False
    ) -> None:
        """Send at QoS 1; while there is no connection only what is to *keep* stays.

        What is kept is sent again on later connections, after `release`, until
        the broker has it: events and results, which nobody could make anew.
        """
        if not (self.connected or keep) or len(self._outbox) >= OUTBOX:
            return
        self._outbox.append(_Message(topic, payload, retain, keep, self._connection))
        self._ring()

    def release(self) -> None:
        """Say that the snapshot is out: what was kept may follow."""
        self._outbox.append(_Message(_RELEASE, b"", False, False, self._connection))
        self._ring()

    def close(self, say_offline: bool = True) -> None:
        """Say ``offline``, unless the name is another's, goodbye, and end the thread.

        Waits at most 2 s; a thread that hangs in a name look-up ends by itself.
        """
        self._say_offline = say_offline
        self._closing.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WITHIN)
        self.connected = False
        if not self._thread.is_alive():
            self._bell.close()
            self._door.close()

    def _ring(self) -> None:
        # A full doorbell already means "wake up"; a closed one, "too late".
        with contextlib.suppress(OSError):
            self._bell.send(b"\0")

    # The thread. An exception here would end it, and with it the link, for
    # good: each attempt is guarded as a whole.

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            self._ready = False
            try:
                self._attempt()
            except (OSError, ValueError) as error:
                self._reason = str(error) or type(error).__name__
            except Exception as error:
                logging.exception("maintain: the MQTT link failed")
                self._reason = repr(error)
            failures = 0 if self._ready else failures + 1
            if self._closing.is_set():
                return
            self._gone()
            self._pause(failures)

    def _attempt(self) -> None:
        """Connect and stay until the connection ends or `close` asks for the end."""
        self._turn += 1
        self._reason = ""
        self._released = False
        client = self._client()
        try:
            client.connect(self._broker.host, self._broker.port, self._broker.keepalive)
            self._stay(client)
            if self._closing.is_set() and client.socket() is not None:
                self._farewell(client)
        finally:
            self._keep_unacknowledged()
            # Without a goodbye, so that the broker tells our last will.
            connection = client.socket()
            if connection is not None:
                connection.close()

    def _client(self) -> paho.Client:
        broker = self._broker
        five = broker.version == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if five else True,
            protocol=VERSIONS[broker.version],
        )
        client.connect_timeout = CONNECT_WITHIN
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            client.tls_set_context(_tls_context(broker))
        client.will_set(self._will_topic, b"offline", qos=1, retain=True)
        client.on_connect = self._greeted
        client.on_disconnect = self._ended
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_publish = self._acknowledged
        return client

    def _stay(self, client: paho.Client) -> None:
        greeted_by = time.monotonic() + CONNECT_WITHIN
        while client.socket() is not None and not self._closing.is_set():
            if not self._ready and time.monotonic() > greeted_by:
                raise TimeoutError("the broker accepts connections but does not answer")
            self._wait(client)
            self._flush(client)
            client.loop_misc()

    def _wait(self, client: paho.Client, most: float = TICK) -> None:
        connection: Any = client.socket()
        writes = [connection] if client.want_write() else []
        pending = getattr(connection, "pending", None)  # TLS may hold read bytes
        timeout = 0.0 if pending is not None and pending() else most
        readable, writable, _ = select.select(
            [connection, self._door], writes, [], timeout
        )
        if self._door in readable:
            with contextlib.suppress(BlockingIOError):
                self._door.recv(4096)
        if connection in readable or timeout == 0.0:
            client.loop_read()
        if connection in writable:
            client.loop_write()

    def _flush(self, client: paho.Client) -> None:
        """Hand to paho what the reactor has put out for this connection."""
        while self._outbox and len(self._unacknowledged) < self._most:
            message = self._outbox.popleft()
            if not message.keep and message.connection != self._turn:
                continue  # it was for an earlier connection
            if message.topic == _RELEASE:
                self._released = True
                self._outbox.extendleft(reversed(self._kept))
                self._kept.clear()
            elif message.keep and not self._released:
                self._keep(message)
            else:
                self._send(client, message)

    def _send(self, client: paho.Client, message: _Message) -> None:
        info = client.publish(
            message.topic, message.payload, qos=1, retain=message.retain
        )
        self._unacknowledged[info.mid] = message

    def _keep(self, message: _Message) -> None:
        if len(self._kept) >= KEPT:
            lost = self._kept.popleft()
            logging.warning("maintain: no broker, dropped a message to %s", lost.topic)
        self._kept.append(message)

    def _keep_unacknowledged(self) -> None:
        waiting = [each for each in self._unacknowledged.values() if each.keep]
        self._unacknowledged.clear()
        later = list(self._kept)
        self._kept.clear()
        for message in waiting + later:
            self._keep(message)

    def _gone(self) -> None:
        """Tell the reactor and the log, once until there is a connection again."""
        if self._missing:
            return
        self._missing = True
        reason = self._reason or "the connection ended"
        logging.warning(
            "maintain: no connection to the MQTT broker %s:%s: %s; trying again",
            self._broker.host,
            self._broker.port,
            reason,
        )
        self._post(lambda: self._lost(reason))

    def _lost(self, reason: str) -> None:
        self.connected = False
        self._on_lost(reason)

    def _pause(self, failures: int) -> None:
        pause = BACK_OFF[min(failures, len(BACK_OFF) - 1)]
        # A farm whose broker comes back must not arrive in one instant.
        until = time.monotonic() + pause * random.uniform(0.7, 1.3)  # noqa: S311
        while not self._closing.is_set():
            left = until - time.monotonic()
            if left <= 0:
                return
            if select.select([self._door], [], [], left)[0]:
                with contextlib.suppress(BlockingIOError):
                    self._door.recv(4096)

    def _farewell(self, client: paho.Client) -> None:
        """Send what is left and `offline`, see them acknowledged, and disconnect.

        Where the broker is too slow for that, its last will says the same.
        """
        if self._ready and self._say_offline:
            last = _Message(self._will_topic, b"offline", True, False, self._turn)
            self._outbox.append(last)
            until = time.monotonic() + FAREWELL_WITHIN
            while client.socket() is not None:
                self._flush(client)
                if not self._unacknowledged:
                    break
                left = until - time.monotonic()
                if left <= 0:
                    return
                self._wait(client, left)
        client.disconnect()

    # Paho's callbacks, in the same thread, inside `_attempt`'s guard.

    def _greeted(self, client, userdata, flags, reason, properties=None):
        if reason.is_failure:
            self._reason = f"the broker refuses us: {reason}"
            client.disconnect()
            return
        # MQTT 5: paho does not look, and a strict broker would cut us off.
        self._most = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))
        self._subscribe(client, 0)

    def _subscribe(self, client: paho.Client, stage: int) -> None:
        self._stage = stage
        _, mid = client.subscribe([(each, 1) for each in self._filters[stage]])
        self._unanswered = {mid}

    def _subscribed(self, client, userdata, mid, reasons, properties=None):
        if mid not in self._unanswered:
            return
        refused = [
            name
            for name, reason in zip(self._filters[self._stage], reasons)
            if reason.is_failure
        ]
        if refused:
            self._reason = "the broker forbids to subscribe to " + ", ".join(refused)
            client.disconnect()
        elif self._stage == 0 and self._filters[1]:
            self._subscribe(client, 1)
        else:
            self._welcome()

    def _welcome(self) -> None:
        self._ready = True
        if self._missing:
            self._missing = False
            logging.info(
                "maintain: connected to the MQTT broker %s:%s again",
                self._broker.host,
                self._broker.port,
            )
        turn = self._turn
        self._post(lambda: self._arrived(turn))

    def _arrived(self, turn: int) -> None:
        self.connected = True
        self._connection = turn
        self._on_connected()

    def _received(self, client, userdata, message):
        topic, payload, retained = message.topic, message.payload, message.retain
        self._post(lambda: self._on_message(topic, payload, retained))

    def _acknowledged(self, client, userdata, mid, reason=None, properties=None):
        self._unacknowledged.pop(mid, None)

    def _ended(self, client, userdata, flags, reason, properties=None):
        if not self._reason:
            self._reason = str(reason)
