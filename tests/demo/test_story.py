"""The demo's story, told from what is seen alone."""

import pytest

from demo.story import Sight, Step, Story
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


def due(done_count=0):
    return Sight(state(1.6, DUE, done_count), DUE, 1.6, announced=True, answered=True)


def test_the_story_is_told_once():
    """Due on both sides and announced; done after the patience; back to less."""
    story = Story(patience=10.0)
    begun = Sight(state(1.0, OK), OK, 1.0, announced=False, answered=True)
    assert not story.advance(begun, 0.0)
    assert story.step is Step.COUNTING

    assert not story.advance(due(), 1.0)
    assert story.step is Step.DUE
    assert not story.advance(due(), 10.9)
    assert story.advance(due(), 11.0)
    assert not story.advance(due(), 11.1)
    assert story.step is Step.MARKING

    story.advance(Sight(state(0.0, OK, 1), OK, 0.0, True, True), 12.0)
    assert story.step is Step.DONE


@pytest.mark.parametrize(
    "sight",
    [
        due()._replace(announced=False),
        due()._replace(mktl_status=OK),
        due()._replace(state=state(1.6, OK)),
    ],
)
def test_a_task_is_due_when_everybody_says_so(sight):
    """MQTT, mKTL and the event: one that lags is waited for."""
    story = Story(patience=0.0)
    story.advance(sight, 0.0)

    assert story.step is Step.COUNTING


@pytest.mark.parametrize(
    "sight",
    [
        Sight(state(0.0, OK, 1), OK, 0.0, True, answered=False),
        Sight(state(0.0, OK, 0), OK, 0.0, True, True),
        Sight(state(0.0, OK, 1), OK, 1.6, True, True),
        Sight(state(0.0, OK, 1), OK, None, True, True),
    ],
)
def test_a_task_is_done_when_everybody_says_so(sight):
    """The SET's answer, MQTT and mKTL."""
    story = Story(patience=0.0)
    story.advance(due(), 0.0)
    assert story.advance(due(), 0.0)
    story.advance(sight, 1.0)

    assert story.step is Step.MARKING


def test_somebody_else_may_be_faster():
    """A task that is done in a second terminal is not done twice."""
    story = Story(patience=10.0)
    story.advance(due(), 0.0)
    assert not story.advance(due(done_count=1), 5.0)
    assert not story.advance(due(done_count=1), 50.0)


def test_amounts_are_short():
    """Hours and metres to the hundredth, counts whole, nothing as a dash."""
    assert amount(1.234, "m") == "1.23 m"
    assert amount(7.0, "") == "7"
    assert amount(None, "h") == "-"
    assert forecast(None, 0.0) == "-"
    assert forecast(1000.0, 1000.0) == "overdue"
    assert forecast(8200.0, 1000.0) == "2 h"
