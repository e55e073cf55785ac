"""Links behind buttons: nobody else can make one, and none lasts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqtt_bridge import buttons
from mqtt_bridge.buttons import LinkError, Press

SECRET = b"s" * 32
PRESS = Press("voron", "rods", "done", 2000, 7)


def test_a_link_tells_what_was_signed():
    assert buttons.verify(buttons.sign(PRESS, SECRET), SECRET, 1999.0) == PRESS


def test_a_link_expires():
    with pytest.raises(LinkError, match="too old"):
        buttons.verify(buttons.sign(PRESS, SECRET), SECRET, 2001.0)


def test_another_secret_signs_nothing():
    with pytest.raises(LinkError):
        buttons.verify(buttons.sign(PRESS, b"t" * 32), SECRET, 0.0)


@given(st.text(max_size=80))
def test_any_text_is_refused(text):
    with pytest.raises(LinkError):
        buttons.verify(text, SECRET, 0.0)


@given(st.integers(0, 200), st.characters(codec="ascii"))
def test_a_changed_link_is_refused(where, character):
    link = buttons.sign(PRESS, SECRET)
    changed = link[: where % len(link)] + character + link[where % len(link) + 1 :]
    try:
        assert buttons.verify(changed, SECRET, 0.0) == PRESS
    except LinkError:
        assert changed != link
