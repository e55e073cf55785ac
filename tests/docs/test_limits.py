"""The limits in docs/security.md are those of the program, and each has a test."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from klippy_extra import contract as printers_contract
from klippy_extra.mqtt import intake, namesake, pace
from mqtt_bridge import contract, events, http_server
from mqtt_bridge.broker import cuts, inbox, packets, receiver
from mqtt_bridge.fleet import fleet, transactions
from mqtt_bridge.push import memory, rules, sender, signed_links
from mqtt_bridge.web import connections, server, streams

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
MIB = 1 << 20

# The rows: what is limited, the limit, and the tests that fail without it.
ROWS = {
    "a message": (
        f"{packets.MAX_PAYLOAD // MIB} MiB; CONNECT says this to an MQTT 5 broker",
        "test_a_payload_of_more_than_a_megabyte_is_skipped_and_acknowledged",
        "test_a_message_that_is_too_long_is_dropped_and_its_topic_named_once",
        "test_the_bridge_tells_the_broker_its_own_maximum_packet_size",
    ),
    "messages that wait to be read": (
        f"{inbox.FULL // MIB} MiB",
        "test_the_inbox_is_full_until_it_is_read",
        "test_the_messages_that_wait_are_limited_and_none_is_lost",
    ),
    "printers": (
        f"{fleet.MAX_PRINTERS:,}",
        "test_the_number_of_printers_is_limited_and_the_known_ones_go_on",
    ),
    "tasks or meters of a printer; limits of a task": (
        f"{fleet.MAX_TASKS:,}; {contract.MAX_LIMITS}",
        "test_the_number_of_tasks_of_a_printer_is_limited",
        "test_the_number_of_tasks_and_meters_in_an_info_message_is_limited",
        "test_integers_texts_and_limits_have_a_maximum",
    ),
    "items of the tasks of one printer; of all printers": (
        f"{fleet.MAX_PRINTER_ITEMS:,}; {fleet.MAX_ITEMS:,}",
        "test_the_number_of_items_is_limited_for_a_printer_and_for_all",
    ),
    "a count": (
        f"2^{contract.MAX_COUNT.bit_length() - 1}",
        "test_integers_texts_and_limits_have_a_maximum",
    ),
    "a text": (
        f"{contract.MAX_LONG:,} characters",
        "test_integers_texts_and_limits_have_a_maximum",
    ),
    "events of a printer": (
        f"{events.BURST:,.0f} at once, then {events.RATE:g} a second",
        "test_events_of_a_printer_that_floods_are_dropped_and_no_others",
    ),
    "events that wait for retained messages; for messages to people": (
        f"{events.MOST_EARLY:,}; {sender.MOST_EVENTS:,}",
        "test_the_number_of_events_that_wait_for_states_is_limited",
        "test_the_number_of_events_that_wait_for_the_queue_is_limited",
    ),
    "open commands: all; for one printer; for one task; of one client": (
        (
            f"{transactions.MAX_OPEN:,}; {transactions.MAX_FOR_PRINTER:,}; "
            f"{transactions.MAX_FOR_TASK}; {transactions.MAX_OF_CLIENT}"
        ),
        "test_the_number_of_waiting_commands_is_limited",
        "test_one_printer_or_one_client_cannot_take_all_places",
        "test_one_task_cannot_take_all_places_of_its_printer",
    ),
    "calls in one turn of the bridge": (
        f"{inbox.CALLS}",
        "test_a_flood_of_calls_is_read_in_portions",
    ),
    "push messages to one address about one printer": (
        f"{rules.BURST:g} at once, then {60 / rules.REFILL:g} a minute",
        "test_many_messages_to_one_address_are_sent_as_one",
        "test_more_messages_than_people_can_read_are_only_counted",
    ),
    "push messages that wait": (
        f"{rules.MOST_WAITING:,}",
        "test_waiting_messages_are_limited_and_the_oldest_are_dropped",
    ),
    "events that the bridge remembers as sent; printers of which it remembers how many "
    "events they sent": (
        f"{rules.REMEMBERED:,}; {rules.MOST_PRINTERS:,}",
        "test_the_number_of_remembered_events_is_limited",
        "test_the_number_of_remembered_events_is_limited",
        "test_the_number_of_printers_with_counted_events_is_limited",
        "test_the_number_of_printers_and_rates_is_limited",
        "test_the_number_of_remembered_printers_and_links_is_limited",
    ),
    "connections to the server of the links or of the metrics; seconds for a request": (
        f"{http_server.MOST}; {http_server.WHOLE:g}",
        "test_twenty_slow_connections_do_not_lock_out_others",
        "test_a_request_that_is_sent_slowly_has_one_deadline",
    ),
    "connections to the page; browsers that follow its changes": (
        f"{connections.MOST}; {streams.MOST}",
        "test_connections_without_a_request_do_not_block_the_page",
        "test_the_oldest_of_many_connections_with_a_request_is_closed",
        "test_the_number_of_browsers_that_follow_is_limited",
    ),
    "changes of the page that wait for a slow browser": (
        f"{streams.BEHIND}",
        "test_a_slow_browser_is_disconnected_and_others_get_their_changes",
    ),
    "a command to the page; seconds until it has arrived": (
        f"{server.MOST_BODY >> 10} KiB; {server.WHOLE:g}",
        "test_a_command_to_the_page_has_a_maximum_size_and_a_deadline",
    ),
    "used links of buttons that the bridge remembers": (
        f"{signed_links.REMEMBERED:,}",
        "test_the_number_of_remembered_links_is_limited",
        "test_the_number_of_remembered_printers_and_links_is_limited",
    ),
    "topics and reasons that the log names": (
        f"{receiver.MOST_NAMED:,}",
        "test_the_log_names_no_more_topics_than_the_limit",
    ),
    "topics at which the broker ends connections": (
        f"{cuts.MOST:,}",
        "test_the_number_of_remembered_topics_is_limited",
    ),
}
# Sentences of the text about the printer, and their tests.
SENTENCES = {
    f"at most {pace.A_SECOND:.0f} small messages a second": (
        "test_the_messages_read_in_a_second_are_bounded_in_number_and_in_bytes",
    ),
    f"a message of 1 MiB counts as {1 + MIB // pace.SMALL}": (
        "test_the_messages_read_in_a_second_are_bounded_in_number_and_in_bytes",
    ),
    f"an `info` over {intake.LARGEST_INFO >> 10} kilobytes without reading": (
        "test_an_info_message_that_is_too_large_is_not_read",
    ),
    "only the newest message of each retained topic": (
        "test_only_the_newest_message_of_each_topic_waits",
    ),
    f"with {1000 * intake.TURN_EVERY:.0f} ms between two such turns": (
        "test_one_turn_of_the_reactor_carries_out_only_a_few_commands",
    ),
    f"at most {intake.WAITING} commands wait": (
        "test_commands_that_are_too_many_are_refused_with_a_result",
    ),
    "the console says so once": ("test_the_console_shows_a_flood_of_commands_once",),
    f"is answered at most once in {'ten' if namesake.DEFEND_EVERY == 10 else '?'} "
    "seconds": ("test_another_printer_with_this_name_is_answered_once_in_ten_seconds",),
    "Commands over four kilobytes are refused": (
        "test_a_command_has_at_most_four_kilobytes",
    ),
    "retained commands are ignored": ("test_a_retained_command_is_not_carried_out",),
    "this happens outside of the bridge's turn": (
        "test_a_request_that_can_be_refused_at_once_takes_no_turn",
    ),
    "only this printer is left out": (
        "test_a_printer_that_cannot_be_shown_does_not_hide_the_metrics_of_others",
    ),
}


def rows() -> dict[str, str]:
    """Return the first two columns of the table."""
    text = PAGE.partition("## Limits for incoming messages")[2]
    cells = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    return {what: most for what, most in cells[1:] if set(what) != {"-"}}


@cache
def names_of_tests() -> frozenset[str]:
    names: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names |= set(re.findall(r"def (test_\w+)\(", path.read_text()))
    return frozenset(names)


def test_every_limit_on_the_page_is_the_programs():
    assert rows() == {what: most for what, (most, *_) in ROWS.items()}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_sentences_about_limits_are_true(sentence):
    assert sentence in PAGE.replace("\n", " ")


def test_every_limit_has_a_test():
    named = {test for _, *tests in ROWS.values() for test in tests}
    named |= {test for tests in SENTENCES.values() for test in tests}
    assert named - names_of_tests() == set()


def test_equal_limits_in_several_modules_agree():
    assert memory.REMEMBERED == rules.REMEMBERED
    assert events.MAX_PRINTERS == rules.MOST_PRINTERS == fleet.MAX_PRINTERS
    assert receiver.MOST_NAMED == fleet.MAX_COMPLAINTS == events.MOST_NAMED
    assert printers_contract.MAX_COMMAND == contract.MAX_COMMAND == 4096
    assert contract.MAX_PAYLOAD == packets.MAX_PAYLOAD
    assert intake.A_TURN == 2
