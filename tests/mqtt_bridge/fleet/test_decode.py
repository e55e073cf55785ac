"""What the fast decoder reads by itself, and what it leaves to the contract."""

from __future__ import annotations

import json

import pytest

from mqtt_bridge import contract
from mqtt_bridge.fleet import decode
from tests.mqtt_bridge import messages as m

FIELDS = {
    "snoozed_until": 1_795_219_200,
    "last_done": 1_795_000_000,
    "due_at": 1_796_000_000,
    "last_by": "anna",
    "done_count": 7,
    "message": "Two drops.",
    "guide": "https://example.org/rods",
    "parts": "Oil",
    "problem": "It has no such meter.",
    "enabled": False,
    "status": "disabled",
    "match": "all",
}


def test_every_field_is_read_as_by_the_contract():
    state = m.state(**FIELDS)
    assert decode.state(state.encode(), "rods") == state


def test_letters_of_other_scripts_are_read():
    state = m.state(label="Öl für die Stangen")
    assert "Öl".encode() in state.encode()
    assert decode.state(state.encode(), "rods") == state


@pytest.mark.parametrize("letter", ["\\u00d6", "\x7f", "\u0085", "\\n"])
def test_texts_that_need_cleaning_are_left_to_the_contract(letter):
    payload = m.state(label="Oil").encode().replace(b"Oil", letter.encode())
    assert decode.state(payload, "rods") is None
    assert contract.State.decode(payload).task == "rods"


def test_a_message_that_is_not_utf_8_is_left_to_the_contract():
    payload = m.state().encode()
    unread = payload[:-1] + b', "of_a_newer_version": "\xff"}'
    assert decode.state(payload[:-1] + b', "newer": "x"}', "rods") == m.state()
    assert decode.state(unread, "rods") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "worn"},
        {"match": "some"},
        {"trigger": "filament"},
        {"task": "belt"},
    ],
)
def test_an_inconsistent_state_is_left_to_the_contract(fields):
    payload = json.dumps(json.loads(m.state().encode()) | fields)
    assert decode.state(payload.encode(), "rods") is None


def test_a_message_has_at_most_the_contracts_number_of_bytes():
    payload = m.state().encode()
    longest = payload + b" " * (contract.MAX_PAYLOAD - len(payload))
    assert decode.state(longest, "rods") == m.state()
    assert decode.parse(longest)["task"] == "rods"

    assert decode.state(longest + b" ", "rods") is None
    with pytest.raises(contract.ContractError, match="more than 1048576 bytes"):
        decode.parse(longest + b" ")
