"""A broker of our own that follows `Rules`, and does what only cloud brokers do."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
import threading
from collections.abc import Callable

CONNECT, PUBLISH, PUBACK, SUBSCRIBE = 0x10, 0x30, 0x40, 0x80
UNSUBSCRIBE, PING, DISCONNECT = 0xA0, 0xC0, 0xE0


@dataclasses.dataclass
class Rules:
    """What the broker allows. *properties* are those of MQTT 5's CONNACK."""

    properties: bytes = b""
    # a filter's SUBACK code, refused from 0x80 on
    refuses: Callable[[str], int] = lambda _: 0
    cuts: Callable[[str], bool] = lambda _: False  # ends the connection at this filter
    # a topic's PUBACK code, refused from 0x80 on
    denies: Callable[[str], int] = lambda _: 0
    # ends the connection at a PUBLISH to this topic
    ends_at: Callable[[str], bool] = lambda _: False
    most_packet: int | None = None  # bytes: a longer PUBLISH ends the connection
    most_filters: int | None = None  # filters in one SUBSCRIBE: more end the connection
    retains: bool = True
    retained_for_wildcards: bool = True
    late: bool = False  # retained messages are sent after the next publication
    # a topic, and how often it was published before
    drops: Callable[[str, int], bool] = lambda *_: False
    kick: int | None = None  # sends a DISCONNECT with this reason after each SUBSCRIBE


