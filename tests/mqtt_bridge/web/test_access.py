"""Who may use the page."""

from __future__ import annotations

import pytest

from mqtt_bridge.web.access import Access

TOKEN = "correct horse"


def test_a_token_lets_in_by_header_or_by_its_cookie_and_nothing_else_does():
    access = Access(token=TOKEN)
    assert access.admits("", f"Bearer {TOKEN}")
    assert access.admits(access.cookie, "")
    assert not access.admits("", "")
    assert not access.admits("", "Bearer wrong")
    assert not access.admits("wrong", "Basic correct")
    assert not access.admits(TOKEN, ""), "the cookie is not the token"


def test_another_token_ends_every_cookie():
    assert Access(token=TOKEN).cookie != Access(token=TOKEN + "2").cookie


def test_without_a_token_everybody_is_let_in():
    assert Access().admits("", "")


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost:8128", True),
        ("127.0.0.1", True),
        ("192.168.1.7:8128", True),
        ("[::1]:8128", True),
        ("upkeep.local:8128", True),
        ("UPKEEP.local", True),
        ("evil.example", False),
        ("evil.example:8128", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_an_open_page_answers_to_its_own_names_alone(host, ours):
    """A foreign page could come in the name of a host that it moves to our address."""
    assert Access(hosts=("upkeep.local",)).is_ours(host) is ours


def test_a_token_makes_the_name_of_the_host_unimportant():
    assert Access(token=TOKEN).is_ours("printers.example")
