"""A client's requests to a daemon that is slow, old, or sends invalid frames."""

from __future__ import annotations

import contextlib
import random
import threading

import pytest
import zmq

from mktl_daemon.core import wire
from mktl_daemon.errors import NoAckError
from mktl_daemon.net import ahead, dealer
from mktl_daemon.net.line import RIVALS, Line
from tests.mktl_daemon.conftest import until

DEADLINE = 20.0
CONNECTIONS = 1 + RIVALS  # to a daemon that is far away


class Stub:
    """A ROUTER that does only what a test tells it."""

    def __init__(self, socket):
        self.socket = socket
        self.port = socket.bind_to_random_port("tcp://127.0.0.1")

    def bind_again(self):
        """Be another daemon at the same port."""
        context = self.socket.context
        self.socket.close()
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        until(self._is_bound, "ZeroMQ gives the port back")

    def _is_bound(self):
        with contextlib.suppress(zmq.ZMQError):
            self.socket.bind(f"tcp://127.0.0.1:{self.port}")
            return True
        return False

    def receive(self):
        """Return the routing frame and the rest of a request."""
        assert self.socket.poll(DEADLINE * 1000), "no request came"
        routing, *frames = self.socket.recv_multipart()
        return routing, frames

    def answer(self, routing, request, early=False):
        """Send ACK and REP to a request."""
        flags = [] if early else [b""]
        for kind, payload in ((b"ACK", b""), (b"REP", b'{"value":true}')):
            frames = [b"a", request[1], kind, request[3], *flags, payload]
            self.socket.send_multipart([routing, *frames])


@pytest.fixture
def stub():
    with zmq.Context() as context:
        socket = context.socket(zmq.ROUTER)
        socket.linger = 0
        made = Stub(socket)
        yield made
        made.socket.close()


@pytest.fixture
def client(stub, request_closer):
    return request_closer(dealer.Client("127.0.0.1", stub.port))


@pytest.fixture
def request_closer():
    made = []
    yield lambda each: made.append(each) or each
    for each in made:
        each.close()


def asking(act, *args):
    """Call *act* in a thread.

    Return a function that waits for its result or exception.
    """
    outcome = []

    def run():
        try:
            outcome.append(act(*args))
        except Exception as error:  # noqa: BLE001 - it is returned
            # Its frames refer to the connection, and would make a circle with what is
            # returned here.
            outcome.append(error.with_traceback(None))

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(DEADLINE)
        assert outcome, "the thread does not end"
        return outcome[0]

    return result


def test_a_set_without_an_ack_was_never_sent(client, stub):
    """A daemon that is too slow to show its edition gets two GETs, and no SET."""
    error = asking(client.call, b"SET", "pie.x", b'{"value":1}')()
    assert isinstance(error, NoAckError)
    assert "SET of pie.x" in str(error)
    kinds = []
    while stub.socket.poll(300):
        kinds.append(stub.receive()[1][2])
    assert kinds == [b"GET", b"GET"]


def test_a_set_to_an_early_daemon_arrives_once_in_early_frames(client, stub):
    """It ignores messages with flags. A GET finds this out."""
    result = asking(client.call, b"SET", "pie.x", b'{"value":1}')
    seen = []
    while b"SET" not in seen:
        routing, frames = stub.receive()
        if len(frames) == 5:
            seen.append(frames[2])
            stub.answer(routing, frames, early=True)
    assert result().early
    assert seen == [b"GET", b"SET"]
    assert not stub.socket.poll(300)


@pytest.mark.parametrize("was_early", [True, False])
@pytest.mark.parametrize("kind", [b"GET", b"SET"])
def test_a_daemon_of_another_edition_at_the_same_port_is_heard(
    client, stub, was_early, kind
):
    """It was replaced by a newer or an older one, and hears only one form."""

    def call(wanted):
        result = asking(client.call, wanted, "pie.x", b'{"value":1}')
        while True:
            routing, frames = stub.receive()
            if (len(frames) == 5) is is_early:
                stub.answer(routing, frames, is_early)
                if frames[2] == wanted:
                    return result()

    is_early = was_early
    assert call(b"GET").early is was_early
    losses = client.losses
    stub.bind_again()
    until(lambda: client.losses > losses, "the client notices it")
    is_early = not was_early
    assert call(kind).early is is_early
    assert call(b"SET").early is is_early