class ScriptedBroker:
    """A broker with those parts of MQTT 3.1.1 and 5 that bridge and extra need."""

    name = "scripted"

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.retained: dict[str, bytes] = {}
        self.connects: list[dict[str, object]] = []  # what each CONNECT contained
        self.subscribes: list[list[str]] = []  # the filters of each SUBSCRIBE
        self.published: list[tuple[str, bytes]] = []
        self.pings = 0
        self.news = threading.Condition()
        self._drops: dict[str, int] = {}
        self._clients: set[_Client] = set()
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._begin(self._accept)

    def __enter__(self) -> ScriptedBroker:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for client in list(self._clients):
            client.cut()
        for thread in self._threads:
            thread.join(5)

    def wait_for(self, what: Callable[[], bool], seconds: float = 20.0) -> None:
        with self.news:
            assert self.news.wait_for(what, seconds), (
                "the broker did not see it in time"
            )

    def retain(self, messages: dict[str, bytes]) -> None:
        self.retained |= messages

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Accept a publication, from a client or from the test."""
        if retain and self.rules.retains:
            if payload:
                self.retained[topic] = payload
            else:
                self.retained.pop(topic, None)
        for client in list(self._clients):
            client.deliver(topic, payload)

    def dropped(self, topic: str) -> bool:
        before = self._drops.get(topic, 0)
        self._drops[topic] = before + 1
        return self.rules.drops(topic, before)

    def _begin(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        client = _Client(self, connection)
        try:
            with connection:
                client.serve()
        except (OSError, ValueError):
            pass
        finally:
            self._clients.discard(client)

    def joined(self, client: _Client) -> None:
        self._clients.add(client)


class _Client:
    def __init__(self, broker: ScriptedBroker, connection: socket.socket) -> None:
        self._broker = broker
        self._connection = connection
        self._lock = threading.Lock()
        self._five = False
        self._filters: dict[str, int] = {}
        self._mid = 0
        self._held: list[tuple[str, bytes, int, bool]] = []

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        handlers = {
            CONNECT: self._on_connect, PUBLISH: self._on_publish,
            SUBSCRIBE: self._on_subscribe, UNSUBSCRIBE: self._on_unsubscribe,
            PING: self._on_ping, PUBACK: lambda *_: None,
        }  # fmt: skip
        while True:
            first, body = self._packet()
            if first & 0xF0 == DISCONNECT:
                return
            handlers[first & 0xF0](first, body)
            with self._broker.news:
                self._broker.news.notify_all()

    def deliver(self, topic: str, payload: bytes) -> None:
        qos = [qos for each, qos in self._filters.items() if matches(each, topic)]
        if qos and not self._broker.dropped(topic):
            self._publish(topic, payload, max(qos), retained=False)
        held, self._held = self._held, []
        for each in held:
            self._publish(*each[:3], retained=each[3])

    # The packets of a client

    def _on_connect(self, _first: int, body: bytes) -> None:
        name = 2 + int.from_bytes(body[:2], "big")
        level, flags, keepalive = body[name], body[name + 1], body[name + 2 : name + 4]
        self._five = level == 5
        at = name + 4
        properties = b""
        if self._five:
            properties = body[at + 1 : at + 1 + body[at]]
            at += 1 + body[at]
        size = int.from_bytes(body[at : at + 2], "big")
        self._broker.connects.append({
            "version": level, "flags": flags,
            "keepalive": int.from_bytes(keepalive, "big"),
            "client_id": body[at + 2 : at + 2 + size].decode(),
            "properties": properties,
        })  # fmt: skip
        given = self._broker.rules.properties
        self._send(0x20, b"\0\0" + (bytes([len(given)]) + given if self._five else b""))
        self._broker.joined(self)

    def _on_subscribe(self, _first: int, body: bytes) -> None:
        rules, filters, at = self._broker.rules, list[tuple[str, int]](), 2
        at += (1 + body[at]) if self._five else 0
        while at < len(body):
            size = int.from_bytes(body[at : at + 2], "big")
            filters.append((body[at + 2 : at + 2 + size].decode(), body[at + 2 + size]))
            at += 3 + size
        names = [each for each, _ in filters]
        self._broker.subscribes.append(names)
        if any(map(rules.cuts, names)) or len(names) > (rules.most_filters or 1000):
            self.cut()
            return
        codes = [rules.refuses(each) or qos & 3 for each, qos in filters]
        granted = [
            each for each, code in zip(filters, codes, strict=True) if code < 0x80
        ]
        if not self._five:
            codes = [min(code, 0x80) for code in codes]
        self._filters |= {each: qos & 3 for each, qos in granted}
        self._send(0x90, body[:2] + (b"\0" if self._five else b"") + bytes(codes))
        for each, qos in granted:
            self._send_retained(each, qos & 3)
        if rules.kick is not None:
            self._send(DISCONNECT, bytes([rules.kick, 0]))
            self.cut()

    def _send_retained(self, filter_: str, qos: int) -> None:
        if "+" in filter_ and not self._broker.rules.retained_for_wildcards:
            return
        for topic, payload in list(self._broker.retained.items()):
            if not matches(filter_, topic) or self._broker.dropped(topic):
                continue
            if self._broker.rules.late:
                self._held.append((topic, payload, qos, True))
            else:
                self._publish(topic, payload, qos, retained=True)

    def _on_unsubscribe(self, _first: int, body: bytes) -> None:
        at, count = 2 + ((1 + body[2]) if self._five else 0), 0
        while at < len(body):
            size = int.from_bytes(body[at : at + 2], "big")
            self._filters.pop(body[at + 2 : at + 2 + size].decode(), None)
            at += 2 + size
            count += 1
        codes = b"\0" + bytes(count) if self._five else b""
        self._send(0xB0, body[:2] + codes)

    def _on_publish(self, first: int, body: bytes) -> None:
        rules = self._broker.rules
        if rules.most_packet is not None and len(body) > rules.most_packet:
            self.cut()
            return
        end = 2 + int.from_bytes(body[:2], "big")
        topic, qos = body[2:end].decode(), first >> 1 & 3
        if rules.ends_at(topic):
            self.cut()
            return
        mid = body[end : end + 2] if qos else b""
        at = end + len(mid)
        at += (1 + body[at]) if self._five else 0
        code = rules.denies(topic)
        if qos:
            self._send(PUBACK, mid + (bytes([code, 0]) if self._five and code else b""))
        if not code:
            self._broker.published.append((topic, body[at:]))
            self._broker.publish(topic, body[at:], bool(first & 1))

    def _on_ping(self, _first: int, _body: bytes) -> None:
        self._broker.pings += 1
        self._send(0xD0, b"")

    # Encoding and decoding

    def _publish(self, topic: str, payload: bytes, qos: int, *, retained: bool) -> None:
        name = topic.encode()
        body = struct.pack(">H", len(name)) + name
        if qos:
            self._mid = self._mid % 65535 + 1
            body += struct.pack(">H", self._mid)
        body += b"\0" if self._five else b""
        self._send(PUBLISH | qos << 1 | retained, body + payload)

    def _send(self, first: int, body: bytes) -> None:
        head, size = bytearray([first]), len(body)
        while True:
            size, digit = divmod(size, 128)
            head.append(digit | (0x80 if size else 0))
            if not size:
                break
        with self._lock, contextlib.suppress(OSError):
            self._connection.sendall(bytes(head) + body)

    def _packet(self) -> tuple[int, bytes]:
        [first] = self._exactly(1)
        size = shift = 0
        while True:
            [digit] = self._exactly(1)
            size |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return first, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data


def matches(filter_: str, topic: str) -> bool:
    wanted, levels = filter_.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)
