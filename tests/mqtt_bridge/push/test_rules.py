"""The notifier: who is told what, when, and never twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mqtt_bridge.contract import Event
from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.push import rules
from mqtt_bridge.push.rules import BURST, GIVE_UP, MOST_HELD, REFILL, PushQueue
from mqtt_bridge.settings import Push, Rule

NOON = 12 * 3600.0  # of 1 January 1970
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
    """What is sent at *now*, and that it was."""
    notes = made.due(now)
    for each in notes:
        made.sent(each)
    return [each.note for each in notes]


def kept(made):
    """What a memory has of *made*, as it is given back after a restart."""
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


def test_an_event_becomes_a_note_in_the_rules_words():
    made = notifier(Rule(to=("a://",), title="{label}", text="{what} on {slug}"))

    assert made.happened(event_of(guide="http://guide"), NOON)
    [note] = sent(made, NOON)
    assert (note.title, note.text) == ("Oil the rods", "It is due on voron")
    assert (note.guide, note.url) == ("http://guide", "http://voron")


def test_an_event_is_told_once():
    made = notifier()
    assert made.happened(event_of(), NOON)
    assert not made.happened(event_of(), NOON)
    assert len(sent(made, NOON)) == 1
    assert made.happened(event_of(seq=2), NOON)


def test_an_event_is_told_once_over_restarts():
    made = notifier()
    made.happened(event_of(), NOON)
    sent(made, NOON)

    again = notifier()
    again.restore(kept(made))
    assert not again.happened(event_of(), NOON)


def test_what_was_being_sent_at_a_stop_is_sent_after_it():
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
def test_a_damaged_memory_is_left_out(kept):
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
def test_in_quiet_hours_nothing_is_sent(hour, waits):
    """From 22:00 to 07:00, over midnight."""
    made = notifier(quiet=(22 * 60, 7 * 60))
    now = hour * 3600.0
    made.happened(event_of(), now)

    assert made.next() == now + waits * 3600
    assert len(sent(made, now)) == (not waits)
    assert len(sent(made, now + waits * 3600)) == bool(waits)


def test_what_waited_is_told_together():
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
        # Clocks are put back from 3 to 2 on 25 October, and forward on 29 March.
        ({"quiet": "22-7"}, (2026, 10, 24, 23), (2026, 10, 25, 7)),
        ({"quiet": "22-7"}, (2026, 3, 28, 23), (2026, 3, 29, 7)),
        ({"digest": "8"}, (2026, 10, 24, 9), (2026, 10, 25, 8)),
        ({"digest": "8"}, (2026, 3, 28, 9), (2026, 3, 29, 8)),
        ({"digest": "8"}, (2026, 7, 1, 8), (2026, 7, 2, 8)),
        # There is no half past two: it is half past three then.
        ({"digest": "2:30"}, (2026, 3, 28, 9), (2026, 3, 29, 3, 30)),
    ],
)
def test_the_clock_on_the_wall_counts_when_clocks_are_changed(setting, now, then):
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


def test_what_comes_in_an_hour_that_comes_twice_waits_for_its_second_end():
    """Quiet until half past two: it is a quarter past two for the second time."""
    made = notifier(zone=BERLIN, quiet=(22 * 60, 150))
    now = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1).timestamp()
    made.happened(event_of(), now)

    assert made.next() == now + 900


def test_what_is_tried_again_keeps_the_quiet_hours():
    made = notifier(quiet=(22 * 60, 7 * 60))
    late = 22 * 3600.0 - 1
    for seq in range(2):
        made.happened(event_of(seq=seq), late)
    for each in made.due(late):
        assert made.failed(each, late)

    assert made.next() == 31 * 3600
    assert len(made.due(31 * 3600.0)) == 1, "both in one"


def test_a_digest_that_fails_is_tried_again_on_the_same_day():
    made = notifier(digest=8 * 60)
    made.happened(event_of(), 0.0)
    [waiting] = made.due(8 * 3600.0)
    made.failed(waiting, 8 * 3600.0)

    assert made.next() < 9 * 3600


def test_what_waits_goes_to_no_other_address_than_it_was_for():
    made = notifier(Rule(to=("a://", "b://")))
    made.happened(event_of(), NOON)
    remembered = kept(made)
    assert "a://" not in str(remembered), "addresses hold tokens"

    again = notifier(Rule(to=("c://", "b://")))
    again.restore(remembered)
    assert [note.address for note in sent(again, NOON)] == [1]


def test_each_address_is_tried_again_by_itself():
    made = notifier(Rule(to=("a://", "b://")))
    made.happened(event_of(), NOON)
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
    made.happened(event_of(), NOON)
    [waiting] = made.due(NOON)

    assert not made.failed(waiting, NOON + GIVE_UP + 1)
    assert made.waiting == 0


def test_only_what_asks_for_work_gets_buttons():
    made = notifier(Rule(to=("a://",), events=("due", "done"), buttons=True))
    made.happened(event_of("due", 1), NOON)
    made.happened(event_of("done", 2), NOON)

    assert [note.task for note in sent(made, NOON)] == ["rods", ""]


VORON = frozenset(["voron"])


def looked():
    """A notifier that knows the printer."""
    made = notifier()
    made.stand(VORON, [], NOON)
    return made


def test_what_became_due_while_nobody_listened_is_told_once():
    made = looked()
    assert made.stand(VORON, [event_of(seq=5)], NOON)
    assert not made.stand(VORON, [event_of(seq=6)], NOON), "it still stands so"
    assert made.stand(VORON, [event_of(seq=7, done_count=1)], NOON), "done in between"
    assert made.waiting == 2


def test_what_was_told_when_it_happened_is_not_told_as_standing():
    made = looked()
    made.happened(event_of(seq=5), NOON)

    assert not made.stand(VORON, [event_of(seq=9)], NOON)


def test_what_a_printer_has_due_at_first_sight_is_not_told():
    """Nor later; what happens from then on is."""
    made = notifier()
    made.stand(VORON, [event_of()], NOON)
    made.stand(VORON, [event_of()], NOON)
    assert made.waiting == 0

    assert made.happened(event_of(), NOON), "a reminder"
    assert made.stand(VORON, [event_of(done_count=1)], NOON)


def test_a_printer_that_was_here_before_is_known_after_a_restart():
    again = notifier()
    again.restore(kept(looked()))

    assert again.stand(VORON, [event_of()], NOON)
    assert again.waiting == 1


def test_a_printer_that_moved_away_is_new_when_it_comes_back():
    """Another bridge had it meanwhile, and told what became due."""
    away = notifier()
    away.restore(kept(looked()), owns=lambda printer: False)
    back = notifier()
    back.restore(kept(away))
    back.stand(VORON, [event_of()], NOON)

    assert back.waiting == 0


def test_a_printer_that_floods_an_address_is_put_together():
    """Ten messages in a second are ten vibrations of a phone: five, and then one."""
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


def test_more_than_can_be_read_is_only_counted():
    made = notifier()
    for seq in range(200):
        made.happened(event_of(seq=seq), NOON)
    assert made.waiting <= BURST + MOST_HELD
    sent(made, NOON)
    [batch] = sent(made, made.next())
    assert batch.title == "Maintenance: 195 messages"
    assert batch.text.endswith("\n185 more")
    assert batch.text.count("\n") == 10


def test_texts_are_cut():
    made = notifier(Rule(to=("a://",), title="{label}", text="{message}"))
    made.happened(event_of(label="x" * 1000, message="y" * 5000), NOON)
    [note] = sent(made, NOON)
    assert (len(note.title), len(note.text)) == (250, 3500)


def test_a_link_to_anything_but_a_web_page_is_left_out():
    made = notifier()
    made.happened(event_of(guide="javascript:alert(1)"), NOON)
    assert sent(made, NOON)[0].guide == ""


def test_events_that_were_told_are_remembered_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(rules, "REMEMBERED", 4)
    made = notifier()
    for seq in range(10):
        made.happened(event_of(seq=seq), NOON)
    assert not made.happened(event_of(seq=9), NOON)
    assert not made.happened(event_of(seq=8), NOON)
    assert made.happened(event_of(seq=5), NOON)
