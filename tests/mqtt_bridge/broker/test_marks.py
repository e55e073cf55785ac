"""Lost marks are sent again. If none ever arrives, the bridge stops sending them."""

from __future__ import annotations

from mqtt_bridge.broker.marks import ATTEMPTS, QUIET, WAIT, Marks


def test_a_mark_that_arrives_ends_the_waiting():
    marks, calls = Marks(), []
    payload = marks.open(lambda: calls.append(1), now=0.0)
    assert marks
    marks.arrived(payload)()
    assert (calls, bool(marks), marks.arrived(payload)) == ([1], False, None)


def test_a_lost_mark_is_sent_again_when_the_broker_is_quiet():
    """A full queue drops it with the messages after it. This is no missing right."""
    marks, calls = Marks(), []
    payload = marks.open(lambda: calls.append(1), now=0.0)
    marks.last_retained = 5.0
    assert marks.missing(5.0 + QUIET - 0.1).again == []
    assert marks.missing(5.0 + QUIET + 0.1).again == [payload]
    marks.arrived(payload)()
    assert (calls, marks.arrivals) == ([1], 1)


def test_marks_that_never_arrive_are_no_longer_sent():
    marks, calls = Marks(), []
    marks.open(lambda: calls.append(1), now=0.0)
    now = 0.0
    for _ in range(ATTEMPTS - 1):
        now += QUIET + 0.1
        assert len(marks.missing(now).again) == 1
    [then] = marks.missing(now + QUIET + 0.1).given_up
    then()
    assert (calls, bool(marks), marks.arrivals) == ([1], False, 0)


def test_the_bridge_does_not_wait_for_a_broker_that_never_is_quiet():
    marks = Marks()
    marks.open(list, now=0.0)
    marks.last_retained = WAIT
    assert len(marks.missing(WAIT).given_up) == 1
