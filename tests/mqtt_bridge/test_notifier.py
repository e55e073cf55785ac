"""The notifier: who is told what, when, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mqtt_bridge.contract import Event
from mqtt_bridge.notifier import GIVE_UP, Notifier, Told
from mqtt_bridge.settings import Push, Rule

NOON = 12 * 3600.0  # of 1 January 1970
MIDNIGHT = 24 * 3600.0


def told(event="due", seq=1, task="rods", printer="voron", done_count=0, **fields):
    fields = {"label": "Oil the rods", "message": "One drop.", **fields}
    made = Event(seq, 0.0, task, event, **fields)
    return Told(printer, "Voron", "http://voron", made, done_count)


def notifier(*rules, **push):
    return Notifier(
        Push(rules=rules or (Rule(to=("a://",)),), **push),
        lambda when: datetime.fromtimestamp(when, UTC),
    )


def sent(made, now):
    """What is sent at *now*, and that it was."""
    notes = made.due(now)
    for each in notes:
        made.sent(each)
    return [each.note for each in notes]


def test_an_event_becomes_a_note_in_the_rules_words():
    made = notifier(Rule(to=("a://",), title="{label}", text="{what} on {slug}"))

    assert made.happened(told(guide="http://guide"), NOON)
    [note] = sent(made, NOON)
    assert (note.title, note.text) == ("Oil the rods", "It is due on voron")
    assert (note.guide, note.url) == ("http://guide", "http://voron")


def test_an_event_is_told_once():
    made = notifier()
    assert made.happened(told(), NOON)
    assert not made.happened(told(), NOON)
    assert len(sent(made, NOON)) == 1
    assert made.happened(told(seq=2), NOON)


def test_an_event_is_told_once_over_restarts():
    made = notifier()
    made.happened(told(), NOON)
    sent(made, NOON)

    again = notifier()
    again.restore(made.kept())
    assert not again.happened(told(), NOON)


def test_what_was_being_sent_at_a_stop_is_sent_after_it():
    made = notifier()
    made.happened(told(), NOON)
    made.due(NOON)

    again = notifier()
    again.restore(made.kept())
    assert len(sent(again, NOON)) == 1


@pytest.mark.parametrize("kept", [None, [], {"told": 5}, {"waiting": [[1], 2, None]}])
def test_a_damaged_memory_is_left_out(kept):
    made = notifier()
    made.restore(kept)

    assert made.happened(told(), NOON)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"printers": ("v*",)}, True),
        ({"printers": ("ender",)}, False),
        ({"tasks": ("belt", "ro?s")}, True),
        ({"tasks": ("belt",)}, False),
        ({"events": ("soon", "due")}, True),
        ({"events": ("done",)}, False),
    ],
)
def test_a_rule_chooses_by_printer_task_and_event(rule, fits):
    made = notifier(Rule(to=("a://",), **rule))

    assert made.happened(told(), NOON) is fits


@pytest.mark.parametrize(
    ("hour", "waits"), [(21, 0), (22, 9), (23, 8), (24, 7), (30, 1), (31, 0), (36, 0)]
)
def test_in_quiet_hours_nothing_is_sent(hour, waits):
    """From 22:00 to 07:00, over midnight."""
    made = notifier(quiet=(22 * 60, 7 * 60))
    now = hour * 3600.0
    made.happened(told(), now)

    assert made.next() == now + waits * 3600
    assert len(sent(made, now)) == (not waits)
    assert len(sent(made, now + waits * 3600)) == bool(waits)


def test_what_waited_is_told_together():
    made = notifier(quiet=(22 * 60, 7 * 60))
    for seq in range(3):
        made.happened(told(seq=seq, label=f"Task {seq}"), MIDNIGHT)

    [note] = sent(made, MIDNIGHT + 7 * 3600)
    assert "3 messages" in note.title
    assert [f"Task {seq}" in note.text for seq in range(3)] == [True] * 3


def test_a_digest_is_sent_once_a_day():
    made = notifier(digest=8 * 60)
    made.happened(told(seq=1), NOON)
    made.happened(told(seq=2), NOON + 3600)

    assert sent(made, NOON + 19 * 3600) == []
    assert len(sent(made, NOON + 20 * 3600)) == 1


def test_each_address_is_tried_again_by_itself():
    made = notifier(Rule(to=("a://", "b://")))
    made.happened(told(), NOON)
    first, second = made.due(NOON)
    made.sent(first)
    assert made.failed(second, NOON)

    assert made.due(NOON) == []
    [again] = made.due(made.next())
    assert again.note.address == 1
    assert made.failed(again, NOON + 10)
    assert made.next() > NOON + 30, "the pauses grow"


def test_after_two_days_it_is_no_news():
    made = notifier()
    made.happened(told(), NOON)
    [waiting] = made.due(NOON)

    assert not made.failed(waiting, NOON + GIVE_UP + 1)
    assert made.waiting == 0


def test_only_what_asks_for_work_gets_buttons():
    made = notifier(Rule(to=("a://",), events=("due", "done"), buttons=True))
    made.happened(told("due", 1), NOON)
    made.happened(told("done", 2), NOON)

    assert [note.task for note in sent(made, NOON)] == ["rods", ""]


def test_what_became_due_while_nobody_listened_is_told_once():
    made = notifier()
    assert made.stands(told(seq=5), NOON)
    assert not made.stands(told(seq=6), NOON), "it still stands so"
    assert made.stands(told(seq=7, done_count=1), NOON), "it was done in between"


def test_what_was_told_when_it_happened_is_not_told_as_standing():
    made = notifier()
    made.happened(told(seq=5), NOON)

    assert not made.stands(told(seq=9), NOON)


def test_what_is_known_from_the_beginning_is_not_told():
    made = notifier()
    made.known(told())

    assert not made.stands(told(), NOON)
    assert made.happened(told(), NOON), "a reminder is"