def test_a_set_is_sent_once_to_a_daemon_of_a_known_edition(client, stub):
    """This is so however long its ACK takes."""
    known = asking(client.call, b"GET", "pie.x")
    stub.answer(*stub.receive())
    assert known().ident
    assert isinstance(asking(client.call, b"SET", "pie.x", b"")(), NoAckError)
    assert stub.receive()[1][2] == b"SET"
    assert not stub.socket.poll(300)


def test_a_set_to_an_unknown_daemon_is_sent_once(client, stub):
    """A GET is sent again in the early form, but a SET may have been carried out."""
    line = Line(client.connect())
    request = wire.Request(b"1", wire.SET, "pie.x", 0, b'{"value":1}')
    assert isinstance(asking(line.call, client, request, 5.0)(), NoAckError)
    line.close()
    assert stub.receive()[1][2] == b"SET"
    assert not stub.socket.poll(300)


NOISE = [b"a", b"b", b"ACK", b"REP", b"GET", b"", b"\xff", b'{"value":1}', b"pie.x"]


@pytest.mark.parametrize("way", ["call", "ask"])
def test_a_reply_is_read_after_any_invalid_frames(client, stub, way, caplog):
    """Frames that cannot be read are logged and belong to no request."""
    chance = random.Random(4)
    act = {
        "call": lambda: client.call(b"GET", "pie.x"),
        "ask": lambda: client.ask(b"GET", "pie.x").answered(),
    }[way]
    result = asking(act)
    routing, frames = stub.receive()
    for _ in range(300):
        noise = [chance.choice(NOISE) for _ in range(chance.randrange(1, 9))]
        stub.socket.send_multipart([routing, *noise])
    stub.socket.send_multipart(
        [routing, b"a", frames[1], b"ACK", b"", b"", b"", b"", b""]
    )
    stub.answer(routing, frames)
    assert result().payload == b'{"value":true}'
    assert "answers" in caplog.text


def test_of_three_connections_the_one_that_is_answered_is_used(client, stub):
    """Where packets are lost, one of them is made and answered sooner."""

    def find():
        client.prepare_for_far()
        return client.call(b"GET", "pie._hash")

    result = asking(find)
    requests = [stub.receive() for _ in range(CONNECTIONS)]
    assert len({routing for routing, _ in requests}) == CONNECTIONS
    assert all(frames == requests[0][1] for _, frames in requests)
    stub.answer(*requests[-1])
    assert result().ident == requests[0][1][1]


def test_with_several_connections_a_set_is_sent_on_one_only(client, stub):
    """So is a GET that the cache does not answer: it may run a user's code."""
    known = asking(client.call, b"GET", "pie.x")
    stub.answer(*stub.receive())
    assert known().ident

    def act(*request):
        client.prepare_for_far()
        return client.call(*request)

    for kind, payload in ((b"SET", b'{"value":1}'), (b"GET", b'{"refresh":true}')):
        result = asking(act, kind, "pie.x", payload)
        routing, frames = stub.receive()
        assert frames[2] == kind
        assert not stub.socket.poll(300)
        stub.answer(routing, frames)
        assert result().ident == frames[1]


def test_a_slow_connection_can_be_used_by_the_next_client(stub, request_closer):
    """A late reply to the first client's request does not reach the second client."""
    first, second = (dealer.Client("127.0.0.1", stub.port) for _ in range(2))

    def find():
        first.prepare_for_far()
        first.call(b"GET", "pie._hash")
        first.close()

    done = asking(find)
    requests = [stub.receive() for _ in range(CONNECTIONS)]
    stub.answer(*requests[0])
    assert done() is None
    request_closer(second)
    result = asking(second.call, b"GET", "pie.x")
    again = [stub.receive() for _ in range(CONNECTIONS)]
    assert {routing for routing, _ in again} == {routing for routing, _ in requests}
    stub.answer(*requests[1])  # this reply is late
    stub.answer(*again[0])
    assert result().ident == again[0][1][1] != requests[0][1][1]


