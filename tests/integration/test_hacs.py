"""What HACS and hassfest look for stands where they look.

Their rules, as far as files alone tell: one integration below ``custom_components`` at
the repository's root, ``hacs.json`` and a README beside it, a complete manifest.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter

import pytest
import yaml
from homeassistant.const import REQUIRED_PYTHON_VER

ROOT = Path(__file__).parents[2]
INTEGRATION = ROOT / "custom_components" / "klipper_upkeep"
MANIFEST = json.loads((INTEGRATION / "manifest.json").read_text())


def test_there_is_one_integration_at_the_root_of_the_repository():
    assert [each.name for each in INTEGRATION.parent.iterdir() if each.is_dir()] == [
        MANIFEST["domain"]
    ]
    assert (ROOT / "README.md").is_file()
    assert (INTEGRATION / "brand" / "icon.png").is_file()


def test_hacs_json_has_a_name_and_only_what_hacs_knows():
    told = json.loads((ROOT / "hacs.json").read_text())
    known = {"name", "homeassistant", "hacs", "render_readme", "country", "filename"}
    assert told["name"]
    assert set(told) <= known
    assert re.fullmatch(r"\d{4}\.\d+\.\d+", told["homeassistant"])


def test_the_manifest_has_every_key_that_hacs_wants_and_in_hassfests_order():
    for key in ("documentation", "issue_tracker", "codeowners", "name", "version"):
        assert MANIFEST[key]
    assert list(MANIFEST) == ["domain", "name", *sorted(list(MANIFEST)[2:])]


def test_every_action_has_its_name_its_fields_and_its_icon():
    services = yaml.safe_load((INTEGRATION / "services.yaml").read_text())
    texts = json.loads((INTEGRATION / "translations" / "en.json").read_text())
    icons = json.loads((INTEGRATION / "icons.json").read_text())
    assert set(services) == set(texts["services"]) == set(icons["services"])
    for action, described in services.items():
        assert set(described["fields"]) == set(texts["services"][action]["fields"])


KEY = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
HTML = re.compile("<[a-z].*?>", re.IGNORECASE)
URL = re.compile(r"(\w+://|www\.)\w", re.IGNORECASE)


def texts(tree, path=()):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from texts(value, (*path, name))
        else:
            yield (*path, name), value


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_text_is_one_that_hassfest_takes(language):
    told = json.loads((INTEGRATION / "translations" / f"{language}.json").read_text())
    for path, text in texts(told):
        assert all(KEY.fullmatch(name) for name in path), path
        assert text == text.strip(), path
        assert not HTML.search(text), path
        assert not URL.search(text), path
        assert not re.search(r"'{\w+}'", text), path
        fields = [field for _, field, *_ in Formatter().parse(text) if field]
        assert all(field.isidentifier() for field in fields), path
    flows = [told["config"], told["options"], told["issues"]["due"]["fix_flow"]]
    for step in (step for flow in flows for step in flow["step"].values()):
        assert set(step.get("data_description", {})) <= set(step.get("data", {}))


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_card_calls_a_status_what_its_sensor_calls_it(language):
    """The card has words of its own: a browser has no translations of ours."""
    texts = json.loads((INTEGRATION / "translations" / f"{language}.json").read_text())
    states = texts["entity"]["sensor"]["status"]["state"]
    card = (INTEGRATION / "frontend" / "klipper-upkeep.js").read_text()
    words = re.search(
        rf"^  {language}: {{$(.*?)^  }},$", card, re.MULTILINE | re.DOTALL
    )[1]
    assert {
        each: re.search(rf'\b{each}: "(.*?)"', words)[1] for each in states
    } == states


@pytest.mark.parametrize("kind", ["triggers", "conditions"])
def test_every_trigger_and_condition_has_its_name_its_fields_and_its_icon(kind):
    described = yaml.safe_load((INTEGRATION / f"{kind}.yaml").read_text())
    told = json.loads((INTEGRATION / "translations" / "en.json").read_text())[kind]
    icons = json.loads((INTEGRATION / "icons.json").read_text())[kind]
    assert set(described) == set(told) == set(icons)
    for name, each in described.items():
        assert told[name]["name"]
        assert told[name]["description"]
        assert set(each["fields"]) == set(told[name]["fields"])


def test_every_platform_has_entities_with_names_and_icons_alone():
    icons = json.loads((INTEGRATION / "icons.json").read_text())["entity"]
    for platform, each in icons.items():
        assert (INTEGRATION / f"{platform}.py").is_file()
        for icon in each.values():
            assert icon["default"].startswith("mdi:")


def test_every_rule_of_the_quality_scale_is_done_or_has_its_reason():
    rules = yaml.safe_load((INTEGRATION / "quality_scale.yaml").read_text())["rules"]
    assert {"docs-triggers", "docs-conditions", "test-coverage"} <= set(rules)
    for rule in rules.values():
        assert rule == "done" or (rule["status"] == "exempt" and rule["comment"])


def test_the_readme_tells_what_to_click():
    readme = (ROOT / "integration" / "README.md").read_text()
    for words in ("⋮", "Custom repositories", "Integration", "Download", "restart"):
        assert words in readme
    assert REQUIRED_PYTHON_VER >= (3, 13)
