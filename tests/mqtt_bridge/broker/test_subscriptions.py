"""Subscriptions fit every broker. A refused one costs only its own messages."""

from __future__ import annotations

import pytest

from mqtt_bridge.broker.subscriptions import (
    CUTS,
    MOST,
    MOST_LEFT_OUT,
    Subscriptions,
    purpose,
)


def subscriptions(printers=("+",), bases=("base",)):
    return Subscriptions(bases, printers, ["base/_bridge/mark"])


def drain(made):
    parts = []
    while part := made.next():
        made.sent(len(parts) + 1, part)
        parts.append(part)
    return parts


def test_all_printers_need_one_subscribe_packet_of_eight_filters():
    made = subscriptions()
    made.begin()
    [part] = drain(made)
    assert len(part) == MOST == 8
    assert part[:3] == ("base/+/results", "base/+/events", "base/_bridge/mark")


def test_no_subscribe_packet_has_more_than_eight_filters():
    made = subscriptions(tuple(f"p{n}" for n in range(20)), ("a", "b"))
    made.begin()
    parts = drain(made)
    assert max(map(len, parts)) == MOST
    assert sum(map(len, parts)) == 7 * 20 * 2 + 1


def test_a_refused_filter_is_named_and_the_others_are_subscribed():
    made = subscriptions()
    made.begin()
    [part] = drain(made)
    failures = [each.endswith("/events") for each in part]
    assert made.answered(1, failures) == ["base/+/events"]
    assert not made.pending
    assert purpose("base/+/events").startswith("the events")


def test_a_filter_that_ends_the_connection_is_found_and_left_out():
    """EMQX ends the connection with deny_action = disconnect."""
    made = subscriptions()
    guilty = "base/+/meters"
    left_out = []
    for connection in range(CUTS + 1):
        made.begin()
        number = 0
        while part := made.next():
            number += 1
            made.sent(number, part)
            if guilty in part:
                break
            made.answered(number, [False] * len(part))
        assert left_out == [], connection
        left_out = made.cut()
    assert left_out == [guilty]
    made.begin()
    assert all(guilty not in part for part in drain(made))


def test_connections_that_end_for_another_reason_leave_nothing_out():
    made = subscriptions()
    for _ in range(10):
        made.begin()
        for number, part in enumerate(drain(made), 1):
            made.answered(number, [False] * len(part))
        assert made.cut() == []
    assert made.left_out == []


def test_without_wildcards_only_exact_filters_are_subscribed():
    made = subscriptions(("voron",))
    made.begin(wildcards=False)
    filters = [each for part in drain(made) for each in part]
    assert not [each for each in filters if "+" in each]
    assert "base/voron/info" in filters
    assert made.refused == ["base/voron/tasks/+"]


@pytest.mark.parametrize("kind", ["info", "tasks/+", "results", "availability"])
def test_every_kind_of_subscription_has_a_text_for_its_purpose(kind):
    assert "marks" not in purpose(f"base/+/{kind}")
    assert "marks" in purpose("base/_bridge/0a1b")
    assert "not arrived" in purpose("base/voron/tasks/rods")


def test_requests_at_which_connections_end_are_first_left_out_and_then_dropped():
    """Missing topics were requested on each connection, and ended each of them."""
    made = subscriptions()
    for number in range(MOST_LEFT_OUT):
        part = (f"base/p{number}/info",)
        for cut in range(CUTS + 1):
            made.requested(1, part)
            assert made.unanswered
            assert made.cut() == (list(part) if cut == CUTS else [])
        assert made.requestable(part) == []
    assert made.requestable(["base/other/info"]) == []
    made.begin()
    assert drain(made)


def test_an_answered_request_shows_that_earlier_ends_had_another_reason():
    made = subscriptions()
    for _ in range(CUTS + 2):
        made.requested(1, ("base/+/+",))
        made.answered(1, [False])
        made.requested(2, ("base/+/tasks/#",))
        assert made.cut() == []
    assert made.requestable(["base/+/+"]) == ["base/+/+"]
