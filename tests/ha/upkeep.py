"""What tests of the integration need from a real Home Assistant."""

from __future__ import annotations

from typing import Any

from tests.ha.home_assistant import HomeAssistant, shown, until

DOMAIN = "klipper_upkeep"
STATUS = "sensor.voron_filter_status"
TODO = "todo.voron_maintenance"
CALENDAR = "calendar.voron_maintenance"
FLOWS = "/api/config/config_entries/flow"
OURS = "Voron maintenance"  # the integration's device


def entries(home: HomeAssistant) -> list[dict[str, Any]]:
    return [e for e in home.ask("config_entries/get") if e["domain"] == DOMAIN]


def offered(home: HomeAssistant) -> list[dict[str, Any]]:
    flows = home.ask("config_entries/flow/progress")
    return [flow for flow in flows if flow["handler"] == DOMAIN]


def known(state: str | None) -> bool:
    return state not in (None, "unavailable", "unknown")


def set_up(home: HomeAssistant) -> None:
    """Set up the integration, which MQTT offers, or type its topic in."""
    if not entries(home):
        offers = offered(home)
        if offers:
            home.http("POST", f"{FLOWS}/{offers[0]['flow_id']}", {})
        else:
            home.flow(DOMAIN, {"base_topic": DOMAIN})
    home.wait(TODO, known)
    until(lambda: hears_printer(home), "the integration to hear the printer")


def hears_printer(home: HomeAssistant) -> bool:
    """Return whether the integration has the Voron as online."""
    entry = entries(home)[0]["entry_id"]
    diagnostics = home.http("GET", f"/api/diagnostics/config_entry/{entry}")
    printer = diagnostics["data"]["printers"].get("voron")
    return printer is not None and bool(printer["online"])


def listed_issues(home: HomeAssistant) -> dict[str, dict[str, Any]]:
    listed = home.ask("repairs/list_issues")["issues"]
    return {each["issue_id"]: each for each in listed if each["domain"] == DOMAIN}


def issues(home: HomeAssistant) -> set[str]:
    return set(listed_issues(home))


def act(
    home: HomeAssistant,
    action: str,
    response: bool = False,
    printer: str = OURS,
    **data: Any,
) -> Any:
    device = home.device(printer)
    assert device is not None
    return home.ask(
        "call_service",
        domain=DOMAIN,
        service=action,
        service_data={"device_id": device["id"], **data},
        return_response=response,
    )


def offers(home: HomeAssistant) -> set[str]:
    """Return the options in the integration's form."""
    (entry,) = entries(home)
    path = "/api/config/config_entries/options/flow"
    flow = home.http("POST", path, {"handler": entry["entry_id"]})
    home.http("DELETE", f"{path}/{flow['flow_id']}")
    return {each["name"] for each in flow["data_schema"]}


def set_options(home: HomeAssistant, **wanted: Any) -> None:
    (entry,) = entries(home)
    path = "/api/config/config_entries/options/flow"
    flow = home.http("POST", path, {"handler": entry["entry_id"]})
    answers = {**shown(flow["data_schema"]), **wanted}
    done = home.http("POST", f"{path}/{flow['flow_id']}", answers)
    assert done["type"] == "create_entry"


def reload(home: HomeAssistant) -> None:
    (entry,) = entries(home)
    path = f"/api/config/config_entries/entry/{entry['entry_id']}/reload"
    assert home.http("POST", path) == {"require_restart": False}
