"""The notifier: which message is sent to whom and when, and never twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mqtt_bridge.contract import Event
from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.push import rules
from mqtt_bridge.push.rules import (
    BURST,
    GIVE_UP,
    MOST_HELD,
    REFILL,
    PushQueue,
    Rate,
)
from mqtt_bridge.settings import Push, Rule

NOON = 12 * 3600.0  # seconds of 1 January 1970
MIDNIGHT = 24 * 3600.0


def event_of(event="due", seq=1, task="rods", printer="voron", done_count=0, **fields):
    fields = {"label": "Oil the rods", "message": "One drop.", **fields}
    made = Event(seq, 0.0, task, event, **fields)
    return PrinterEvent(printer, "Voron", "http://voron", made, done_count)


def notifier(*rules, zone=UTC, **push):
    return PushQueue(
        Push(rules=rules or (Rule(to=("a://",)),), **push),
        lambda when: datetime.fromtimestamp(when, zone),
    )


def sent(made, now):
    """Return the messages that are due at *now*, and mark them as sent."""
    notes = made.due(now)
    for each in notes:
        made.sent(each)
    return [each.note for each in notes]


def kept(made):
    """Return what the memory has of *made*, as it is restored after a restart."""
    memory = made.__dict__.setdefault("memory", {"told": [], "printers": [], "w": {}})
    for kind, *values in made.entries():
        if kind == "told":
            memory["told"].append(values[0])
        elif kind == "printer":
            memory["printers"].append(values[0])
        elif kind == "waiting":
            memory["w"][values[0]] = [values[0], *json.loads(values[1])]
        else:
            memory["w"].pop(values[0], None)
    return {**memory, "waiting": list(memory["w"].values())}


def test_an_event_becomes_a_message_with_the_rules_texts():
    made = notifier(Rule(to=("a://",), title="{label}", text="{what} on {slug}"))

    assert made.happened(event_of(guide="http://guide"), NOON)
    [note] = sent(made, NOON)
    assert (note.title, note.text) == ("Oil the rods", "It is due on voron")
    assert (note.guide, note.url) == ("http://guide", "http://voron")


def test_an_event_is_sent_once():
    made = notifier()
    assert made.happened(event_of(), NOON)
    assert not made.happened(event_of(), NOON)
    assert len(sent(made, NOON)) == 1
    assert made.happened(event_of(seq=2), NOON)


def test_an_event_is_sent_once_also_over_restarts():
    made = notifier()
    made.happened(event_of(), NOON)
    sent(made, NOON)

    again = notifier()
    again.restore(kept(made))
    assert not again.happened(event_of(), NOON)


def test_a_message_that_was_not_yet_sent_at_a_stop_is_sent_later():
    made = notifier()
    made.happened(event_of(), NOON)
    made.due(NOON)

    again = notifier()
    again.restore(kept(made))
    assert len(sent(again, NOON)) == 1


@pytest.mark.parametrize(
    "kept",
    [
        None, [], {"told": 5}, {"waiting": [[1], 2, None]}, {"waiting": 5},
        {"printers": 5}, {"waiting": {"a": 1}},
    ],
)  # fmt: skip
def test_a_damaged_memory_is_ignored(kept):
    made = notifier()
    made.restore(kept)

    assert made.happened(event_of(), NOON)


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

    assert made.happened(event_of(), NOON) is fits


@pytest.mark.parametrize(
    ("hour", "waits"), [(21, 0), (22, 9), (23, 8), (24, 7), (30, 1), (31, 0), (36, 0)]
)
def test_nothing_is_sent_in_quiet_hours(hour, waits):
    """They are from 22:00 to 07:00, over midnight."""
    made = notifier(quiet=(22 * 60, 7 * 60))
    now = hour * 3600.0
    made.happened(event_of(), now)

    assert made.next() == now + waits * 3600
    assert len(sent(made, now)) == (not waits)
    assert len(sent(made, now + waits * 3600)) == bool(waits)


def test_messages_that_waited_are_sent_as_one():
    made = notifier(quiet=(22 * 60, 7 * 60))
    for seq in range(3):
        made.happened(event_of(seq=seq, label=f"Task {seq}"), MIDNIGHT)

    [note] = sent(made, MIDNIGHT + 7 * 3600)
    assert "3 messages" in note.title
    assert [f"Task {seq}" in note.text for seq in range(3)] == [True] * 3


def test_a_digest_is_sent_once_a_day():
    made = notifier(digest=8 * 60)
    made.happened(event_of(seq=1), NOON)
    made.happened(event_of(seq=2), NOON + 3600)

    assert sent(made, NOON + 19 * 3600) == []
    assert len(sent(made, NOON + 20 * 3600)) == 1


BERLIN = ZoneInfo("Europe/Berlin")


def berlin(*moment):
    return datetime(*moment, tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("setting", "now", "then"),
    [
        # Clocks go back from 3 to 2 on 25 October, and forward from 2 to 3 on 29 March.
        ({"quiet": "22-7"}, (2026, 10, 24, 23), (2026, 10, 25, 7)),
        ({"quiet": "22-7"}, (2026, 3, 28, 23), (2026, 3, 29, 7)),
        ({"digest": "8"}, (2026, 10, 24, 9), (2026, 10, 25, 8)),
        ({"digest": "8"}, (2026, 3, 28, 9), (2026, 3, 29, 8)),
        ({"digest": "8"}, (2026, 7, 1, 8), (2026, 7, 2, 8)),
        # On that day there is no 02:30. The message is sent at 03:30.
        ({"digest": "2:30"}, (2026, 3, 28, 9), (2026, 3, 29, 3, 30)),
    ],
)
def test_times_of_day_are_local_times_when_clocks_change(setting, now, then):
    times = {
        "22-7": (22 * 60, 7 * 60),
        "8": 8 * 60,
        "2:30": 150,
    }
    made = notifier(
        zone=BERLIN, **{name: times[text] for name, text in setting.items()}
    )
    made.happened(event_of(), berlin(*now))

    assert made.next() == berlin(*then)


def test_in_an_hour_that_comes_twice_the_quiet_time_ends_after_the_second():
    """The quiet time ends at 02:30, and it is 02:15 for the second time."""
    made = notifier(zone=BERLIN, quiet=(22 * 60, 150))
    now = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1).timestamp()
    made.happened(event_of(), now)

    assert made.next() == now + 900


def test_a_failed_message_is_not_repeated_in_quiet_hours():
    made = notifier(quiet=(22 * 60, 7 * 60))
    late = 22 * 3600.0 - 1
    for seq in range(2):
        made.happened(event_of(seq=seq), late)
    for each in made.due(late):
        assert made.failed(each, late)

    assert made.next() == 31 * 3600
    assert len(made.due(31 * 3600.0)) == 1, "both messages are sent as one"


def test_a_digest_that_fails_is_repeated_on_the_same_day():
    made = notifier(digest=8 * 60)
    made.happened(event_of(), 0.0)
    [waiting] = made.due(8 * 3600.0)
    made.failed(waiting, 8 * 3600.0)

    assert made.next() < 9 * 3600


def test_a_waiting_message_is_sent_only_to_its_own_address():
    made = notifier(Rule(to=("a://", "b://")))
    made.happened(event_of(), NOON)
    remembered = kept(made)
    assert "a://" not in str(remembered), "an address may have a token"

    again = notifier(Rule(to=("c://", "b://")))
    again.restore(remembered)
    assert [note.address for note in sent(again, NOON)] == [1]


def test_a_failed_message_is_repeated_only_for_its_address():
    made = notifier(Rule(to=("a://", "b://")))
    made.happened(event_of(), NOON)
    first, second = made.due(NOON)
    made.sent(first)
    assert made.failed(second, NOON)

    assert made.due(NOON) == []
    [again] = made.due(made.next())
    assert again.note.address == 1
    assert made.failed(again, NOON + 10)
    assert made.next() > NOON + 30, "each pause is longer than the last"


def test_a_message_is_dropped_after_two_days():
    made = notifier()
    made.happened(event_of(), NOON)
    [waiting] = made.due(NOON)

    assert not made.failed(waiting, NOON + GIVE_UP + 1)
    assert made.waiting == 0


def test_only_messages_about_due_tasks_have_buttons():
    made = notifier(Rule(to=("a://",), events=("due", "done"), buttons=True))
    made.happened(event_of("due", 1), NOON)
    made.happened(event_of("done", 2), NOON)

    assert [note.task for note in sent(made, NOON)] == ["rods", ""]


VORON = frozenset(["voron"])


def known_notifier():
    """A notifier that has seen the printer before."""
    made = notifier()
    made.stand(VORON, [], NOON)
    return made


def test_a_task_that_became_due_without_the_bridge_is_reported_once():
    made = known_notifier()
    assert made.stand(VORON, [event_of(seq=5)], NOON)
    assert not made.stand(VORON, [event_of(seq=6)], NOON), (
        "the task is still due since the same time"
    )
    assert made.stand(VORON, [event_of(seq=7, done_count=1)], NOON), (
        "the task was done in between"
    )
    assert made.waiting == 2


def test_an_event_that_was_sent_is_not_sent_again_as_a_due_task():
    made = known_notifier()
    made.happened(event_of(seq=5), NOON)

    assert not made.stand(VORON, [event_of(seq=9)], NOON)


def test_tasks_that_are_due_when_a_printer_first_appears_are_not_reported():
    """They are not reported later either. Events from then on are."""
    made = notifier()
    made.stand(VORON, [event_of()], NOON)
    made.stand(VORON, [event_of()], NOON)
    assert made.waiting == 0

    assert made.happened(event_of(), NOON), "a reminder is a new event"
    assert made.stand(VORON, [event_of(done_count=1)], NOON)


def test_a_known_printer_is_still_known_after_a_restart():
    again = notifier()
    again.restore(kept(known_notifier()))

    assert again.stand(VORON, [event_of()], NOON)
    assert again.waiting == 1


def test_a_printer_that_moved_to_another_bridge_is_new_when_it_comes_back():
    """The other bridge has reported its due tasks in between."""
    away = notifier()
    away.restore(kept(known_notifier()), owns=lambda printer: False)
    back = notifier()
    back.restore(kept(away))
    back.stand(VORON, [event_of()], NOON)

    assert back.waiting == 0


def test_many_messages_to_one_address_are_sent_as_one():
    """Ten messages in a second would make a phone vibrate ten times.

    It gets five, then one.
    """
    made = notifier()
    for seq in range(12):
        made.happened(event_of(seq=seq), NOON)
    made.happened(event_of(printer="ender"), NOON)
    at_once = sent(made, NOON)
    assert len(at_once) == BURST + 1
    assert "ender" in {note.printer for note in at_once}

    assert NOON < made.next() <= NOON + REFILL
    [batch] = sent(made, made.next())
    assert batch.title == "Maintenance: 7 messages"


def test_more_messages_than_people_can_read_are_only_counted():
    made = notifier()
    for seq in range(200):
        made.happened(event_of(seq=seq), NOON)
    assert made.waiting <= BURST + MOST_HELD
    sent(made, NOON)
    [batch] = sent(made, made.next())
    assert batch.title == "Maintenance: 195 messages"
    assert batch.text.endswith("\n185 more")
    assert batch.text.count("\n") == 10


def test_long_texts_are_cut():
    made = notifier(Rule(to=("a://",), title="{label}", text="{message}"))
    made.happened(event_of(label="x" * 1000, message="y" * 5000), NOON)
    [note] = sent(made, NOON)
    assert (len(note.title), len(note.text)) == (250, 3500)


def test_a_link_that_is_no_web_page_is_left_out():
    made = notifier()
    made.happened(event_of(guide="javascript:alert(1)"), NOON)
    assert sent(made, NOON)[0].guide == ""


def test_the_number_of_remembered_events_is_limited(monkeypatch):
    monkeypatch.setattr(rules, "REMEMBERED", 4)
    made = notifier()
    for seq in range(10):
        made.happened(event_of(seq=seq), NOON)
    assert not made.happened(event_of(seq=9), NOON)
    assert not made.happened(event_of(seq=8), NOON)
    assert made.happened(event_of(seq=5), NOON)


def test_waiting_messages_are_limited_and_the_oldest_are_dropped(monkeypatch):
    """An address that fails for two days must not fill the memory."""
    monkeypatch.setattr(rules, "MOST_WAITING", 3)
    made = notifier()
    for number in range(5):
        made.happened(event_of(printer=f"p{number}"), NOON)
    assert made.dropped == 2
    assert len(kept(made)["waiting"]) == 3
    assert [note.printer for note in sent(made, NOON)] == ["p2", "p3", "p4"]


def test_the_number_of_printers_and_rates_is_limited(monkeypatch):
    """A client that may publish can invent names. The newest are remembered."""
    monkeypatch.setattr(rules, "MOST_PRINTERS", 2)
    made, rate = notifier(), Rate()
    for slug in ("a", "b", "c"):
        assert made.stand(frozenset({slug}), [], NOON), "a new one is kept"
        for _ in range(int(BURST)):
            assert rate.due((0, 0, slug), NOON) == NOON
        assert rate.due((0, 0, slug), NOON) > NOON
    assert not made.stand(frozenset({"b", "c"}), [], NOON)
    assert rate.due((0, 0, "c"), NOON) > NOON
    assert made.stand(frozenset({"a"}), [], NOON)
    assert rate.due((0, 0, "a"), NOON) == NOON
