"""The integration's files describe its code correctly, by the rules of hassfest.

hassfest is not installed with Home Assistant. These are those of its rules that the
files, the code and the harness can answer.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import homeassistant
import pytest
import voluptuous as vol
import yaml
from homeassistant.config_entries import SOURCE_USER
from homeassistant.const import Platform

from custom_components.klipper_upkeep.const import DOMAIN, PLATFORMS
from custom_components.klipper_upkeep.contract import CODES, NO_ANSWER

INTEGRATION = Path(__file__).parents[2] / "custom_components" / "klipper_upkeep"
MANIFEST = json.loads((INTEGRATION / "manifest.json").read_text())
# The copy of the contract does not use Home Assistant.
SOURCES = {
    each.stem: ast.parse(each.read_text())
    for each in INTEGRATION.glob("*.py")
    if each.stem != "contract"
}
CORE = Path(homeassistant.__file__).parent
LANGUAGES = ("en", "de")
# Every Home Assistant has these, so no manifest has to name them.
PRESENT = {"diagnostics", "logbook", "repairs"}
REFUSALS = {*CODES, NO_ANSWER}
NEVER_SENT = {"offline", "broker_away", "too_long"}


def texts(language):
    path = INTEGRATION / "translations" / f"{language}.json"
    return json.loads(path.read_text())


def test_the_manifest_has_only_values_that_home_assistant_knows():
    assert MANIFEST["domain"] == INTEGRATION.name == DOMAIN
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    assert MANIFEST["integration_type"] == "hub"
    assert MANIFEST["iot_class"] == "local_push"
    assert MANIFEST["quality_scale"] in ("bronze", "silver", "gold", "platinum")
    assert all(each.startswith("@") for each in MANIFEST["codeowners"])
    for key in ("documentation", "issue_tracker"):
        assert MANIFEST[key].startswith("https://")
    # An integration that MQTT discovers has a flow, and starts after MQTT.
    assert MANIFEST["mqtt"]
    assert MANIFEST["config_flow"]
    assert "mqtt" in MANIFEST["dependencies"]
    assert {*MANIFEST} <= {
        *("domain", "name", "version", "codeowners", "config_flow", "loggers", "mqtt"),
        *("dependencies", "after_dependencies", "documentation", "issue_tracker"),
        *("integration_type", "iot_class", "quality_scale", "requirements"),
    }


def components():
    """Return the components of Home Assistant from which the code imports."""
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            module = getattr(node, "module", None) or ""
            if module == "homeassistant.components":
                yield from (each.name for each in node.names)
            elif module.startswith("homeassistant.components."):
                yield module.split(".")[2]


def test_every_imported_component_is_a_dependency():
    named = {*MANIFEST["dependencies"], *MANIFEST["after_dependencies"]}
    platforms = {each.value for each in Platform}
    assert set(components()) <= named | platforms | PRESENT
    assert named <= set(components())


def calls(name):
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield node


def raised():
    """Yield each key of an exception in the code, and its placeholders."""
    for kind in ("HomeAssistantError", "ServiceValidationError", "ConfigEntryNotReady"):
        for call in calls(kind):
            given = {each.arg: each.value for each in call.keywords}
            key = given["translation_key"]
            words = given.get("translation_placeholders")
            if isinstance(key, ast.Constant):
                known = words.keys if isinstance(words, ast.Dict) else []
                yield key.value, {each.value for each in known}
    for call in calls("_wrong"):
        yield call.args[0].value, {each.arg for each in call.keywords}
    yield from ((code, {"printer", "task", "text", "tasks"}) for code in REFUSALS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_exception_has_a_text_and_its_placeholders(language):
    exceptions = texts(language)["exceptions"]
    known = dict(raised())
    assert set(known) == set(exceptions)
    for key, each in exceptions.items():
        assert set(re.findall(r"{(\w+)}", each["message"])) <= known[key], key


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_field_of_a_form_has_a_name_and_a_description(
    hass, loaded, language
):
    flows = hass.config_entries
    forms = {
        "config": [
            await flows.flow.async_init(DOMAIN, context={"source": SOURCE_USER}),
            await loaded.start_reconfigure_flow(hass),
        ],
        "options": [await flows.options.async_init(loaded.entry_id)],
    }
    translations = texts(language)
    for kind, each in forms.items():
        for form in each:
            step = translations[kind]["step"][form["step_id"]]
            fields = {str(field) for field in form["data_schema"].schema}
            # An older version lacks one of the options.
            assert fields <= set(step["data"]) <= fields | {"task_devices"}
            assert set(step["data_description"]) == set(step["data"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_to_refuse_a_repair_has_a_text(language):
    flow = texts(language)["issues"]["due"]["fix_flow"]
    assert set(flow["error"]) == REFUSALS | NEVER_SENT


async def test_every_action_is_described_correctly(hass, loaded):
    """It has exactly its fields, and the necessary ones are required."""
    actions = hass.services.async_services_for_domain(DOMAIN)
    written = yaml.safe_load((INTEGRATION / "services.yaml").read_text())
    assert set(actions) == set(written)
    for name, action in actions.items():
        takes = {
            str(each): isinstance(each, vol.Required) for each in action.schema.schema
        }
        tells = {
            each: bool(field.get("required"))
            for each, field in written[name]["fields"].items()
        }
        assert tells == takes, name
        assert all("selector" in each for each in written[name]["fields"].values())


def test_the_quality_scale_answers_every_rule_that_home_assistant_has():
    """Home Assistant's own integrations answer all of them, too."""
    rules = yaml.safe_load((INTEGRATION / "quality_scale.yaml").read_text())["rules"]
    known = set()
    for each in CORE.glob("components/*/quality_scale.yaml"):
        known |= set(re.findall(r"^  ([a-z-]+):", each.read_text(), re.MULTILINE))
    assert len(known) > 50
    assert known <= set(rules)


@pytest.mark.parametrize(
    ("rule", "file", "name"),
    [
        ("action-setup", "__init__", "async_setup"),
        ("config-flow", "config_flow", "async_step_user"),
        ("config-entry-unloading", "__init__", "async_unload_entry"),
        ("diagnostics", "diagnostics", "async_get_config_entry_diagnostics"),
        ("discovery", "config_flow", "async_step_mqtt"),
        ("reconfiguration-flow", "config_flow", "async_step_reconfigure"),
        ("repair-issues", "repairs", "async_create_fix_flow"),
        ("stale-devices", "__init__", "async_remove_config_entry_device"),
        ("(configuration in YAML)", "__init__", "CONFIG_SCHEMA"),
        *(("parallel-updates", each.value, "PARALLEL_UPDATES") for each in PLATFORMS),
    ],
)
def test_each_rule_is_fulfilled_where_hassfest_checks_it(rule, file, name):
    names = set()
    for node in ast.walk(SOURCES[file]):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    assert name in names, rule
