"""Who can use the page."""

from __future__ import annotations

import pytest

from mqtt_bridge.web.access import Access

TOKEN = "correct horse"


def test_only_the_token_in_the_header_or_its_cookie_gives_access():
    access = Access(token=TOKEN)
    assert access.admits("", f"Bearer {TOKEN}")
    assert access.admits(access.cookie, "")
    assert not access.admits("", "")
    assert not access.admits("", "Bearer wrong")
    assert not access.admits("wrong", "Basic correct")
    assert not access.admits(TOKEN, ""), "the cookie must not be the token"


def test_a_new_token_makes_all_cookies_invalid():
    assert Access(token=TOKEN).cookie != Access(token=TOKEN + "2").cookie


def test_without_a_token_everybody_has_access():
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
def test_a_page_without_a_token_answers_only_to_its_own_names(host, ours):
    """Another web site could let its own host name point to our address."""
    assert Access(hosts=("upkeep.local",)).is_ours(host) is ours


def test_with_a_token_the_host_name_does_not_matter():
    assert Access(token=TOKEN).is_ours("printers.example")
