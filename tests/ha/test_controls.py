"""Every control reaches the printer, and its effect can be read."""

from __future__ import annotations

import pytest

from tests.ha.home_assistant import amount, until

pytestmark = pytest.mark.usefixtures("everything")


def test_done_starts_the_count_again_and_is_in_the_log(home, voron):
    voron.wear_out("filter", 20)
    home.wait("sensor.voron_filter_used", "20.0")

    home.call("button.press", "button.voron_filter_done")

    home.wait("sensor.voron_filter_used", "0.0")
    assert home.state("sensor.voron_filter_last_done") != "unknown"
    # The owner's token pressed the button.
    assert home.attributes("binary_sensor.voron_filter_due")["last_by"] == "Anna"
    assert "Anna" in voron.log_of("filter")


def test_the_event_entity_shows_what_happened_and_who_did_it(home, voron):
    cutter = home.state("event.voron_cutter_event")
    home.call("button.press", "button.voron_nozzle_done")

    def user():
        attributes = home.attributes("event.voron_nozzle_event")
        return attributes["event_type"] == "done" and attributes["by"]

    assert until(user) == "Anna"
    assert home.state("event.voron_cutter_event") == cutter


def test_snooze_lasts_a_day_and_done_ends_it(home, voron):
    voron.wear_out("filter", 60)
    home.wait("binary_sensor.voron_filter_due", "on")

    home.call("button.press", "button.voron_filter_snooze")

    home.wait("sensor.voron_filter_status", "snoozed")
    home.wait("binary_sensor.voron_filter_due", "off")
    assert home.attributes("binary_sensor.voron_filter_due")["snoozed_until"]
    home.call("button.press", "button.voron_filter_done")
    home.wait("sensor.voron_filter_status", "ok")


def test_the_switch_disables_and_enables_the_task(home):
    home.call("switch.turn_off", "switch.voron_cutter_enabled")
    home.wait("switch.voron_cutter_enabled", "off")
    home.wait("sensor.voron_cutter_status", "disabled")

    home.call("switch.turn_on", "switch.voron_cutter_enabled")
    home.wait("switch.voron_cutter_enabled", "on")
    home.wait("sensor.voron_cutter_status", "ok")


def test_a_threshold_can_be_set_and_the_remaining_amount_follows(home):
    number, remaining = "number.voron_nozzle_threshold", "sensor.voron_nozzle_remaining"

    for wanted in (2500.0, 3000.0):
        home.call("number.set_value", number, value=wanted)
        home.wait(number, amount(wanted))
        home.wait(remaining, amount(wanted))


def test_one_of_several_thresholds_can_be_set_and_the_other_stays(home):
    changed, other = "number.voron_rods_time_threshold", "sensor.voron_rods_print_time"

    for wanted in (20.0, 30.0):  # days
        home.call("number.set_value", changed, value=wanted)
        home.wait(changed, amount(wanted))
    assert float(home.state(other + "_remaining")) == 150.0
