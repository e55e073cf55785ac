"""What the page gets to show."""

from __future__ import annotations

import pytest

from mqtt_bridge import contract
from mqtt_bridge.fleet.fleet import Changes, Fleet
from mqtt_bridge.web import views
from tests.mqtt_bridge import messages as m


@pytest.fixture
def show():
    """Return a function that gives the view of a printer after *messages*."""

    def show(messages):
        fleet, changes = Fleet(), Changes()
        for topic, payload in messages.items():
            fleet.receive(topic, payload, 1.0, changes)
        assert changes.printers() == {"voron"}
        return views.printer(fleet.printers["voron"])

    return show


def test_a_printer_is_shown_with_its_tasks_and_meters(show):
    view = show(m.printer(tasks=(m.state(status="due", done_count=3),)))

    assert (view["slug"], view["name"], view["online"]) == ("voron", "Voron", True)
    assert view["meters"] == {"print_time": 12.5}
    (task,) = view["tasks"]
    assert (task["task"], task["status"], task["enabled"]) == ("rods", "due", True)
    assert (task["used"], task["unit"], task["done_count"]) == (37.5, "h", 3)


def test_a_task_with_one_limit_has_it_in_its_list_of_limits(show):
    (task,) = show(m.printer())["tasks"]
    (limit,) = task["limits"]
    assert (limit["meter"], limit["unit"]) == ("print_time", "h")
    assert (limit["used"], limit["threshold"], limit["percent"]) == (37.5, 150.0, 25.0)


def test_every_limit_has_its_own_numbers_and_unit(show):
    limits = (m.limit(), m.limit("filament", "m", 100.0, 900.0))
    (task,) = show(m.printer(tasks=(m.state(limits=limits),)))["tasks"]

    assert [each["meter"] for each in task["limits"]] == ["print_time", "filament"]
    assert [each["unit"] for each in task["limits"]] == ["h", "m"]
    assert [each["remaining"] for each in task["limits"]] == [112.5, 800.0]


def test_removed_tasks_and_printers_are_no_longer_shown(show):
    payloads = m.printer(tasks=(m.state(), m.state("belts")))
    view = show({**payloads, m.topic("voron", "info"): m.info("rods").encode()})
    assert [task["task"] for task in view["tasks"]] == ["rods"]


def test_a_problem_of_the_printer_and_one_of_a_task_are_shown(show):
    messages = m.printer(tasks=(m.state(problem="It has no such meter."), m.state("b")))
    view = show(messages)
    assert view["problem"] is None
    problems = {task["task"]: task["problem"] for task in view["tasks"]}
    assert problems == {"rods": "It has no such meter.", "b": None}

    summary = m.summary()._replace(problem="The disk is full.").encode()
    messages[m.topic("voron", "summary")] = summary
    assert show(messages)["problem"] == "The disk is full."


AHEAD = contract.Ahead("rails", "Grease the rails", "print_time", 9.0)
JOB = contract.Job("part.gcode", 0, 14.0, 120.0, (AHEAD,), ("Filter",))


def test_the_current_print_is_shown_if_tasks_look_ahead(show):
    messages = m.printer()
    assert show(messages)["job"] is None

    topic = m.topic("voron", "summary")
    summary = contract.Summary.decode(messages[topic])._replace(job=JOB)
    job = show({**messages, topic: summary.encode()})["job"]
    assert (job["file"], job["due"]) == ("part.gcode", ("Filter",))
    assert job["ahead"][0]["label"] == "Grease the rails"


def test_the_suggested_threshold_of_a_task_is_shown(show):
    text = "You do this at 240 h, not at 200 h. Set 240 h?"
    learnt = m.state()._replace(
        habit=contract.Habit("print_time", 3, 238.0, 240.0, 245.0, 0.2, agree=True),
        suggestion=contract.Suggestion("print_time", 240.0, "h", "habit", text),
    )
    (task,) = show(m.printer(tasks=(learnt,)))["tasks"]
    assert task["suggestion"] == {"text": text}
    (task,) = show(m.printer())["tasks"]
    assert "suggestion" not in task


def test_a_part_is_shown_with_its_place_and_possible_places(show):
    places = ("extruder", "extruder1")
    part = m.state("n4")._replace(kind="nozzle", place="extruder", places=places)
    (task,) = show(m.printer(tasks=(part,)))["tasks"]

    assert (task["kind"], task["place"]) == ("nozzle", "extruder")
    assert task["places"] == list(places)