class Reader:
    """One client asks for hashes, and another one reads an item then."""

    def __init__(self, stub, second):
        self._stub, self._second = stub, second
        self._first = dealer.Client("127.0.0.1", stub.port)

    def start(self, is_far):
        """Return the request for the hashes, and what was sent ahead, if anything.

        These have come by the same connection.
        """

        def find():
            if is_far:
                self._first.prepare_for_far()
            self._first.call(b"GET", "pie._hash", ahead="pie.x")
            self._first.close()

        self._done = asking(find)
        count = CONNECTIONS + 2 if is_far else 1
        requests = [self._stub.receive() for _ in range(count)]
        values = [each for each in requests if each[1][3] == b"pie.x"]
        hashes = [each for each in requests if each[1][3] == b"pie._hash"]
        used = values[0][0] if values else hashes[0][0]
        return next(each for each in hashes if each[0] == used), values

    def end(self):
        assert self._done() is None

    def read(self):
        return asking(self._second.call, b"GET", "pie.x", wire.REFRESH)


@pytest.fixture
def reader(stub, request_closer):
    return Reader(stub, request_closer(dealer.Client("127.0.0.1", stub.port)))


@pytest.mark.parametrize("is_answered_first", [True, False])
@pytest.mark.parametrize("way", [0, 1])
def test_what_is_read_next_is_requested_at_once_of_a_far_daemon(
    stub, reader, way, is_answered_first
):
    """It goes out on two connections, in case that a packet is lost."""
    hashes, values = reader.start(is_far=True)
    assert len({routing for routing, _ in values}) == len(values) == 2
    value = values[way]
    if is_answered_first:
        stub.answer(*value)
    stub.answer(*hashes)
    reader.end()
    result = reader.read()
    if not is_answered_first:
        stub.answer(*value)
    assert result().ident == value[1][1]
    assert not stub.socket.poll(300)


def test_nothing_is_requested_ahead_of_a_daemon_that_is_near(stub, reader):
    hashes, early = reader.start(is_far=False)
    stub.answer(*hashes)
    reader.end()
    assert early == []
    result = reader.read()
    value = stub.receive()
    stub.answer(*value)
    assert result().ident == value[1][1]


def test_what_was_sent_ahead_long_ago_is_requested_again(stub, reader, monkeypatch):
    """The answer to it is too old."""
    monkeypatch.setattr(ahead, "KEEP", 0.0)
    hashes, [old, _] = reader.start(is_far=True)
    stub.answer(*old)
    stub.answer(*hashes)
    reader.end()
    result = reader.read()
    value = stub.receive()
    stub.answer(*value)
    assert result().ident == value[1][1] != old[1][1]


def test_a_request_that_ended_before_it_was_sent_is_not_sent(request_closer):
    """A daemon that starts later does not carry it out."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as probe:
        port = probe.bind_to_random_port("tcp://127.0.0.1")
    client = request_closer(dealer.Client("127.0.0.1", port))
    given_up = client.ask(b"SET", "pie.x", b'{"value":1}')
    with pytest.raises(NoAckError):
        given_up.answered()
    kept = client.ask(b"GET", "pie.y")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{port}")
        try:
            kept.answered()
        except NoAckError:  # The daemon started too late for this request as well.
            client.ask(b"GET", "pie.y")
        assert socket.poll(DEADLINE * 1000)
        while socket.poll(300):
            assert socket.recv_multipart()[3] == b"GET"


class Asker:
    """Notes the progress of a request."""

    def __init__(self):
        self.notes = []

    def note_sent(self):
        self.notes.append("sent")

    def note_unheard(self):
        self.notes.append("unheard")


def test_a_late_ack_is_reported_before_the_request_fails(client):
    """So a search for the daemon can begin meanwhile."""
    asker = Asker()
    with pytest.raises(NoAckError):
        client.call(b"GET", "pie.x", asker=asker)
    assert asker.notes == ["sent", "unheard"]


def test_a_late_connection_is_reported_before_the_request_fails(stub, request_closer):
    away = request_closer(dealer.Client("127.0.0.1", stub.port))
    stub.socket.close()
    asker = Asker()
    with pytest.raises(NoAckError):
        away.call(b"GET", "pie.x", asker=asker)
    assert asker.notes[-1] == "unheard"
