"""A stream of packets gives the same packets wherever it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqtt_bridge.broker.buffered_socket import BufferedSocket
from mqtt_bridge.broker.packets import (
    MAX_BODY,
    Oversized,
    PacketError,
    PacketReader,
    Publication,
)

PING = b"\xd0\x00"


class Cable:
    """The other end of a socket.

    It delivers chunks, and accepts *room* bytes at a time.
    """

    def __init__(self, *chunks, room=10**9, end=False):
        self.chunks = [chunk for chunk in chunks if chunk]
        self.room = room
        self.end = end
        self.sent = b""
        self.closed = False

    def recv(self, size):
        if self.chunks:
            return self.chunks.pop(0)
        if self.end:
            return b""
        raise BlockingIOError

    def send(self, data):
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def close(self):
        self.closed = True

    def fileno(self):
        return -1

    settimeout = setblocking = None


def publish(topic, payload, mid=1, qos=1, retained=False, properties=b""):
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name
    if qos:
        body += mid.to_bytes(2, "big")
    body += properties + payload
    return bytes([0x30 | qos << 1 | retained]) + length(len(body)) + body


def length(number):
    out = b""
    while True:
        number, digit = divmod(number, 128)
        out += bytes([digit | (0x80 if number else 0)])
        if not number:
            return out


def read_all(cable, connection):
    """Return the publications, and the bytes that are left to paho."""
    publications, left = [], b""
    while True:
        connection.fill()
        while True:
            publication = connection.packets.publication()
            if publication is not None:
                publications.append(publication)
                continue
            try:
                data = connection.recv(7)
            except BlockingIOError:
                break
            if not data:
                return publications, left
            left += data
        if not cable.chunks and not cable.end:
            return publications, left


publications = st.builds(
    publish,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    st.binary(max_size=300) | st.integers(0, 20_000).map(bytes),
    st.integers(1, 65535),
    st.integers(0, 2),
    st.booleans(),
)


@given(st.lists(publications | st.just(PING), max_size=8), st.data())
def test_a_stream_gives_the_same_packets_wherever_it_is_cut(packets, data):
    """Publications at QoS 1 are read and acknowledged.

    paho gets all other packets whole.
    """
    stream = b"".join(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    cable = Cable(*chunks)
    connection = BufferedSocket(cable, five=False)
    publications, left = read_all(cable, connection)

    taken = [each for each in packets if each[0] & 0xF6 == 0x32]
    assert left == b"".join(each for each in packets if each[0] & 0xF6 != 0x32)
    assert [rebuilt(*each) for each in zip(publications, taken, strict=True)] == taken
    mids = b"".join(b"\x40\x02" + mid_of(each) for each in taken)
    connection.flush()
    assert cable.sent == mids


def mid_of(packet):
    at = 1
    while packet[at] > 127:
        at += 1
    at += 3 + int.from_bytes(packet[at + 1 : at + 3], "big")
    return packet[at : at + 2]


def rebuilt(publication, packet):
    mid = int.from_bytes(mid_of(packet), "big")
    return publish(
        publication.topic, publication.payload, mid, retained=publication.retained
    )


@given(st.binary(max_size=200), st.booleans())
def test_reading_any_bytes_raises_nothing(garbage, five):
    """paho reports packets that are not valid."""
    cable = Cable(garbage, end=True)
    publications, left = read_all(cable, BufferedSocket(cable, five=five))
    assert all(isinstance(each, Publication) for each in publications)
    assert len(left) <= len(garbage)


def test_a_length_without_an_end_is_passed_to_paho():
    """Otherwise the rest of the packet would be waited for without end."""
    garbage = b"\x32" + b"\xff" * 8
    cable = Cable(garbage)
    assert read_all(cable, BufferedSocket(cable, five=False)) == ([], garbage)


def test_properties_of_mqtt_5_are_skipped():
    """A publication with many properties is left to paho."""
    short = publish("a/b", b"1", properties=b"\x02\x01\x01")
    none = publish("a/b", b"2", properties=b"\x00")
    many = publish("a/b", b"3", properties=b"\x80\x01" + bytes(128))
    cable = Cable(short + none + many)
    publications, left = read_all(cable, BufferedSocket(cable, five=True))
    assert [each.payload for each in publications] == [b"1", b"2"]
    assert left == many


def test_a_topic_that_is_not_utf_8_is_left_to_paho():
    packet = publish("ab", b"1").replace(b"ab", b"\xff\xfe")
    cable = Cable(packet)
    assert read_all(cable, BufferedSocket(cable, five=False)) == ([], packet)


def test_the_end_comes_after_everything_that_arrived_before_it():
    """A socket reports its end by an empty read. Half a packet is never passed on."""
    packet = publish("a", b"1")
    cable = Cable(packet + packet[:4], end=True)
    connection = BufferedSocket(cable, five=False)
    assert read_all(cable, connection) == ([Publication("a", b"1", False)], b"")
    assert connection.ended
    with pytest.raises(BlockingIOError):
        BufferedSocket(Cable(packet[:4]), five=False).recv(1)


def oversized(qos, size):
    return publish("a/long", bytes(size), mid=7, qos=qos)


@given(
    st.integers(0, 2),
    st.integers(MAX_BODY - 30, MAX_BODY + 200_000),
    st.integers(1000, 300_000),
    st.binary(max_size=50),
)
@settings(max_examples=30)
def test_a_payload_of_more_than_a_megabyte_is_skipped_and_acknowledged(
    qos, size, chunk, before
):
    """It is never held in memory, and the packets around it are read."""
    first, last = publish("a", before), publish("b", b"after", mid=3)
    stream = first + oversized(qos, size) + last
    reader = PacketReader(five=False)
    kept, most, left = [], 0, b""
    for at in range(0, len(stream), chunk):
        reader.feed(stream[at : at + chunk])
        most = max(most, reader.size)
        while reader.has_packet:
            publication = reader.publication()
            if publication is None:
                left += reader.read(1 << 30)
            else:
                kept.append(publication)
    long = len(b"a/long") + 2 + (2 if qos else 0) + size > MAX_BODY
    payloads = [each.payload for each in kept if len(each.payload) < 1000]
    assert payloads == [before, b"after"]
    assert most < MAX_BODY + 2 * chunk + 200
    if long:
        assert reader.oversized == [Oversized("a/long", size + 8 + 2 * (qos > 0))]
        acknowledged = b"\x40\x02\0\7" in bytes(reader.unsent)
        assert acknowledged == (qos > 0)
        assert left == b""


def test_two_hundred_megabytes_take_no_memory():
    reader = PacketReader(five=True)
    head = b"\x33" + length(200 << 20) + b"\0\1t\0\5\0"
    reader.feed(head)
    left = (200 << 20) - 6
    while left:
        part = min(left, 1 << 20)
        reader.feed(bytes(part))
        assert reader.size <= 2 << 20
        left -= part
    assert reader.oversized == [Oversized("t", 200 << 20)]
    assert (reader.size, bytes(reader.unsent)) == (0, b"\x40\x02\0\5")


def test_no_other_packet_may_be_so_long():
    with pytest.raises(PacketError, match="packet of"):
        PacketReader(five=False).feed(b"\x90" + length(MAX_BODY + 1) + bytes(200_000))
