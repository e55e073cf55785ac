"""A client's requests to a daemon that is slow, old, or talks nonsense."""

from __future__ import annotations

import random
import threading

import pytest
import zmq

from mktl_daemon.errors import NoAckError
from mktl_daemon.net import dealer

DEADLINE = 20.0


class Stub:
    """A ROUTER that does nothing but what a test says."""

    def __init__(self, socket):
        self.socket = socket
        self.port = socket.bind_to_random_port("tcp://127.0.0.1")

    def receive(self):
        """Return the routing frame and the rest of a request."""
        assert self.socket.poll(DEADLINE * 1000), "nothing came"
        routing, *frames = self.socket.recv_multipart()
        return routing, frames

    def answer(self, routing, asked, early=False):
        """Send ACK and REP to a request."""
        flags = [] if early else [b""]
        for kind, payload in ((b"ACK", b""), (b"REP", b'{"value":true}')):
            frames = [b"a", asked[1], kind, asked[3], *flags, payload]
            self.socket.send_multipart([routing, *frames])


@pytest.fixture
def stub():
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        yield Stub(socket)


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
    """Call *act* in a thread; return what waits for its result or exception."""
    outcome = []

    def run():
        try:
            outcome.append(act(*args))
        except Exception as error:  # noqa: BLE001 - it is returned
            # Its frames hold the connection, in a circle with what is returned here.
            outcome.append(error.with_traceback(None))

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(DEADLINE)
        assert outcome, "it does not end"
        return outcome[0]

    return result


def test_a_set_that_nobody_took_was_never_sent(client, stub):
    """Whoever is too slow to say which edition it is gets two GETs, and no SET."""
    error = asking(client.call, b"SET", "pie.x", b'{"value":1}')()
    assert isinstance(error, NoAckError)
    assert "SET of pie.x" in str(error)
    kinds = []
    while stub.socket.poll(300):
        kinds.append(stub.receive()[1][2])
    assert kinds == [b"GET", b"GET"]


def test_a_set_to_an_early_daemon_arrives_once_and_in_early_form(client, stub):
    """It does not hear what has flags; a GET finds that out."""
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


def test_a_set_is_sent_once_to_whom_we_know(client, stub):
    """However long it takes to say that it has come."""
    known = asking(client.call, b"GET", "pie.x")
    stub.answer(*stub.receive())
    assert known().ident
    assert isinstance(asking(client.call, b"SET", "pie.x", b"")(), NoAckError)
    assert stub.receive()[1][2] == b"SET"
    assert not stub.socket.poll(300)


NOISE = [b"a", b"b", b"ACK", b"REP", b"GET", b"", b"\xff", b'{"value":1}', b"pie.x"]


@pytest.mark.parametrize("way", ["call", "ask"])
def test_an_answer_follows_whatever_nonsense(client, stub, way, caplog):
    """What cannot be read is logged and no request's business."""
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


def test_of_two_connections_the_one_that_answers_is_used(client, stub):
    """Where packets are lost, one of two is there early."""

    def find():
        client.prepare_twice()
        return client.call(b"GET", "pie._hash")

    result = asking(find)
    first, second = stub.receive(), stub.receive()
    assert first[0] != second[0]
    assert first[1] == second[1]
    stub.answer(*second)
    assert result().ident == second[1][1]


def test_a_set_goes_one_way_only_where_there_are_two_connections(client, stub):
    """And so does a GET that is not answered from memory: it may run a user's code."""
    known = asking(client.call, b"GET", "pie.x")
    stub.answer(*stub.receive())
    assert known().ident

    def act(*request):
        client.prepare_twice()
        return client.call(*request)

    for kind, payload in ((b"SET", b'{"value":1}'), (b"GET", b'{"refresh":true}')):
        result = asking(act, kind, "pie.x", payload)
        routing, frames = stub.receive()
        assert frames[2] == kind
        assert not stub.socket.poll(300)
        stub.answer(routing, frames)
        assert result().ident == frames[1]


def test_a_connection_that_took_long_is_left_to_the_next_client(stub, request_closer):
    """A late answer to the first one's request is nothing to the second one's."""
    first, second = (dealer.Client("127.0.0.1", stub.port) for _ in range(2))

    def find():
        first.prepare_twice()
        first.call(b"GET", "pie._hash")
        first.close()

    done = asking(find)
    asked = [stub.receive(), stub.receive()]
    stub.answer(*asked[0])
    assert done() is None
    request_closer(second)
    result = asking(second.call, b"GET", "pie.x")
    again = [stub.receive(), stub.receive()]
    assert {routing for routing, _ in again} == {routing for routing, _ in asked}
    stub.answer(*asked[1])  # late
    stub.answer(*again[0])
    assert result().ident == again[0][1][1] != asked[0][1][1]


def test_what_was_given_up_before_it_could_be_sent_is_not_sent(request_closer):
    """A daemon that comes later does not carry it out."""
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
        except NoAckError:  # the daemon came too late for this one, too
            client.ask(b"GET", "pie.y")
        assert socket.poll(DEADLINE * 1000)
        while socket.poll(300):
            assert socket.recv_multipart()[3] == b"GET"
