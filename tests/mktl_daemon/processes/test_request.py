"""GET, SET, ACK and REP, frame by frame."""

import json
import time

import pytest

WHOLE = [b"ACK", b"REP"]


def test_a_get_is_acknowledged_and_answered(peer):
    """Both have six frames: version, identifier, type, target, flags, payload."""
    before = time.time()
    peer.set("pie.number", 3.5)
    answer = peer.ask(b"GET", b"pie.number", ident=b"0000beef")

    ack, rep = answer.frames
    assert ack == [b"a", b"0000beef", b"ACK", ack[3], b"", ack[5]]
    assert rep == [b"a", b"0000beef", b"REP", rep[3], b"", rep[5]]
    assert ack[3] in (b"", b"pie.number")
    assert rep[3] in (b"", b"pie.number")
    assert answer.value == 3.5
    assert before <= answer.payload["time"] <= time.time()
    assert answer.error is None


def test_a_set_is_acknowledged_and_answered(peer):
    """The next GET returns the value."""
    answer = peer.set("pie.number", 42)

    assert answer.kinds == WHOLE
    assert answer.error is None
    assert peer.get("pie.number").value == 42


@pytest.mark.parametrize(
    ("key", "value"),
    [("pie.number", "43"), pytest.param("pie.gate", "ajar", id="a user's perform_set")],
)
def test_the_reply_to_a_set_has_what_a_get_would_return(peer, key, value):
    """The request has to ask for it.

    The client then need not wait for the publication.
    """
    answer = peer.set(key, value, now=True)
    assert answer.payload == {"value": True, "now": peer.get(key).payload}
    assert peer.set(key, value).payload == {"value": True}


def test_the_reply_to_a_set_that_asks_for_the_value_may_come_alone(peer):
    """A REP before the ACK counts as both, and no ACK follows it."""
    peer.set("pie.number", 1, now=True)  # From now on such a SET is answered at once.
    assert peer.set("pie.number", 2, now=True).kinds == [b"REP"]
    assert peer.set("pie.number", "no number", now=True).error["type"] == "ValueError"
    assert peer.set("pie.number", 3).kinds == WHOLE
    assert peer.set("pie.gate", "ajar", now=True).kinds == WHOLE
    assert peer.is_quiet()


def test_the_reply_to_a_set_does_not_return_large_values(peer):
    array = peer.set("pie.image", None, b"abc", shape=[3], dtype="uint8", now=True)
    for answer in (peer.set("pie.text", "x" * 5000, now=True), array):
        assert answer.payload == {"value": True}


def test_every_request_is_answered_once(peer):
    """No message follows the REP."""
    for _ in range(20):
        assert peer.get("pie.number").kinds == WHOLE
        assert peer.set("pie.number", 1).kinds == WHOLE
    assert peer.is_quiet()


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        (b"", [b"ACK", b"REP"]),
        (b"\0", [b"ACK", b"REP"]),
        (b"\1", [b"REP"]),
        (b"\2", [b"ACK"]),
        (b"\3", []),
        (b"\0\0\0\3", []),
        (b"\1\0", [b"ACK", b"REP"]),  # the ninth bit, which has no meaning
    ],
)
@pytest.mark.parametrize("kind", [b"GET", b"SET"])
def test_flags_tell_which_replies_are_wanted(peer, kind, flags, kinds):
    """Bit 0 means no ACK, bit 1 no REP. The number is big-endian and of any length."""
    marked = peer.request(kind, "pie.number", {"value": 5}, flags=flags)
    # A second request for the same item gets both replies. When it has been carried
    # out, so has the first.
    last = peer.request(b"SET", "pie.number", {"value": 6})

    seen = {marked: [], last: []}
    while b"REP" not in seen[last]:
        message = peer.receive()
        seen[message[1]].append(message[2])
    assert seen[last] == [b"ACK", b"REP"]
    while kinds and len(seen[marked]) < len(kinds):
        seen[marked].append(peer.receive()[2])
    assert seen[marked] == kinds
    assert peer.is_quiet()


def test_a_set_that_wants_no_reply_is_carried_out(peer):
    """It is not forgotten."""
    peer.request(b"SET", "pie.number", {"value": 17}, flags=b"\3")
    peer.set("pie.text", "after")
    assert peer.get("pie.number", refresh=True).value == 17


