"""The demo's story, told from what is seen alone."""

import pytest

from demo.story import Observation, begin
from demo.view import amount, forecast
from mqtt_bridge.contract import DUE, OK, Limit, State


def state(used, status, done_count=0):
    limit = Limit("filament", "m", 1.5, used, 1.5 - used, used / 0.015)
    return State(
        seq=1,
        time=0.0,
        task="nozzle",
        label="Brush the nozzle",
        limits=(limit,),
        trigger="filament",
        status=status,
        done_count=done_count,
    )


def due(now, done_count=0):
    return Observation(state(1.6, DUE, done_count), DUE, 1.6, True, True, now)


def told(patience):
    """A story that waits for its first sight."""
    story = begin(patience)
    assert next(story) is False
    return story


def test_the_story_is_told_once():
    """Due on both sides and announced; done after the patience; back to less."""
    story = told(patience=10.0)
    counting = Observation(state(1.0, OK), OK, 1.0, False, True, now=0.0)
    assert story.send(counting) is False

    assert story.send(due(1.0)) is False
    assert story.send(due(10.9)) is False
    assert story.send(due(11.0)) is True
    assert story.send(due(11.1)) is False

    with pytest.raises(StopIteration):
        story.send(Observation(state(0.0, OK, 1), OK, 0.0, True, True, 12.0))


@pytest.mark.parametrize(
    "sight",
    [
        due(0.0)._replace(is_announced=False),
        due(0.0)._replace(mktl_status=OK),
        due(0.0)._replace(state=state(1.6, OK)),
    ],
)
def test_a_task_is_due_when_everybody_says_so(sight):
    """MQTT, mKTL and the event: one that lags is waited for."""
    assert told(patience=0.0).send(sight) is False


@pytest.mark.parametrize(
    "sight",
    [
        Observation(state(0.0, OK, 1), OK, 0.0, True, is_answered=False, now=1.0),
        Observation(state(0.0, OK, 0), OK, 0.0, True, True, 1.0),
        Observation(state(0.0, OK, 1), OK, 1.6, True, True, 1.0),
        Observation(state(0.0, OK, 1), OK, None, True, True, 1.0),
    ],
)
def test_a_task_is_done_when_everybody_says_so(sight):
    """The SET's answer, MQTT and mKTL."""
    story = told(patience=0.0)
    assert story.send(due(0.0)) is True

    assert story.send(sight) is False


def test_somebody_else_may_be_faster():
    """A task that is done in a second terminal is not done twice."""
    story = told(patience=10.0)
    assert story.send(due(0.0)) is False
    assert story.send(due(5.0, done_count=1)) is False
    assert story.send(due(50.0, done_count=1)) is False


def test_amounts_are_short():
    """Hours and metres to the hundredth, counts whole, nothing as a dash."""
    assert amount(1.234, "m") == "1.23 m"
    assert amount(7.0, "") == "7"
    assert amount(None, "h") == "-"
    assert forecast(None, 0.0) == "-"
    assert forecast(1000.0, 1000.0) == "overdue"
    assert forecast(8200.0, 1000.0) == "2 h"
