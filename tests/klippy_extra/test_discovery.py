"""The messages by which Home Assistant discovers a printer."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import jinja2
import pytest

from klippy_extra import contract, entity_names, language
from klippy_extra.mqtt import discovery
from klippy_extra.mqtt.components import Names, object_id

UUID = "5d0c7e8e8b1a4f0f9c3e2a1b00000001"
NOW = 1795219200

# If one of the supported versions does not know a key at these places, it refuses the
# whole message.
ROOT_KEYS = {"dev", "o", "cmps"}
DEVICE_KEYS = {"ids", "name", "mdl", "sw", "cu"}
ORIGIN_KEYS = {"name", "sw"}
PLATFORMS = {
    "binary_sensor",
    "button",
    "event",
    "number",
    "sensor",
    "switch",
}


def limit(meter: str, unit: str, threshold: float = 150.0) -> contract.Limit:
    return contract.Limit(meter, unit, threshold, 112.5, threshold - 112.5, 75.0)


def state(
    task: str, *limits: contract.Limit, label: str = "Clean the rods"
) -> contract.State:
    all_limits = limits or (limit("print_time", "h"),)
    trigger = all_limits[0].meter
    return contract.State(1, NOW, task, label, all_limits, trigger, contract.OK)


INFO = contract.Info(
    uuid=UUID,
    name="Voron 2.4",
    tasks=("rods",),
    meters={
        "print_time": contract.Meter("h", "Print time"),
        "filament": contract.Meter("m", "Filament"),
        "travel_x": contract.Meter("m", "Travel X"),
        "time": contract.Meter("h", ""),
        "cuts": contract.Meter("", "Cuts"),
    },
    model="Voron 2.4 350",
    version="0.1.0",
    url="http://voron.local/",
    klipper_version="v0.13.0",
)


def announced(
    *states: contract.State, info: contract.Info = INFO, **more: Any
) -> discovery.Announcement:
    return discovery.announce(info, states, "voron", **more)


def messages(*states: contract.State, **more: Any) -> dict[str, dict[str, Any]]:
    """Return the retained messages by the level of the topic in which they differ."""
    return {
        each.topic.split("/")[-2]: json.loads(each.payload)
        for each in announced(*states, **more).messages
        if each.payload
    }


def message(*states: contract.State, **more: Any) -> dict[str, Any]:
    return messages(*states, **more)["printer"]


def made(*states: contract.State, **more: Any) -> dict[str, Any]:
    components: dict[str, Any] = {}
    for each in messages(*states, **more).values():
        assert not components.keys() & each["cmps"].keys()
        components.update(each["cmps"])
    return components


def test_the_topics_have_the_printers_uuid_instead_of_its_name() -> None:
    """A renamed printer keeps its device."""

    def topics(info: contract.Info, printer: str) -> list[str]:
        announcement = discovery.announce(info, [state("rods")], printer, prefix="ha")
        return [each.topic for each in announcement.messages]

    mine = topics(INFO, "voron")

    assert mine[:2] == [
        f"ha/device/klipper_upkeep_{UUID}/printer/config",
        f"ha/device/klipper_upkeep_{UUID}/task-rods/config",
    ]
    assert topics(INFO._replace(name="Other"), "other") == mine


def test_each_task_has_its_own_message_about_the_same_device() -> None:
    by_group = messages(state("rods"), state("belts"))

    assert {"printer", "task-rods", "task-belts"} < set(by_group)
    assert all(key.startswith("task.rods.") for key in by_group["task-rods"]["cmps"])
    assert len({json.dumps(each["dev"]) for each in by_group.values()}) == 1


def test_every_message_is_small_enough_for_every_broker() -> None:
    """This is so with long texts, many limits, many meters and many removed tasks."""
    many = [f"count_{number}" for number in range(300)]
    meters = {name: contract.Meter("", "Ö" * 60) for name in many}
    task = "t" * 63
    limits = [limit(name, "") for name in many[:40]]
    before = {f"task.{task}.gone{number}": "sensor" for number in range(2000)}
    before.update({f"meter.old{number}": "sensor" for number in range(2000)})

    announcement = announced(
        state(task, *limits, label="Ü" * 500),
        info=INFO._replace(meters=meters),
        before=before,
    )

    assert max(len(each.payload) for each in announcement.messages) < 16_384
    assert max(len(each.revival) for each in announcement.messages) < 16_384
    assert f"task.{task}.done" in announcement.components


def test_a_task_of_four_limits_has_room_for_all_of_them() -> None:
    meters = ("print_time", "time", "filament", "travel_x")
    components = made(state("rods", *(limit(meter, "h") for meter in meters)))

    assert {f"task.rods.{meter}.threshold" for meter in meters} <= components.keys()


def test_a_component_stays_in_its_message_when_tasks_are_added() -> None:
    """A component that moved would lose the name that its user gave it."""
    fewer = messages(state("rods"))
    meters = dict(INFO.meters, busy_time=contract.Meter("h", "Busy time"))
    more = messages(state("a"), state("rods"), info=INFO._replace(meters=meters))

    for name, each in fewer.items():
        assert each["cmps"].keys() <= more[name]["cmps"].keys()


def test_root_device_and_origin_have_only_keys_that_both_versions_know() -> None:
    for each_message in messages(state("rods")).values():
        assert set(each_message) == ROOT_KEYS
        assert set(each_message["dev"]) == DEVICE_KEYS
        assert set(each_message["o"]) == ORIGIN_KEYS
        assert {each["p"] for each in each_message["cmps"].values()} <= PLATFORMS


def test_the_device_has_the_printers_name_model_version_and_web_page() -> None:
    assert message()["dev"] == {
        "ids": [f"klipper_upkeep_{UUID}"],
        "name": "Voron 2.4",
        "mdl": "Voron 2.4 350",
        "sw": "Klipper v0.13.0",
        "cu": "http://voron.local/",
    }


@pytest.mark.parametrize("url", ["", "voron.local", "ftp://x/", "http://", "http://[x"])
def test_an_address_that_is_no_web_page_is_left_out(url: str) -> None:
    """Home Assistant would refuse the whole message."""
    assert "cu" not in message(info=INFO._replace(url=url))["dev"]


def test_the_area_of_a_printer_is_suggested_if_it_has_one() -> None:
    device = message(info=INFO._replace(area="Workshop"))["dev"]
    assert device["sa"] == "Workshop"


def test_unknown_facts_about_a_printer_are_left_out() -> None:
    bare = contract.Info(uuid=UUID, name="Voron", tasks=(), meters={})

    printer = message(info=bare)

    assert printer["dev"] == {
        "ids": [f"klipper_upkeep_{UUID}"],
        "name": "Voron",
        "mdl": "3D printer",
    }
    assert printer["o"] == {"name": "Klipper Upkeep"}


def test_a_task_has_every_entity_that_the_documentation_promises() -> None:
    fields = {
        key[len("task.rods.") :]: each["p"]
        for key, each in made(state("rods")).items()
        if key.startswith("task.rods.")
    }

    assert fields == {
        "due": "binary_sensor",
        "status": "sensor",
        "percent": "sensor",
        "remaining": "sensor",
        "used": "sensor",
        "due_at": "sensor",
        "last_done": "sensor",
        "done": "button",
        "snooze": "button",
        "enabled": "switch",
        "threshold": "number",
        "event": "event",
    }


def test_entities_are_named_by_the_label_and_identified_by_the_slug() -> None:
    names = Names(sections={"front-rods": "Front Rods"})
    component = made(state("front-rods"), names=names)["task.front-rods.remaining"]

    assert component["name"] == "Clean the rods remaining"
    assert component["uniq_id"] == f"{UUID}_task.front-rods.remaining"
    assert component["obj_id"] == "voron_2_4_front_rods_remaining"
    assert component["def_ent_id"] == "sensor.voron_2_4_front_rods_remaining"


@pytest.mark.parametrize("task", ["a-b", "a--b", "a_-b", "a_", "0", "a" * 63])
def test_every_slug_makes_a_valid_entity_id(task: str) -> None:
    for each in made(state(task)).values():
        if "def_ent_id" in each:
            platform, name = each["def_ent_id"].split(".")
            assert platform == each["p"]
            assert re.fullmatch("[a-z0-9]+(_[a-z0-9]+)*", name)


def test_no_two_components_share_a_unique_id() -> None:
    """This is so also when a task is named like another task and one of its meters."""
    both = (limit("time", "h"), limit("print_time", "h"))
    states = [state(each, *both) for each in ("rods", "rods_time", "rods-time", "due")]

    ids = [each["uniq_id"] for each in made(*states).values() if "uniq_id" in each]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("h", {"dev_cla": "duration", "unit_of_meas": "h"}),
        ("m", {"dev_cla": "distance", "unit_of_meas": "m"}),
        ("", {}),
        ("kg", {"unit_of_meas": "kg"}),
    ],
)
def test_an_amount_has_the_device_class_and_unit_of_its_meter(
    unit: str, expected: dict[str, str]
) -> None:
    components = made(state("rods", limit("x", unit)))

    for field in ("remaining", "used", "threshold"):
        each = components[f"task.rods.{field}"]
        kept = {key: each[key] for key in ("dev_cla", "unit_of_meas") if key in each}
        assert kept == expected


@pytest.mark.parametrize(("threshold", "digits"), [(50.0, 1), (100.0, 0), (9000.0, 0)])
def test_a_long_time_is_shown_in_whole_hours(threshold: float, digits: int) -> None:
    """Home Assistant makes minutes of a fraction: "8,999h, 53m"."""
    components = made(state("rods", limit("print_time", "h", threshold)))

    for field in ("remaining", "used"):
        assert components[f"task.rods.{field}"]["sug_dsp_prc"] == digits


def test_long_travels_are_shown_in_whole_metres() -> None:
    components = made(state("rods", limit("travel_x", "m")))

    assert components["task.rods.used"]["sug_dsp_prc"] == 0
    assert components["meter.travel_x"]["sug_dsp_prc"] == 0
    assert components["meter.filament"]["sug_dsp_prc"] == 0
    assert components["meter.print_time"]["sug_dsp_prc"] == 1


def test_amounts_of_a_task_have_no_statistics_that_a_new_trigger_would_break() -> None:
    hours = made(state("rods", limit("print_time", "h")))
    metres = made(state("rods", limit("filament", "m")))

    assert set(hours) == set(metres)
    assert "stat_cla" not in hours["task.rods.remaining"]


ENABLED = {"due", "status", "remaining", "done"}


def test_a_task_shows_four_entities_and_the_others_can_be_enabled() -> None:
    for limits in ((limit("print_time", "h"),), TWO_LIMITS.limits):
        components = made(state("rods", *limits))

        shown = {
            key[len("task.rods.") :]
            for key, each in components.items()
            if key.startswith("task.") and each.get("en", True)
        }
        assert shown == ENABLED


def test_a_printer_with_25_tasks_shows_at_most_125_entities() -> None:
    meters = {f"count_{each}": contract.Meter("", "Count") for each in range(25)}
    meters.update(INFO.meters)
    states = [state(f"t{each}", limit(f"count_{each}", "")) for each in range(25)]
    parts = [each._replace(kind="nozzle", places=("extruder",)) for each in states[:10]]
    learns = Names(learns=True)

    info = INFO._replace(meters=meters)
    components = made(*parts, *states[10:], info=info, names=learns).values()

    assert sum(each.get("en", True) for each in components) <= 125


def test_a_task_has_a_button_for_the_learnt_threshold_if_intervals_learn() -> None:
    button = made(state("rods"), names=Names(learns=True))["task.rods.learn"]

    assert json.loads(button["pl_prs"])["command"] == "learn"
    assert "task.rods.learn" not in made(state("rods"))
    deaf = INFO._replace(commands=False)
    assert "task.rods.learn" not in made(
        state("rods"), info=deaf, names=Names(learns=True)
    )


def test_only_tasks_have_the_device_class_problem() -> None:
    """That a task is due at all is the same fact again, so it is no second problem."""
    components = made(state("rods"))

    problems = [
        key for key, each in components.items() if each.get("dev_cla") == "problem"
    ]
    assert problems == ["task.rods.due"]


def test_sensors_stay_available_while_the_printer_is_off() -> None:
    """One entity shows that it is off.

    Controls are unavailable: a command would be lost.
    """
    components = made(state("rods"))

    online = [{"t": "klipper_upkeep/voron/availability"}]
    for each in components.values():
        assert each.get("avty") == (online if "cmd_t" in each else None)
    assert components["connected"]["dev_cla"] == "connectivity"
    assert components["connected"]["stat_t"] == "klipper_upkeep/voron/availability"


def test_each_of_several_limits_has_its_own_amounts_beside_the_tasks() -> None:
    components = made(state("rods", limit("print_time", "h"), limit("busy_time", "h")))

    assert components["task.rods.remaining"]["unit_of_meas"] == "h"
    one = components["task.rods.print_time.remaining"]
    assert one["ent_cat"] == "diagnostic"
    assert one["name"] == "Clean the rods print time remaining"
    assert "task.rods.threshold" not in components


def test_the_remaining_amount_of_limits_in_different_units_includes_the_unit() -> None:
    """One entity cannot have the unit hours today and metres tomorrow."""
    both = (limit("print_time", "h"), limit("travel_x", "m", 200.0))
    components = made(state("rods", *both))

    remaining = components["task.rods.remaining"]
    assert "unit_of_meas" not in remaining
    assert "task.rods.used" not in components
    assert components["task.rods.travel_x.remaining"]["unit_of_meas"] == "m"
    assert components["task.rods.percent"]["unit_of_meas"] == "%"
    for trigger, shown in (("print_time", "37.5 h"), ("travel_x", "87.5 m")):
        now = state("rods", *both)._replace(trigger=trigger)
        assert render(remaining, json.loads(now.encode()), "val_tpl") == shown


def test_a_calendar_limit_is_shown_and_set_in_days() -> None:
    components = made(state("rods", limit("time", "h", 720.0)))

    remaining, threshold = (
        components[f"task.rods.{each}"] for each in ("remaining", "threshold")
    )
    assert remaining["unit_of_meas"] == "d"
    payload = json.loads(state("rods", limit("time", "h", 720.0)).encode())
    assert render(remaining, payload, "val_tpl") == "25.31"
    assert render(threshold, payload, "val_tpl") == "30.0"
    [sent] = commands(threshold)
    assert contract.Command.decode(sent).threshold == 300.0


def test_a_limit_may_have_a_condition_in_its_name() -> None:
    odd = 'print_time?heater "bed"\\>80'
    components = made(state("rods", limit("print_time", "h"), limit(odd, "h", 50.0)))
    payload = json.loads(state("rods", limit(odd, "h", 50.0)).encode())

    key = "task.rods.print_time_heater_bed_80.threshold"
    assert render(components[key], payload, "val_tpl") == "50.0"
    order = contract.Command.decode(commands(components[key])[0])
    assert order.threshold == {odd: 12.5}


class Person(NamedTuple):
    name: str
    attributes: dict[str, str]


def commands(component: dict[str, Any], user: str | None = None) -> list[bytes]:
    """Return what a component sends for *user*.

    It sends 12.5 where it takes a value.
    """
    keys = ("pl_prs", "pl_on", "pl_off")
    texts = [component[key] for key in keys if key in component] or ["12.5"]
    if "cmd_tpl" in component:
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
        environment.filters.update(to_json=json.dumps, from_json=json.loads)
        template = environment.from_string(component["cmd_tpl"])
        person = [Person("Berta", {}), Person("Anna", {"user_id": "u1"})]
        known = {
            "states": {"person": person},
            "this": {"context": {"user_id": user}},
        }
        texts = [str(template.render(known, value=text)) for text in texts]
    return [text.encode() for text in texts]


def test_a_button_names_the_person_who_pressed_it() -> None:
    done = made(state("rods"))["task.rods.done"]

    (pressed,) = commands(done, user="u1")
    (stranger,) = commands(done, user="u2")

    assert contract.Command.decode(pressed).by == "Anna"
    assert contract.Command.decode(stranger).by == "Home Assistant"


def test_every_control_sends_a_valid_command() -> None:
    one = made(state("rods"))
    two = made(state("rods", limit("print_time", "h"), limit("time", "h")))

    def sent(components: dict[str, Any], key: str) -> list[contract.Command]:
        component = components["task.rods." + key]
        assert component["cmd_t"] == "klipper_upkeep/voron/tasks/rods/command"
        return [contract.Command.decode(each) for each in commands(component)]

    by = "Home Assistant"
    assert sent(one, "done") == [contract.Command("done", by=by)]
    assert sent(one, "snooze") == [contract.Command("snooze", by=by, hours=24)]
    assert sent(one, "enabled") == [
        contract.Command("enable", by=by),
        contract.Command("disable", by=by),
    ]
    assert sent(one, "threshold") == [contract.Command("set", by=by, threshold=12.5)]
    assert sent(two, "time.threshold") == [
        contract.Command("set", by=by, threshold={"time": 300.0})
    ]


def test_a_printer_that_accepts_no_commands_has_no_controls() -> None:
    components = made(state("rods"), info=INFO._replace(commands=False))

    assert not any("cmd_t" in each for each in components.values())
    assert "command_topic=none" in components["task.rods.due"]["json_attr_tpl"]


def test_meters_that_few_people_want_start_disabled() -> None:
    components = made(state("rods", limit("cuts", "")))
    meters = {
        key[len("meter.") :]: each
        for key, each in components.items()
        if key.startswith("meter.")
    }

    assert {name: each["en"] for name, each in meters.items()} == {
        "print_time": True,
        "filament": True,
        "travel_x": False,
        "time": False,
        "cuts": False,
    }
    assert meters["time"]["name"] == "Time"


def test_a_corrected_meter_is_not_counted_as_a_new_meter() -> None:
    """A meter that falls from 1500 h to 1300 h must not add 1300 h to the sum."""
    meters = [each for key, each in made().items() if key.startswith("meter.")]
    assert {each["stat_cla"] for each in meters} == {"total"}
    assert not any("last_reset" in json.dumps(each) for each in meters)


def test_a_removed_task_is_made_again_and_removed_in_its_own_message() -> None:
    """Home Assistant may have been off meanwhile.

    The task's topic itself is cleared.
    """
    before = announced(state("rods"), state("belts")).components
    before["task.belts.trigger.due"] = "device_automation"  # from an older version

    after = announced(state("rods"), before=before)

    [belts] = [each for each in after.messages if "task-belts" in each.topic]
    assert belts.payload == b""
    revival = json.loads(belts.revival)["cmps"]
    assert revival["task.belts.done"] == {
        "p": "button",
        "uniq_id": f"{UUID}_task.belts.done",
        "cmd_t": "klipper_upkeep/-",
    }
    assert revival["task.belts.trigger.due"] == {"p": "device_automation"}
    removal = json.loads(belts.removal)["cmps"]
    assert removal == {key: {"p": each["p"]} for key, each in revival.items()}
    assert "task.belts.due" not in after.components
    assert after.components["task.rods.due"] == "binary_sensor"
    assert made(state("rods"), before=after.components) == made(state("rods"))


def test_a_removed_limit_is_named_only_by_its_platform() -> None:
    before = announced(TWO_LIMITS).components

    after = announced(state("rods"), before=before)

    [rods] = [each for each in after.messages if "task-rods" in each.topic]
    payload, revival, removal = (json.loads(each)["cmps"] for each in rods[1:])
    assert removal == payload
    assert payload["task.rods.time.used"] == {"p": "sensor"}
    assert len(payload["task.rods.due"]) > 1
    assert revival["task.rods.time.used"]["uniq_id"] == f"{UUID}_task.rods.time.used"
    assert "task.rods.time.used" not in after.components


def test_only_a_limited_number_of_removed_components_is_remembered() -> None:
    known: dict[str, str] = {}
    for day in range(discovery.REMEMBERED + 5):
        known = discovery.remembered(known, {f"day{day}": "sensor", "due": "sensor"})
    gone = [key for key in known if key not in (f"day{day}", "due")]
    assert gone == [f"day{each}" for each in range(4, day)]
    assert known["due"] == "sensor"


def test_the_same_printer_always_gives_the_same_bytes() -> None:
    states = [state("rods"), state("belts", limit("travel_x", "m"))]

    assert announced(*states) == announced(*states)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Großer Würfel", "grosser_wurfel"),
        ("Øyvinds Ærlige", "oyvinds_aerlige"),
        ("Łódź", "lodz"),
        ("Þór Ðe Œuvre", "thor_de_oeuvre"),
        ("x--y  z", "x_y_z"),
    ],
)
def test_an_entity_id_is_spelt_as_home_assistant_spells_it(
    text: str, expected: str
) -> None:
    """tests/ha compares the same names with a real Home Assistant."""
    assert object_id(text, "other") == expected


def test_a_name_in_another_script_falls_back_to_its_slug() -> None:
    assert object_id("Принтер", "p_3f-1") == "p_3f_1"


def test_entities_have_the_printers_language() -> None:
    language.current.use("de")
    names = Names(printer="Würfel", labels={"rods": "Stangen"})
    by_group = messages(state("rods"), names=names)

    assert by_group["printer"]["dev"]["name"] == "Würfel"
    assert by_group["printer"]["cmps"]["maintenance_due"]["name"] == "Wartung fällig"
    assert by_group["printer"]["cmps"]["due_now"]["name"] == "• Jetzt fällig"
    assert by_group["task-rods"]["cmps"]["task.rods.due"]["name"] == "Stangen"
    shown = by_group["task-rods"]["cmps"]["task.rods.remaining"]["name"]
    assert shown == "Stangen verbleibend"
    language.current.use("en")
    english = messages(state("rods"))
    for group, each in by_group.items():
        for key, component in each["cmps"].items():
            other = english[group]["cmps"][key]
            assert component.get("obj_id") == other.get("obj_id")


def test_the_status_is_shown_in_the_printers_language_and_kept_as_an_attribute() -> (
    None
):
    due = {"task": "rods", "status": contract.DUE}
    by_language = {}
    for code in language.known():
        language.current.use(code)
        sensor = messages(state("rods"))["task-rods"]["cmps"]["task.rods.status"]
        by_language[code] = render(sensor, due, "val_tpl")
        assert by_language[code] in sensor["ops"]
        assert len(set(sensor["ops"])) == len(contract.STATUSES)
        assert json.loads(render(sensor, due, "json_attr_tpl"))["status"] == "due"
        assert render(sensor, {}, "val_tpl") == "None"
    language.current.use("en")
    assert (by_language["en"], by_language["de"]) == ("due", "fällig")


@pytest.mark.parametrize(
    ("label", "english", "german"),
    [
        ("Heater on heater_bed", "Heater bed on time", "Heizzeit heater bed"),
        ("Fan on part_fan", "Part fan on time", "Lüfterzeit part fan"),
        ("Fan on exhaust", "Fan exhaust on time", "Lüfterzeit exhaust"),
        ("Travel x", "Travel x", "Fahrweg x"),
        ("Print time", "Print time", "Druckzeit"),
        ("Cuts", "Cuts", "Cuts"),
    ],
)
def test_a_meter_has_the_name_that_people_use(
    label: str, english: str, german: str
) -> None:
    assert entity_names.meter_name(label, language.read("en")) == english
    assert entity_names.meter_name(label, language.read("de")) == german


def test_attributes_are_small_enough_for_the_recorder() -> None:
    long = state("rods", label="€" * 1000)._replace(
        message="€" * 5000, guide="€" * 5000, parts="€" * 5000, last_by="€" * 1000
    )
    payload = json.loads(long.encode())
    summary = contract.Summary(
        1, NOW, 99, 0, "rods", "x", None, due_labels=("€" * 200,) * 99
    )
    components = made(long)

    for key in ("task.rods.due", "task.rods.status"):
        shown = json.loads(render(components[key], payload, "json_attr_tpl"))
        assert len(json.dumps(shown, ensure_ascii=False).encode()) < 16_384
    fields = json.loads(summary.encode())
    assert len(render(components["due_now"], fields, "val_tpl")) <= 255
    due = json.loads(render(components["maintenance_due"], fields, "json_attr_tpl"))
    assert len(json.dumps(due, ensure_ascii=False).encode()) < 16_384


def render(component: dict[str, Any], payload: dict[str, Any] | None, key: str) -> str:
    """Return what Home Assistant makes of *payload*, with its own `to_json`."""
    given = {} if payload is None else {"value_json": payload}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps
    template = environment.from_string(component[key])
    return str(template.render(given))


def readers(components: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    keys = ("val_tpl", "json_attr_tpl")
    return [(each, key) for each in components.values() for key in keys if key in each]


TWO_LIMITS = state("rods", limit("print_time", "h"), limit("time", "h", 720.0))


def test_every_template_accepts_absent_and_null_fields() -> None:
    """It also accepts a message that is not JSON, as when a topic is cleared."""
    fields = json.loads(TWO_LIMITS.encode())
    empty: list[Any] = [None, {}, dict.fromkeys(fields), {"limits": []}]
    empty += [{"limits": [{"meter": "time"}]}, {"meters": {}}, {"meters": None}]

    for component, key in readers(made(TWO_LIMITS)):
        for payload in empty:
            shown = render(component, payload, key)
            if key == "val_tpl":
                assert shown in ("None", "OFF", "", "None None")
            else:
                assert isinstance(json.loads(shown), dict)


def test_the_templates_show_what_the_state_says() -> None:
    components = made(TWO_LIMITS)
    done = TWO_LIMITS._replace(last_done=NOW, status=contract.DUE)
    payload = json.loads(done.encode())

    shown = {
        key[len("task.rods.") :]: render(each, payload, "val_tpl")
        for key, each in components.items()
        if each.get("stat_t") == "klipper_upkeep/voron/tasks/rods"
    }

    assert shown == {
        "due": "ON",
        "status": "due",
        "percent": "75.0",
        "due_at": "None",
        "last_done": "2026-11-21T00:00:00Z",
        "enabled": "ON",
        "remaining": "37.5 h",
        "print_time.remaining": "37.5",
        "print_time.used": "112.5",
        "print_time.threshold": "150.0",
        "time.remaining": "25.31",
        "time.used": "4.69",
        "time.threshold": "30.0",
    }


def test_the_attributes_of_due_have_all_that_a_reminder_needs() -> None:
    due = made(state("rods"))["task.rods.due"]
    rods = state("rods")._replace(message="Wipe.", guide="https://x/", last_by="anna")

    shown = json.loads(render(due, json.loads(rods.encode()), "json_attr_tpl"))

    assert shown == {
        "task": "rods",
        "label": "Clean the rods",
        "message": "Wipe.",
        "guide": "https://x/",
        "parts": "",
        "status": "ok",
        "last_by": "anna",
        "done_count": 0,
        "snoozed_until": None,
        "last_done": None,
        "problem": None,
        "command_topic": "klipper_upkeep/voron/tasks/rods/command",
    }


def test_the_status_has_the_time_when_a_calendar_limit_passes_while_off() -> None:
    component = made(TWO_LIMITS)["task.rods.status"]

    def calendar(rods: contract.State) -> Any:
        payload = json.loads(rods.encode())
        shown = json.loads(render(component, payload, "json_attr_tpl"))
        return shown["calendar_due_at"]

    remaining = TWO_LIMITS.limits[1].remaining
    assert calendar(TWO_LIMITS) == NOW + remaining * 3600
    assert calendar(TWO_LIMITS._replace(match="all")) is None
    assert calendar(state("rods")) is None


def test_meters_and_the_summary_are_read_from_their_own_messages() -> None:
    components = made(state("rods"))
    meters = json.loads(contract.Meters(1, NOW, {"print_time": 12.5}).encode())
    summary = json.loads(
        contract.Summary(1, NOW, 2, 0, "rods", "x" * 300, None).encode()
    )

    assert render(components["meter.print_time"], meters, "val_tpl") == "12.5"
    assert render(components["meter.filament"], meters, "val_tpl") == "None"
    assert render(components["maintenance_due"], summary, "val_tpl") == "ON"
    assert render(components["tasks_due"], summary, "val_tpl") == "2"
    assert render(components["next_task"], summary, "val_tpl") == "x" * 255
    assert render(components["next_due_at"], summary, "val_tpl") == "None"


def due_now(*labels: str, due: int | None = None) -> str:
    """Return the state of the sensor that tells what is due."""
    count = len(labels) if due is None else due
    summary = contract.Summary(1, NOW, count, 0, None, None, None, due_labels=labels)
    component = made(state("rods"))["due_now"]
    return render(component, json.loads(summary.encode()), "val_tpl")


def test_a_sensor_tells_what_is_due_in_words() -> None:
    assert due_now() == "Nothing"
    assert due_now("Rods") == "Rods"
    assert due_now('Rods "X"', "Nozzle") == 'Rods "X", Nozzle'
    language.current.use("de")
    assert due_now() == "Nichts"
    assert due_now("Stangen", due=3) == "Stangen und 2 weitere"


def test_what_is_due_fits_into_a_state_and_what_does_not_fit_is_counted() -> None:
    fitting = due_now(*(f"Task {each:02}" for each in range(25)))
    assert fitting.endswith("Task 22, Task 23, Task 24")

    for length in (1, 50, 99, 100, 101, 3000):
        labels = ["€" * length] * 300
        text = due_now(*labels)
        shown = text.count("€" * min(length, 100))
        assert shown >= 1
        assert text.endswith(f"€ and {300 - text.count(',') - 1} more")
        assert len(text) <= 255


def test_the_number_of_due_tasks_is_an_attribute_of_what_is_due() -> None:
    summary = contract.Summary(1, NOW, 2, 0, None, None, None, ("Rods", "Nozzle"))
    component = made(state("rods"))["due_now"]
    fields = json.loads(summary.encode())
    assert json.loads(render(component, fields, "json_attr_tpl")) == {"count": 2}


def test_a_page_begins_with_what_is_due() -> None:
    """Home Assistant shows controls without a category first, and then the sensors.

    It sorts both by name, and puts punctuation before digits and letters.
    tests/ha looks at the page.
    """
    part = state("n4")._replace(kind="nozzle", places=("extruder",))
    components = made(state("rods"), part, names=Names(learns=True))

    uncategorized = {
        each["p"] for each in components.values() if "ent_cat" not in each
    } - {"event"}  # Events have a card of their own, which comes later.
    assert uncategorized == {"sensor", "binary_sensor"}
    first = [
        each["name"] for each in components.values() if not each["name"][0].isalnum()
    ]
    assert first == ["\u2022 Due now"]
    assert components["due_now"]["def_ent_id"] == "sensor.voron_2_4_due_now"


def test_habit_suggestion_and_look_ahead_are_attributes_only_if_they_exist() -> None:
    components = made(state("rods"))
    learnt = state("rods")._replace(
        due_from=NOW,
        due_to=NOW + 86400,
        habit=contract.Habit("print_time", 3, 238.0, 240.0, 245.0, 0.2, agree=True),
        suggestion=contract.Suggestion("print_time", 240.0, "h", "habit", "Set 240 h?"),
    )
    status = components["task.rods.status"]
    shown = json.loads(render(status, json.loads(learnt.encode()), "json_attr_tpl"))
    assert (shown["suggestion"], shown["usual"]) == ("Set 240 h?", 240.0)
    assert shown["due_from"] == "2026-11-21T00:00:00Z"
    plain = json.loads(
        render(status, json.loads(state("rods").encode()), "json_attr_tpl")
    )
    assert not {"suggestion", "usual", "due_from", "due_to"} & set(plain)

    ahead = (contract.Ahead("rods", "Rods", "print_time", 9.0),)
    summary = contract.Summary(1, NOW, 0, 0, "rods", "Rods", None)
    job = summary._replace(job=contract.Job("part.gcode", 0, 14.0, 120.0, ahead))
    due = components["maintenance_due"]
    shown = json.loads(render(due, json.loads(job.encode()), "json_attr_tpl"))
    assert (shown["print_file"], shown["print_makes_due"]) == ("part.gcode", ["Rods"])
    assert shown["print_made_due"] == []
    plain = json.loads(render(due, json.loads(summary.encode()), "json_attr_tpl"))
    assert "print_file" not in plain


def test_there_are_no_device_triggers() -> None:
    """Home Assistant cannot delete a device with triggers after a reload of MQTT."""
    components = made(state("rods"), TWO_LIMITS).values()
    assert {each["p"] for each in components} == PLATFORMS


def test_an_event_is_shown_only_by_its_own_task() -> None:
    components = made(state("rods"), state("belts"))
    event = contract.Event(1, NOW, "rods", "done", by='an"na', note="ok")
    payload = json.loads(event.encode())

    attributes = json.loads(render(components["task.rods.event"], payload, "val_tpl"))

    assert attributes == {"event_type": "done", "by": 'an"na', "note": "ok"}
    assert render(components["task.belts.event"], payload, "val_tpl") == ""


def test_a_part_has_a_select_for_its_place_and_a_task_has_none() -> None:
    part = state("n4")._replace(kind="nozzle", places=("extruder", "extruder1"))
    choice = made(part)["task.n4.place"]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters["to_json"] = json.dumps

    assert "task.n4.place" not in made(state("n4"))
    assert choice["p"] == "select"
    assert choice["ops"] == ["Shelf", "extruder", "extruder1"]

    def sent(value: str) -> Any:
        return json.loads(
            environment.from_string(choice["cmd_tpl"]).render(value=value)
        )

    assert sent("extruder1")["command"] == "fit"
    assert sent("extruder1")["place"] == "extruder1"
    assert sent("Shelf")["command"] == "remove"
    template = environment.from_string(choice["val_tpl"])
    assert template.render(value_json={"place": ""}) == "Shelf"
    assert template.render(value_json={"place": "extruder"}) == "extruder"