@pytest.mark.parametrize(
    "ident",
    [
        b"",
        b"\0",
        b"00000001",
        b"\xff\xfe\0\x80",
        b"REP",
        bytes(range(256)),
        b"x" * 9999,
    ],
    ids=["empty", "zero", "hex", "not text", "a type", "every byte", "long"],
)
def test_an_identifier_is_returned_as_it_was_sent(peer, ident):
    """It may have any bytes and any length."""
    assert peer.ask(b"GET", "pie.number", ident=ident).kinds == WHOLE
    assert peer.ask(b"SET", "pie.number", {"value": 1}, ident=ident).kinds == WHOLE


def test_an_identifier_may_be_used_again(peer):
    """Only the client uses it to tell its requests apart."""
    for _ in range(3):
        peer.request(b"GET", "pie.number", ident=b"same")
    kinds = [peer.receive()[2] for _ in range(6)]
    assert sorted(kinds) == [b"ACK"] * 3 + [b"REP"] * 3


@pytest.mark.parametrize("target", ["pie.number", "PIE.NUMBER", "Pie.Number"])
def test_names_are_the_same_in_any_case(peer, target):
    """This is so in both kinds of request."""
    assert peer.set(target, 9).error is None
    assert peer.get(target).value == 9


@pytest.mark.parametrize(
    "target",
    ["pie.nothing", "cake.number", "pie", "pie.", ".number", "", ".", "pie.number."],
)
@pytest.mark.parametrize("kind", [b"GET", b"SET"])
def test_an_unknown_name_is_an_error(peer, kind, target):
    """An unknown key, an unknown store or no name at all is answered at once."""
    answer = peer.ask(kind, target, {"value": 1})

    assert answer.kinds in (WHOLE, [b"REP"])
    assert answer.error["type"]
    assert answer.error["text"]


def test_an_unknown_key_is_a_key_error(peer):
    """The text names the key."""
    error = peer.get("pie.nothing").error
    assert error["type"] == "KeyError"
    assert "nothing" in error["text"]


@pytest.mark.parametrize("target", [b"\xff\xfe", b"pie.\x80", b"pie.number\0"])
def test_a_target_that_is_not_text_is_an_error(peer, target):
    """It is answered, and so is the next request."""
    assert peer.ask(b"GET", target).error["type"]
    assert peer.ask(b"SET", target, {"value": 1}).error["type"]
    assert peer.is_quiet()


@pytest.mark.parametrize("version", [b"b", b"", b"A", b"aa", b"\0", b"\xff"])
def test_another_version_is_an_error(peer, version):
    """The error tells the version of this daemon."""
    peer.send(version, b"7", b"GET", b"pie.number", b"", b"")
    answer = peer.answer(b"7")
    assert "version" in answer.error["text"]


@pytest.mark.parametrize("kind", [b"", b"get", b"PUT", b"ACK", b"REP", b"\xff"])
def test_another_type_of_request_is_an_error(peer, kind):
    """Only GET and SET are known."""
    peer.send(b"a", b"8", kind, b"pie.number", b"", b"")
    assert peer.answer(b"8").error["type"]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9, 40])
def test_a_wrong_number_of_frames_is_an_error(peer, count):
    """If there is an identifier, the error has it."""
    frames = [b"a", b"9", b"GET", b"pie.number", b"", b"", b"", *[b""] * 40]
    peer.send(*frames[:count])
    assert peer.answer(b"9").error["type"]


def test_a_single_frame_does_no_harm(peer):
    """Without an identifier no reply is possible."""
    peer.send(b"a")
    peer.send(b"")
    peer.request(b"GET", "pie.number", ident=b"after")
    while peer.receive()[1:3] != [b"after", b"REP"]:
        continue


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"}",
        b'{"value": }',
        b"\xff\xfe",
        b'{"value": "\xff"}',
        b"NaN",
        b'{"value": 1e999}',
        b"[1, 2]",
        b'"text"',
        b"5",
        b"null",
        b"[" * 100_000,
        b'{"value": ' * 100_000,
        b"\0",
    ],
    ids=lambda payload: payload[:20].decode("latin-1"),
)
def test_a_payload_that_is_no_json_object_is_an_error(peer, payload):
    """It is broken, has no number or no object. The value stays the same."""
    peer.set("pie.number", 11)
    answer = peer.ask(b"SET", "pie.number", payload)

    assert answer.error["type"]
    assert peer.get("pie.number").value == 11


