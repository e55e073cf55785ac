"""Frames and payloads: any bytes are a message or raise MalformedError."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mktl_daemon as mktl
from mktl_daemon.core import wire
from mktl_daemon.errors import MalformedError

some_frames = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"a", b"GET", b"SET", b"ACK", b"REP", b"HASH", b"CONFIG", b""]
        ),
    ),
    max_size=9,
)


@pytest.mark.parametrize("kind", [wire.Request, wire.Answer, wire.Publication])
@given(frames=some_frames)
def test_any_frames_are_a_message_or_malformed(kind, frames):
    try:
        message = kind.decode(frames)
    except MalformedError:
        return
    assert isinstance(message, kind)


@given(
    ident=st.binary(max_size=30),
    kind=st.sampled_from([wire.GET, wire.SET]),
    target=st.text(max_size=30)
    .map(str.lower)
    .filter(lambda text: text == text.lower()),
    flags=st.integers(0, 3),
    payload=st.binary(max_size=30),
    bulk=st.none() | st.binary(max_size=30),
)
def test_a_request_is_the_same_after_encoding_and_decoding(
    ident, kind, target, flags, payload, bulk
):
    """Identifiers may have any bytes. A missing array differs from an empty one."""
    request = wire.Request(ident, kind, target, flags, payload, bulk)
    assert wire.Request.decode(request.encode()) == request


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_malformed(data):
    try:
        fields = wire.fields(data)
    except MalformedError:
        return
    assert isinstance(fields, dict)


@pytest.mark.parametrize(
    "data",
    [b"NaN", b'{"value":nan}', b'{"Infinity', b"[" * 100_000, b"\xff", b"3"],
)
def test_a_payload_that_is_no_json_object_is_malformed(data):
    with pytest.raises(MalformedError):
        wire.fields(data)


def test_names_become_lower_case_and_empty_flags_mean_none():
    request = wire.Request.decode([b"a", b"1", b"GET", b"Pie.ANGLE", b"", b""])
    assert (request.target, request.flags) == ("pie.angle", 0)


@pytest.mark.parametrize(
    ("kind", "target", "payload", "modern"),
    [
        (b"HASH", b"pie", b"", (b"GET", "pie._hash")),
        (b"HASH", b"", b"", (b"GET", "_hash")),
        (b"CONFIG", b"pie", b"", (b"GET", "pie._config")),
        (b"CONFIG", b"pie", b'{"value":{"store":"pie"}}', (b"SET", "_config")),
    ],
)
def test_the_oldest_requests_are_read_as_those_that_replaced_them(
    kind, target, payload, modern
):
    request = wire.Request.decode([b"a", b"1", kind, target, b"", payload])
    assert (request.kind, request.target) == modern


def test_a_payload_has_exactly_the_given_fields():
    payload = mktl.Payload(value=None, time=1.5, testing="x")
    assert (payload.value, payload.time, payload.testing) == (None, 1.5, "x")
    for name in ("bulk", "dtype", "error", "refresh", "shape"):
        with pytest.raises(AttributeError):
            getattr(payload, name)
    with pytest.raises(ValueError, match="omit"):
        mktl.Payload(omit=1)


def test_a_payload_can_be_made_without_names_of_fields():
    """The value and its time come first."""
    assert vars(mktl.Payload(5, 12.5, bulk=b"")) == vars(
        mktl.Payload(value=5, time=12.5, bulk=b"")
    )
    with pytest.raises(TypeError, match="at most"):
        mktl.Payload(*range(8))


def test_a_payload_leaves_out_fields_that_are_none():
    """The value is kept, because null is a value."""
    payload = mktl.Payload(value=None, time=None, bulk=b"x", more=1, less=2)
    payload.omit.add("less")
    assert json.loads(payload.encapsulate()) == {"value": None, "more": 1}


def test_a_payload_may_have_fields_of_any_name():
    payload = mktl.Payload(self=2, value=1)
    assert (payload.self, payload.value) == (2, 1)


def test_a_set_tells_who_sends_it():
    payload = mktl.Payload(value=1)
    payload.add_origin()
    assert {"_user", "_hostname", "_pid", "_ppid", "_executable", "_argv"} <= set(
        vars(payload)
    )
    assert json.loads(b"{" + wire.encoded_origin()) == dict(wire.origin())
