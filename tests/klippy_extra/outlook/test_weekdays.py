"""Forecasts by the weekdays of the last weeks: by hand, in the time of the house."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from klippy_extra.outlook.weekdays import Profile, profile, span

# A Monday, at midnight.
MONDAY = datetime(2026, 11, 23)  # noqa: DTZ001 - local, as the weekdays are


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York"])
def house(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def points(weeks, now=MONDAY):
    """A reading at each midnight; *weeks* are the uses of their days, oldest first."""
    days = [use for week in weeks for use in week]
    begin = now - timedelta(days=len(days) + 1)
    made = [(begin.timestamp(), 0.0)]
    reading = 0.0
    for number, use in enumerate([0.0, *days]):
        reading += use
        made.append(((begin + timedelta(days=number + 1)).timestamp(), reading))
    return made


WEEKEND = [0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 10.0]


def test_a_profile_knows_which_days_are_used(house):
    made = profile(points([WEEKEND] * 3))
    assert made.by_weekday == pytest.approx(WEEKEND)
    assert made.spread == pytest.approx(0.0)


def test_less_than_three_weeks_tell_too_little(house):
    assert profile(points([WEEKEND] * 2)) is None
    assert profile([]) is None
    assert profile(points([[0.0] * 7] * 4)) is None  # nothing is used at all


def test_only_the_last_six_weeks_count(house):
    made = profile(points([[20.0] * 7, *[WEEKEND] * 6]))
    assert made.by_weekday == pytest.approx(WEEKEND)


def test_what_is_used_at_weekends_is_used_up_at_a_weekend(house):
    """30 h from a Monday on: one weekend makes 20 h, half a Sunday... a Saturday 10."""
    made = span(profile(points([WEEKEND] * 3)), MONDAY.timestamp(), 25.0)
    saturday = MONDAY + timedelta(days=12, hours=12)
    assert made.due == pytest.approx(saturday.timestamp(), abs=5)
    assert made.first == made.due == made.last  # every week was the same


@pytest.mark.parametrize("weeks", [1, 2, 5])
def test_what_whole_weeks_use_is_used_up_on_their_last_day_of_use(house, weeks):
    """On a Wednesday, two weekends' use is used up on the second Sunday."""
    now = MONDAY + timedelta(days=2, hours=9)
    made = span(Profile(tuple(WEEKEND), 0.0), now.timestamp(), 20.0 * weeks)
    sunday_night = MONDAY + timedelta(days=7 * weeks)
    assert made.due == pytest.approx(sunday_night.timestamp(), abs=5)


def test_a_day_that_has_begun_has_its_rest_left(house):
    """24 h each day: at noon 12 h are left of today, and 18 h end at six."""
    daily = Profile((24.0,) * 7, 0.0)
    noon = MONDAY + timedelta(hours=12)
    made = span(daily, noon.timestamp(), 18.0)
    assert made.due == (MONDAY + timedelta(days=1, hours=6)).timestamp()


def test_weeks_that_differ_make_a_span(house):
    """20 h a week, give or take 5 h: 60 h are used up after 2.6 to 3.5 weeks.

    x = (sqrt(25 + 4 * 20 * 60) - 5) / 40 = 1.6116 and 1.8616, squared.
    """
    made = span(Profile((20.0 / 7,) * 7, 5.0), MONDAY.timestamp(), 60.0)
    begin = MONDAY.timestamp()
    week = 7 * 86400
    assert (made.first - begin) / week == pytest.approx(2.597, abs=0.001)
    assert (made.due - begin) / week == pytest.approx(3.0, abs=0.001)
    assert (made.last - begin) / week == pytest.approx(3.465, abs=0.001)


def test_what_is_very_far_away_is_no_forecast(house):
    assert span(Profile((0.001,) * 7, 0.0), MONDAY.timestamp(), 1000.0) is None


def test_the_spread_is_that_of_the_weeks(house):
    """70, 140 and 210 h: the standard deviation is 70 h."""
    weeks = [[10.0] * 7, [20.0] * 7, [30.0] * 7]
    made = profile(points(weeks))
    assert made.mean == pytest.approx(140.0)
    assert made.spread == pytest.approx(70.0)