def test_unknown_fields_are_ignored(peer):
    """A newer client may send more fields."""
    assert peer.set("pie.number", 5, spice="cinnamon", _pid=1).error is None
    answer = peer.ask(b"GET", "pie.number", {"refresh": False, "spice": 1})
    assert answer.value == 5


def test_a_field_of_the_wrong_type_does_no_harm(peer):
    """Times and shapes may have any type."""
    for fields in ({"time": "now"}, {"shape": "wide"}, {"refresh": "please"}):
        assert peer.set("pie.number", 5, **fields).kinds == WHOLE
    assert peer.is_quiet()


def test_a_set_without_a_value_is_answered(peer):
    """An empty payload has no value, and neither has an empty object."""
    peer.set("pie.number", 12)
    for payload in (b"", b"{}"):
        assert peer.ask(b"SET", "pie.number", payload).kinds == WHOLE
    assert peer.get("pie.number").value == 12


def test_a_read_only_item_refuses_to_be_set(peer):
    """Its value stays the same."""
    assert "fixed" in peer.set("pie.fixed", 1).error["text"]
    assert peer.get("pie.fixed").value == 7


def test_a_write_only_item_refuses_to_be_read(peer):
    """This is so with and without a refresh."""
    assert peer.get("pie.secret").error["type"]
    assert peer.get("pie.secret", refresh=True).error["type"]
    assert peer.set("pie.secret", 9).error is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("taste", 2),
        ("taste", "Bitter"),
        ("number", "many"),
        ("number", [1]),
        ("number", None),
        ("text", {"a": 1}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(peer, key, value):
    """The daemon refuses it, whoever sends it."""
    peer.set(f"pie.{key}", 1)
    answer = peer.set(f"pie.{key}", value)

    assert answer.error["type"] in ("ValueError", "TypeError")
    assert answer.error["text"]
    assert peer.get(f"pie.{key}").value in (1, "1")


def test_a_refresh_reads_the_sensor_again(peer):
    """Without it the cache answers. Afterwards the cache has the new value."""
    first = peer.get("pie.reading", refresh=True).value
    assert peer.get("pie.reading").value == first
    assert peer.get("pie.reading", refresh=False).value == first
    assert peer.get("pie.reading", refresh=True).value == first + 1
    assert peer.get("pie.reading").value == first + 1


def test_an_exception_in_a_users_method_is_the_reply(peer):
    """The reply has its type and its text, and the daemon goes on."""
    error = peer.get("pie.broken", refresh=True).error
    assert (error["type"], error["text"]) == (
        "ZeroDivisionError",
        "the sensor has no zero",
    )
    error = peer.set("pie.broken", 1).error
    assert (error["type"], error["text"]) == ("OSError", "the wire is cut")
    assert peer.is_quiet()


def test_a_set_that_waits_does_not_delay_others(wire, oven, peer):
    """It is acknowledged at once. Others are answered in the meantime, in any order."""
    waiting = peer.request(b"SET", "pie.gate", {"value": "wait"})
    assert peer.receive()[1:3] == [waiting, b"ACK"]

    assert wire.peer(oven).get("pie.number").kinds == WHOLE
    assert peer.get("pie.number").kinds == WHOLE

    peer.request(b"SET", "pie.opener", {"value": 1}, flags=b"\3")
    assert peer.receive()[1:3] == [waiting, b"REP"]


def test_a_null_field_is_left_out(peer):
    """Only the value may be null."""
    peer.set("pie.anything", None)
    payload = json.loads(peer.ask(b"GET", "pie.anything").frames[-1][5])
    assert "value" in payload
    assert payload["value"] is None
    assert None not in [payload[field] for field in payload if field != "value"]


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**53, 2**64, 0.1, 1e300, True, None, "", "é🥧\0", [], {}, [1, [2, {}]]],
)
def test_every_json_value_can_be_set_and_read(peer, value):
    """It is returned as it was given: true stays true."""
    assert peer.set("pie.anything", value).error is None
    got = peer.get("pie.anything").value
    assert got == value
    assert isinstance(got, type(value))
