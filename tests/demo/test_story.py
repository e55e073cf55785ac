"""The demo's story follows from the values and events alone."""

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


def make_story(patience):
    """A story that waits for its first values."""
    story = begin(patience)
    assert next(story) is False
    return story


def test_the_story_runs_once():
    """Both sides show the task due, and an event tells it.

    After some seconds it is done, and the use is less.
    """
    story = make_story(patience=10.0)
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
def test_a_task_is_due_when_all_sources_agree(sight):
    """The sources are MQTT, mKTL and the event. The story waits for the slowest."""
    assert make_story(patience=0.0).send(sight) is False


@pytest.mark.parametrize(
    "sight",
    [
        Observation(state(0.0, OK, 1), OK, 0.0, True, is_answered=False, now=1.0),
        Observation(state(0.0, OK, 0), OK, 0.0, True, True, 1.0),
        Observation(state(0.0, OK, 1), OK, 1.6, True, True, 1.0),
        Observation(state(0.0, OK, 1), OK, None, True, True, 1.0),
    ],
)
def test_a_task_is_done_when_all_sources_agree(sight):
    """The sources are the SET's reply, MQTT and mKTL."""
    story = make_story(patience=0.0)
    assert story.send(due(0.0)) is True

    assert story.send(sight) is False


def test_a_task_that_somebody_else_has_done_is_not_done_again():
    """A user may do it in a second terminal."""
    story = make_story(patience=10.0)
    assert story.send(due(0.0)) is False
    assert story.send(due(5.0, done_count=1)) is False
    assert story.send(due(50.0, done_count=1)) is False


def test_amounts_are_short():
    """Hours and metres have two decimals, counts have none, and no value is a dash."""
    assert amount(1.234, "m") == "1.23 m"
    assert amount(7.0, "") == "7"
    assert amount(None, "h") == "-"
    assert forecast(None, 0.0) == "-"
    assert forecast(1000.0, 1000.0) == "overdue"
    assert forecast(8200.0, 1000.0) == "2 h"
