"""Marks that are lost are sent again, and given up where none ever arrives."""

from __future__ import annotations

from mqtt_bridge.broker.marks import ATTEMPTS, QUIET, WAIT, Marks


def test_a_mark_that_arrives_is_over():
    marks, calls = Marks(), []
    payload = marks.open(lambda: calls.append(1), now=0.0)
    assert marks
    marks.arrived(payload)()
    assert (calls, bool(marks), marks.arrived(payload)) == ([1], False, None)


def test_a_mark_that_was_lost_is_sent_again_once_the_broker_is_quiet():
    """A full queue drops it together with what it follows: that is no missing right."""
    marks, calls = Marks(), []
    payload = marks.open(lambda: calls.append(1), now=0.0)
    marks.last_retained = 5.0
    assert marks.missing(5.0 + QUIET - 0.1).again == []
    assert marks.missing(5.0 + QUIET + 0.1).again == [payload]
    marks.arrived(payload)()
    assert (calls, marks.arrivals) == ([1], 1)


def test_marks_that_never_arrive_are_given_up():
    marks, calls = Marks(), []
    marks.open(lambda: calls.append(1), now=0.0)
    now = 0.0
    for _ in range(ATTEMPTS - 1):
        now += QUIET + 0.1
        assert len(marks.missing(now).again) == 1
    [then] = marks.missing(now + QUIET + 0.1).given_up
    then()
    assert (calls, bool(marks), marks.arrivals) == ([1], False, 0)


def test_a_broker_that_never_is_quiet_is_not_waited_for():
    marks = Marks()
    marks.open(list, now=0.0)
    marks.last_retained = WAIT
    assert len(marks.missing(WAIT).given_up) == 1
