"""What the configuration means, and one clear error for everything that is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from klippy_extra.settings import default_name, default_store

TASK = "[maintain rods]\ntrigger: {}\nthreshold: {}\n"
MINIMAL = TASK.format("print_time", 150)

WRONG = {
    "an unknown trigger": (
        TASK.format("print_tine", 150),
        (
            "'trigger'",
            "'maintain rods'",
            "there is no meter 'print_tine'",
            "print_time",
        ),
    ),
    "no trigger": (
        "[maintain rods]\nthreshold: 5\n",
        ("'trigger'", "'maintain rods'", "for example 'trigger: print_time'"),
    ),
    "no threshold": (
        "[maintain rods]\ntrigger: print_time\n",
        ("'threshold'", "'maintain rods'", "for example 'threshold: 150'"),
    ),
    "a threshold of letters": (
        TASK.format("print_time", "abc"),
        ("'threshold'", "'maintain rods'", "'abc'", "give a number from 0 to"),
    ),
    "a threshold that is not a number": (
        TASK.format("print_time", "nan"),
        ("'threshold'", "'nan'", "give a number"),
    ),
    "an infinite threshold": (
        TASK.format("print_time", "inf"),
        ("'threshold'", "'inf'", "give a number"),
    ),
    "a negative threshold": (
        TASK.format("print_time", "-5"),
        ("'threshold'", "'-5'", "give a number"),
    ),
    "more triggers than thresholds": (
        TASK.format("print_time, time", "5"),
        ("'threshold'", "1 numbers for 2 triggers", "one number for each"),
    ),
    "the same trigger twice": (
        TASK.format("time, time", "5, 6"),
        ("'trigger'", "names the same meter twice"),
    ),
    "a warning that is no amount": (
        MINIMAL + "warn_before: a lot\n",
        ("'warn_before'", "'a lot'", "give a number"),
    ),
    "a warning of more than all": (
        MINIMAL + "warn_before: 110%\n",
        ("'warn_before'", "'110'", "from 0 to 100"),
    ),
    "one absolute warning for two meters": (
        TASK.format("print_time, travel_x", "5, 6") + "warn_before: 5\n",
        ("'warn_before'", "one for each", "percent"),
    ),
    "an unknown match": (
        MINIMAL + "match: some\n",
        ("'match'", "'some'", "any, all"),
    ),
    "an unknown action at print start": (
        MINIMAL + "at_print_start: shout\n",
        ("'at_print_start'", "warn, off, confirm, block"),
    ),
    "a condition that is none": (
        MINIMAL + "while: hot\n",
        ("'while'", "'maintain rods'", "heater_bed>80"),
    ),
    "a factor that is none": (
        MINIMAL + "factor: ABS\n",
        ("'factor'", "ABS=1.5"),
    ),
    "a material that is none": (
        MINIMAL + "material: ABS,,ASA\n",
        ("'material'", "'maintain rods'", "no material"),
    ),
    "a template that is none": (
        MINIMAL + "expired_gcode: {% if %}\n",
        ("'expired_gcode'", "'maintain rods'"),
    ),
    "an unknown preset": (
        "[maintain rods]\npreset: voron/rodss\n",
        ("'preset'", "'voron/rodss'", "voron/ptfe"),
    ),
    "two names with one slug": (
        MINIMAL + MINIMAL.replace("rods", "Rods"),
        ("'maintain rods'", "'maintain Rods'", "rename one of them"),
    ),
    "an option with a slip of the pen": (
        MINIMAL + "treshold: 5\n",
        ("'treshold'", "maintain rods"),
    ),
    "a broker without a host": (
        "[maintain]\nmqtt_port: 1883\n",
        ("'mqtt_host'", "'maintain'", "for example 'mqtt_host:", "remove 'mqtt_port'"),
    ),
    "an empty host": (
        "[maintain]\nmqtt_host:\n",
        ("'mqtt_host'", "name the MQTT broker"),
    ),
    "credentials without a host": (
        "[maintain]\ncredentials: ~/x\n",
        ("'mqtt_host'", "remove 'credentials'"),
    ),
    "a password in the configuration": (
        "[maintain]\nmqtt_host: a\nmqtt_password: hunter2\n",
        ("'mqtt_password'", "klippy.log shows all of it", "credentials:"),
    ),
    "a password in the host": (
        "[maintain]\nmqtt_host: anna:hunter2@broker\n",
        ("'mqtt_host'", "credentials"),
    ),
    "credentials that are not there": (
        "[maintain]\nmqtt_host: a\ncredentials: ~/none\n",
        ("'credentials'", "none cannot be read"),
    ),
    "an authority that is not there": (
        "[maintain]\nmqtt_host: a\nmqtt_ca: ~/none.pem\n",
        ("'mqtt_ca'", "none.pem, which is no file"),
    ),
    "a port that is none": (
        "[maintain]\nmqtt_host: a\nmqtt_port: 70000\n",
        ("'mqtt_port'", "'70000'", "from 1 to 65535"),
    ),
    "an unknown version": (
        "[maintain]\nmqtt_host: a\nmqtt_version: 4\n",
        ("'mqtt_version'", "3.1.1, 5"),
    ),
    "a base topic with a wildcard": (
        "[maintain]\nmqtt_host: a\nbase_topic: all/+\n",
        ("'base_topic'", "'all/+'"),
    ),
    "an interval of nothing": (
        "[maintain]\nstore_interval: 0\n",
        ("'store_interval'", "from 1 to"),
    ),
    "an unknown source": (
        "[maintain]\nsource: octoprint\n",
        ("'source'", "klipper, moonraker"),
    ),
    "an address that is none": (
        "[maintain]\nmoonraker_url: moonraker\n",
        ("'moonraker_url'", "http://127.0.0.1:7125"),
    ),
    "a material variable that is none": (
        "[maintain]\nmaterial_variable: filament\n",
        ("'material_variable'", "gcode_macro PRINT_START.material"),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_option_is_named_with_its_fix(bench, what):
    sections, words = WRONG[what]
    printer = bench(sections, expect="error")

    message = printer.state_message
    assert [word for word in words if word not in message] == []
    assert "hunter2" not in message
    assert "Internal error" not in message


def test_paho_is_needed_only_for_a_broker(bench, monkeypatch):
    """Without it the error tells how to install it."""
    for name in list(sys.modules):
        package, _, module = name.rpartition(".")
        if package.endswith("maintain.mqtt") and module == "client":
            monkeypatch.delitem(sys.modules, name)
            monkeypatch.delattr(sys.modules[package], module)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)

    printer = bench(MINIMAL)
    printer.configure("[maintain]\nmqtt_host: localhost\n")
    printer.restart()

    assert printer.state == "error"
    assert "pip install 'paho-mqtt" in printer.state_message
    assert sys.executable in printer.state_message


CLOUD = """
[maintain]
mqtt_host: [::1]
mqtt_tls: True
mqtt_client_id: voron-1
mqtt_keepalive: 90
mqtt_server_name: broker.example.org
mqtt_transport: websockets
mqtt_path: broker
"""


def test_every_option_of_a_cloud_broker_is_read(bench):
    broker = bench(CLOUD + MINIMAL).manager.settings.broker

    assert (broker.host, broker.port) == ("::1", 443)
    assert (broker.client_id, broker.keepalive) == ("voron-1", 90)
    assert (broker.server_name, broker.path) == ("broker.example.org", "/broker")


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ("mqtt_server_name: other", "mqtt_server_name"),
        ("mqtt_path: /mqtt", "mqtt_path"),
        ("mqtt_transport: carrier pigeon", "mqtt_transport"),
        ("mqtt_keepalive: 1", "mqtt_keepalive"),
        (f"mqtt_client_id: {'x' * 129}", "mqtt_client_id"),
    ],
)
def test_a_wrong_option_of_a_broker_is_named(bench, options, option):
    printer = bench(MINIMAL)
    printer.configure(f"[maintain]\nmqtt_host: localhost\n{options}\n")
    printer.restart()

    assert printer.state == "error"
    assert f"Option '{option}'" in printer.state_message


@pytest.mark.parametrize(
    ("config_file", "name", "store"),
    [
        (
            "/home/pi/printer_data/config/printer.cfg",
            "pi4",
            "printer_data/upkeep/upkeep",
        ),
        (
            "/home/pi/voron_data/config/printer.cfg",
            "pi4 voron",
            "voron_data/upkeep/upkeep",
        ),
        (
            "/home/pi/printer_2_data/config/printer.cfg",
            "pi4 printer_2",
            "printer_2_data/",
        ),
        ("/home/pi/printer.cfg", "pi4", ".upkeep/printer"),
        ("/home/pi/ender.cfg", "pi4 ender", ".upkeep/ender"),
    ],
)
def test_printers_on_one_host_have_different_names_and_stores(config_file, name, store):
    assert default_name(Path(config_file), "pi4") == name
    assert store in str(default_store(Path(config_file)))


def test_an_interval_of_zero_sends_no_reminders(bench):
    """KlipperMaintenance did the same. The status command still shows what is due."""
    printer = bench("[maintain]\ninterval: 0\n" + MINIMAL)
    printer.use(print_time=151.0)

    assert not any("is due" in line for line in printer.console)
    assert "is due" in printer.say("MAINTAIN_STATUS")


def test_a_configuration_of_klippermaintenance_is_accepted_unchanged(bench):
    printer = bench(
        "[maintain]\ninterval: 60\n"
        "[maintain xyrods]\nlabel: XY smooth rods\ntrigger: print_time\n"
        "threshold: 250\nmessage: Lubricate XY smooth rods\n"
        "[maintain airfilter]\nlabel: Air filter\ntrigger: time\nthreshold: 500\n"
        "message: Replace HEPA and charcoal filters\n"
        "[maintain extruder]\nlabel: Extruder\ntrigger: filament\nthreshold: 700\n"
        "message: Clean extruder gears\nexpired_gcode: M117 clean\ndisabled: False\n"
    )
    answer = printer.say("MAINTAIN_STATUS")
    assert "XY smooth rods: 250 h remaining" in answer
    assert "Extruder: 700 m remaining" in answer


def test_a_task_disabled_in_the_configuration_is_disabled(bench):
    """KlipperMaintenance ignored this option."""
    printer = bench(MINIMAL + "disabled: True\n")
    printer.use(print_time=500.0)

    assert printer.task("rods")["status"] == "disabled"
    assert "due" not in printer.say("MAINTAIN_STATUS")


def test_a_preset_gives_the_options_that_the_section_does_not_give(bench):
    printer = bench("[maintain tube]\npreset: voron/ptfe\nthreshold: 700\n")

    task = printer.task("tube")
    assert task["threshold"] == 700.0
    assert task["label"] != "tube"


def test_a_threshold_set_by_command_stays_until_the_file_changes(bench):
    printer = bench(MINIMAL)
    printer.say("SET_MAINTENANCE NAME=rods THRESHOLD=200")
    printer.restart()
    assert printer.task("rods")["threshold"] == 200.0

    store = printer.config_file.read_text().split("store: ")[1].splitlines()[0]
    head = f"[maintain]\nstore: {store}\n"
    printer.configure(head + TASK.format("print_time", 160))
    printer.restart()
    assert printer.task("rods")["threshold"] == 160.0


def test_a_meter_that_the_printer_does_not_have_is_reported_and_klippy_starts(bench):
    printer = bench(TASK.format("heater_on_chamber", 5))

    text = " ".join(printer.console)
    assert "[maintain" in text
    assert "'heater_on_chamber' is not counted: this printer has no such meter" in text
    assert printer.task("rods")["used"] == 0.0
