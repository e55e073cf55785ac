"""Links behind buttons: nobody else can make one, and each expires."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge.push import signed_links
from mqtt_bridge.push.signed_links import ButtonPress, LinkError, UsedLinks

SECRET = b"s" * 32
PRESS = ButtonPress("voron", "rods", "done", 2000, 7)


def test_a_link_has_the_command_that_was_signed():
    assert (
        signed_links.verify(signed_links.sign(PRESS, SECRET), SECRET, 1999.0) == PRESS
    )


def test_a_link_expires():
    with pytest.raises(LinkError, match="too old"):
        signed_links.verify(signed_links.sign(PRESS, SECRET), SECRET, 2001.0)


def test_a_link_signed_with_another_secret_is_refused():
    with pytest.raises(LinkError):
        signed_links.verify(signed_links.sign(PRESS, b"t" * 32), SECRET, 0.0)


@given(st.text(max_size=80))
def test_any_text_is_refused(text):
    with pytest.raises(LinkError):
        signed_links.verify(text, SECRET, 0.0)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_link_is_refused(where, character):
    link = signed_links.sign(PRESS, SECRET)
    changed = link[: where % len(link)] + character + link[where % len(link) + 1 :]
    try:
        assert signed_links.verify(changed, SECRET, 0.0) == PRESS
    except LinkError:
        assert changed != link


def link(body, mac):
    return ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (body, mac)
    )


def test_the_signature_is_half_of_a_sha256_of_the_whole_command():
    """It has 128 bits as in the first version, so links that were sent stay valid."""
    body = b'["voron","rods","done",2000,7,-1]'
    mac = hmac.digest(SECRET, body, "sha256")[:16]
    assert signed_links.sign(PRESS, SECRET) == link(body, mac)


def test_every_bit_of_the_command_and_of_the_signature_is_checked():
    body = b'["voron","rods","done",2000,7,-1]'
    signed = body + hmac.digest(SECRET, body, "sha256")[:16]
    for bit in range(len(signed) * 8):
        changed = bytearray(signed)
        changed[bit // 8] ^= 1 << bit % 8
        parts = bytes(changed[: len(body)]), bytes(changed[len(body) :])
        with pytest.raises(LinkError, match="not made by this bridge"):
            signed_links.verify(link(*parts), SECRET, 0.0)


@pytest.mark.parametrize("length", [0, 1, 8, 15, 17, 32])
def test_a_signature_with_another_length_is_refused(length):
    body = b'["voron","rods","done",2000,7,-1]'
    mac = hmac.digest(SECRET, body, "sha256")
    with pytest.raises(LinkError, match="not made by this bridge"):
        signed_links.verify(link(body, mac[:length]), SECRET, 0.0)


LONGEST = PRESS._replace(printer="p" * 63, task="t" * 63)


@pytest.mark.parametrize("press", [PRESS, LONGEST], ids=["short", "longest"])
@pytest.mark.parametrize("field", ButtonPress._fields)
def test_no_field_can_be_changed_without_a_new_signature(field, press):
    other = press._replace(
        **{field: "x" if isinstance(getattr(press, field), str) else 9999}
    )
    _, mac = signed_links.sign(press, SECRET).split(".")
    body, _ = signed_links.sign(other, SECRET).split(".")
    with pytest.raises(LinkError, match="not made by this bridge"):
        signed_links.verify(f"{body}.{mac}", SECRET, 0.0)


def test_a_link_works_only_once_also_over_restarts():
    used = UsedLinks()
    assert used.take(PRESS, 0.0)
    assert not used.take(PRESS, 0.0)

    again = UsedLinks(json.loads(json.dumps(used.kept())))
    assert not again.take(PRESS, 0.0)
    again.free(PRESS)
    assert again.take(PRESS, 0.0), "a link without an effect can be used again"


def test_a_used_link_is_forgotten_after_it_expires():
    used = UsedLinks()
    used.take(PRESS, 0.0)
    used.take(PRESS._replace(until=5000), 3000.0)

    assert [press.until for press in used.kept()] == [5000]


@pytest.mark.parametrize(
    "kept", [None, 5, {}, [5], [[1, 2]], [["a", "b", "c", "d", 1]]]
)
def test_a_damaged_memory_of_used_links_is_ignored(kept):
    assert UsedLinks(kept).kept() == []


def test_the_number_of_remembered_links_is_limited(monkeypatch):
    monkeypatch.setattr(signed_links, "REMEMBERED", 2)
    used = UsedLinks()
    for number in range(5):
        assert used.take(PRESS._replace(done_count=number), 0.0)
    assert [press.done_count for press in used.kept()] == [3, 4]
