"""The inbox: in a flood the newest state of a topic is kept, and no event is lost."""

from __future__ import annotations

from mqtt_bridge.broker import inbox
from mqtt_bridge.broker.inbox import Inbox


def test_the_newest_state_of_a_topic_is_kept():
    box = Inbox()
    for number in range(1000):
        box.state("a", b"%d" % number)
        box.message("events", b"%d" % number)

    batch = box.take()
    assert batch.states == {"a": b"999"}
    assert len(batch.messages) == 1000
    assert box.superseded == 999


def test_online_is_read_after_the_values_before_it():
    box = Inbox()
    box.state("p/availability", b"online")
    box.state("p/tasks/rods", b"1")
    box.state("p/availability", b"online")

    assert list(box.take().states) == ["p/tasks/rods", "p/availability"]


def test_a_task_that_is_published_again_and_again_keeps_its_place():
    box = Inbox()
    box.state("p/tasks/rods", b"1")
    box.state("p/tasks/belt", b"1")
    box.state("p/tasks/rods", b"2")

    assert list(box.take().states) == ["p/tasks/rods", "p/tasks/belt"]


def test_a_flood_is_read_in_portions(monkeypatch):
    monkeypatch.setattr(inbox, "PORTION", 2)
    box = Inbox()
    for number in range(3):
        box.state(f"{number}", b"")

    assert [(len(b.states), b.last) for b in (box.take(), box.take())] == [
        (2, False), (1, True),
    ]  # fmt: skip


def test_the_inbox_is_full_until_it_is_read(monkeypatch):
    monkeypatch.setattr(inbox, "FULL", 10)
    monkeypatch.setattr(inbox, "OVERHEAD", 0)
    box = Inbox()
    box.state("a", b"x" * 8)
    box.state("a", b"y" * 8)
    assert not box.full, "the older state was replaced"

    box.message("events", b"z" * 8)
    assert box.full
    box.take()
    assert not box.full


def test_states_of_a_lost_connection_can_be_forgotten():
    box = Inbox()
    box.state("p/availability", b"online")
    box.state("p/info", b"x")
    box.forget("availability")

    assert list(box.take().states) == ["p/info"]


def test_empty_messages_take_room_too():
    """Empty payloads on more and more topics fill the inbox like all others."""
    box = Inbox()
    for number in range(inbox.FULL // inbox.OVERHEAD):
        box.state(f"{number}", b"")
    assert box.full

    while box.waiting:
        box.take()
    assert box.size == 0


def test_writers_do_not_wait_for_a_reader_that_has_ended():
    box = Inbox()
    assert box.offer(list)
    box.close()

    assert not box.offer(list)
    assert box.take().calls == [list]


def test_the_inbox_holds_at_most_64_mib():
    assert inbox.FULL == 64 * 1024 * 1024


def test_a_retained_state_is_read_after_the_waiting_live_one():
    """Some brokers send it late: read earlier, it would replace its own successor."""
    box = Inbox()
    box.state("p/tasks/rods", b"live")
    for payload in (b"live", b"retained", b"again"):
        box.state("p/tasks/rods", payload, retained=True)

    batch = box.take()
    assert (batch.states, batch.last) == ({"p/tasks/rods": b"live"}, False)
    batch = box.take()
    assert (batch.states, batch.last) == ({"p/tasks/rods": b"again"}, True)
    assert not box.waiting
    assert box.size == 0


def test_a_retained_state_without_a_waiting_one_is_read_at_once():
    box = Inbox()
    box.state("p/tasks/rods", b"retained", retained=True)
    box.state("p/tasks/rods", b"live")
    assert box.take().states == {"p/tasks/rods": b"live"}


def test_a_live_availability_message_is_never_the_older_one():
    box = Inbox()
    box.state("p/availability", b"offline")
    box.state("p/availability", b"online", retained=True)
    assert box.take().states == {"p/availability": b"offline"}
    assert not box.waiting
    for payload in (b"online", b"offline"):
        box.state("p/availability", payload, retained=True)
    assert box.take().states == {"p/availability": b"offline"}
