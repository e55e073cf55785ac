"""Forecasts by the weekdays of the last weeks, in local time.

The expected numbers were calculated by hand.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from klippy_extra.outlook.weekdays import Profile, profile, span

# A Monday, at midnight.
MONDAY = datetime(2026, 11, 23)  # noqa: DTZ001 - weekdays are local


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York"])
def time_zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def points(weeks, now=MONDAY):
    """Return a reading at each midnight.

    *weeks* has the use of each day, oldest first.
    """
    days = [use for week in weeks for use in week]
    begin = now - timedelta(days=len(days) + 1)
    made = [(begin.timestamp(), 0.0)]
    reading = 0.0
    for number, use in enumerate([0.0, *days]):
        reading += use
        made.append(((begin + timedelta(days=number + 1)).timestamp(), reading))
    return made


WEEKEND = [0.0, 0.0, 0.0, 0.0, 0.0, 10.0, 10.0]


def test_a_profile_has_the_use_of_each_weekday(time_zone):
    made = profile(points([WEEKEND] * 3))
    assert made.by_weekday == pytest.approx(WEEKEND)
    assert made.spread == pytest.approx(0.0)


def test_less_than_three_weeks_give_no_profile(time_zone):
    assert profile(points([WEEKEND] * 2)) is None
    assert profile([]) is None
    assert profile(points([[0.0] * 7] * 4)) is None  # The printer was not used at all.


def test_only_the_last_six_weeks_count(time_zone):
    made = profile(points([[20.0] * 7, *[WEEKEND] * 6]))
    assert made.by_weekday == pytest.approx(WEEKEND)


def test_use_at_weekends_is_forecast_for_a_weekend(time_zone):
    """On a Monday 25 h are left.

    One weekend uses 20 h, and half of the next Saturday 5 h.
    """
    made = span(profile(points([WEEKEND] * 3)), MONDAY.timestamp(), 25.0)
    saturday = MONDAY + timedelta(days=12, hours=12)
    assert made.due == pytest.approx(saturday.timestamp(), abs=5)
    # Every week was the same, so the span has no width.
    assert made.first == made.due == made.last


@pytest.mark.parametrize("weeks", [1, 2, 5])
def test_a_forecast_of_whole_weeks_ends_on_their_last_day_of_use(time_zone, weeks):
    """It is Wednesday. What two weekends use is used up on the second Sunday."""
    now = MONDAY + timedelta(days=2, hours=9)
    made = span(Profile(tuple(WEEKEND), 0.0), now.timestamp(), 20.0 * weeks)
    sunday_night = MONDAY + timedelta(days=7 * weeks)
    assert made.due == pytest.approx(sunday_night.timestamp(), abs=5)


def test_only_the_rest_of_today_counts(time_zone):
    """Each day uses 24 h. At noon 12 h of today are left, so 18 h last until six."""
    daily = Profile((24.0,) * 7, 0.0)
    noon = MONDAY + timedelta(hours=12)
    made = span(daily, noon.timestamp(), 18.0)
    assert made.due == (MONDAY + timedelta(days=1, hours=6)).timestamp()


def test_weeks_that_differ_give_a_span(time_zone):
    """A week uses 20 h, give or take 5 h: 60 h last 2.6 to 3.5 weeks.

    x = (sqrt(25 + 4 * 20 * 60) - 5) / 40 = 1.6116 and 1.8616, squared.
    """
    made = span(Profile((20.0 / 7,) * 7, 5.0), MONDAY.timestamp(), 60.0)
    begin = MONDAY.timestamp()
    week = 7 * 86400
    assert (made.first - begin) / week == pytest.approx(2.597, abs=0.001)
    assert (made.due - begin) / week == pytest.approx(3.0, abs=0.001)
    assert (made.last - begin) / week == pytest.approx(3.465, abs=0.001)


def test_a_date_that_is_very_far_away_is_no_forecast(time_zone):
    assert span(Profile((0.001,) * 7, 0.0), MONDAY.timestamp(), 1000.0) is None


def test_the_span_comes_from_the_deviation_of_the_weeks(time_zone):
    """The weeks use 70, 140 and 210 h: the standard deviation is 70 h."""
    weeks = [[10.0] * 7, [20.0] * 7, [30.0] * 7]
    made = profile(points(weeks))
    assert made.mean == pytest.approx(140.0)
    assert made.spread == pytest.approx(70.0)
