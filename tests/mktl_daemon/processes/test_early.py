"""Programs from before 8 June 2026, whose messages have no frame for flags."""

import json

import pytest


def exchange(peer, *frames):
    """Return the ACK and the REP to a message."""
    peer.send(b"a", b"00000023", *frames)
    return peer.receive(), peer.receive()


def test_an_early_set_is_answered_in_early_frames(peer):
    """They are five: version, identifier, type, target, payload."""
    ack, rep = exchange(peer, b"SET", b"pie.number", b'{"value": 23}')

    assert ack == [b"a", b"00000023", b"ACK", ack[3], b""]
    assert rep[:3] == [b"a", b"00000023", b"REP"]
    assert len(rep) == 5
    assert json.loads(rep[4])["value"] is True
    assert peer.get("pie.number").value == 23


def test_an_early_get_with_a_refresh_is_answered_in_early_frames(peer):
    """Early clients ask in this way when they start."""
    peer.set("pie.number", 24)
    _, rep = exchange(peer, b"GET", b"pie.number", b'{"value": null, "refresh": true}')
    assert json.loads(rep[4])["value"] == 24


def test_an_early_array_is_the_sixth_frame(peer):
    """This is so in both directions. The payload beside it has the value null."""
    described = b'{"value": null, "shape": [2], "dtype": "uint8"}'
    _, rep = exchange(peer, b"SET", b"pie.image", described, b"\1\2")
    assert json.loads(rep[4])["value"] is True

    _, rep = exchange(peer, b"GET", b"pie.image", b'{"value": null, "refresh": true}')
    assert rep[5] == b"\1\2"
    payload = json.loads(rep[4])
    assert (payload["value"], payload["shape"]) == (None, [2])


@pytest.mark.parametrize("target", [b"", b"pie"])
def test_an_early_hash_and_an_early_config_are_answered(peer, target):
    """They are for one store, or for all known stores."""
    _, rep = exchange(peer, b"HASH", target, b"")
    [(identity, _)] = json.loads(rep[4])["value"]["pie"].items()

    _, rep = exchange(peer, b"CONFIG", b"pie", b"")
    assert json.loads(rep[4])["value"][identity]["alias"] == "fruit"


def test_an_early_client_gets_errors_in_early_frames(peer):
    """They have a type and a text, as in all editions."""
    _, rep = exchange(peer, b"SET", b"pie.fixed", b'{"value": 1}')
    assert json.loads(rep[4])["error"]["type"] == "TypeError"


def test_a_message_that_lost_a_frame_is_not_taken_for_an_early_one(peer):
    """Five frames without anything early in them are an error."""
    peer.send(b"a", b"1", b"GET", b"pie.number", b"")
    answer = peer.answer(b"1")
    assert len(answer.frames[-1]) == 6
    assert answer.error["type"]
