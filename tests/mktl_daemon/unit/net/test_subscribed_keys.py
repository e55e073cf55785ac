"""Which keys may have subscribers, by the messages of an XPUB."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mktl_daemon.net import subscribed_keys
from mktl_daemon.net.subscribed_keys import SubscribedKeys


def noted(*messages):
    keys = SubscribedKeys()
    for message in messages:
        keys.note(message)
    return keys.first_parts


def test_a_subscription_counts_for_all_keys_with_its_first_part():
    topics = (b"upkeep.voron.rails.used.", b"upkeep.ender.", b"upkeep.voron.nam")
    assert noted(*(b"\1" + topic for topic in topics)) == {"voron", "ender"}


@pytest.mark.parametrize("topic", [b"", b"up", b"upkeep", b"upkeep.", b"upkeep.vor"])
def test_a_subscription_that_ends_within_the_first_part_counts_for_all_keys(topic):
    assert noted(b"\1upkeep.voron.", b"\1" + topic, b"\1upkeep.ender.") is None


def test_the_end_of_a_subscription_changes_nothing():
    """ZeroMQ passes it on for a subscriber that never had the subscription, too."""
    assert noted(b"\1upkeep.voron.", b"\0upkeep.voron.") == {"voron"}


def test_any_other_message_changes_nothing():
    assert noted(b"", b"\2upkeep.voron.", b"upkeep.voron.") == set()


def test_very_many_subscriptions_count_for_all_keys(monkeypatch):
    monkeypatch.setattr(subscribed_keys, "_MOST", 2)
    messages = [b"\1upkeep.%d." % number for number in range(3)]
    assert noted(*messages[:2]) == {"0", "1"}
    assert noted(*messages) is None


@given(st.binary(max_size=12), st.text("ab.é", min_size=1, max_size=8))
def test_no_topic_with_the_subscribed_beginning_is_left_out(prefix, key):
    parts = noted(b"\1" + prefix)
    if f"a.{key}.".encode().startswith(prefix):
        assert parts is None or key.partition(".")[0] in parts
