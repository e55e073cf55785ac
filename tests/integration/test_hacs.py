"""Everything that HACS and hassfest check is where they expect it.

These are their rules as far as files show them: one integration below
``custom_components`` at the repository's root, ``hacs.json`` and a README beside it, a
complete manifest.
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


def test_hacs_json_has_a_name_and_only_keys_that_hacs_knows():
    manifest = json.loads((ROOT / "hacs.json").read_text())
    known = {"name", "homeassistant", "hacs", "render_readme", "country", "filename"}
    assert manifest["name"]
    assert set(manifest) <= known
    assert re.fullmatch(r"\d{4}\.\d+\.\d+", manifest["homeassistant"])


def test_the_manifest_has_every_key_of_hacs_in_the_order_of_hassfest():
    for key in ("documentation", "issue_tracker", "codeowners", "name", "version"):
        assert MANIFEST[key]
    assert list(MANIFEST) == ["domain", "name", *sorted(list(MANIFEST)[2:])]


def test_every_action_has_a_name_fields_and_an_icon():
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
def test_every_text_is_accepted_by_hassfest(language):
    translations = json.loads(
        (INTEGRATION / "translations" / f"{language}.json").read_text()
    )
    for path, text in texts(translations):
        assert all(KEY.fullmatch(name) for name in path), path
        assert text == text.strip(), path
        assert not HTML.search(text), path
        assert not URL.search(text), path
        assert not re.search(r"'{\w+}'", text), path
        fields = [field for _, field, *_ in Formatter().parse(text) if field]
        assert all(field.isidentifier() for field in fields), path
    flows = [
        translations["config"],
        translations["options"],
        translations["issues"]["due"]["fix_flow"],
    ]
    for step in (step for flow in flows for step in flow["step"].values()):
        assert set(step.get("data_description", {})) <= set(step.get("data", {}))


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_card_has_the_same_words_for_a_status_as_its_sensor(language):
    """The card has its own words, because a browser does not get our translations."""
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
def test_every_trigger_and_condition_has_a_name_fields_and_an_icon(kind):
    described = yaml.safe_load((INTEGRATION / f"{kind}.yaml").read_text())
    translations = json.loads((INTEGRATION / "translations" / "en.json").read_text())[
        kind
    ]
    icons = json.loads((INTEGRATION / "icons.json").read_text())[kind]
    assert set(described) == set(translations) == set(icons)
    for name, each in described.items():
        assert translations[name]["name"]
        assert translations[name]["description"]
        assert set(each["fields"]) == set(translations[name]["fields"])


def test_only_platforms_with_entities_have_names_and_icons():
    icons = json.loads((INTEGRATION / "icons.json").read_text())["entity"]
    for platform, each in icons.items():
        assert (INTEGRATION / f"{platform}.py").is_file()
        for icon in each.values():
            assert icon["default"].startswith("mdi:")


def test_every_rule_of_the_quality_scale_is_done_or_has_a_reason():
    rules = yaml.safe_load((INTEGRATION / "quality_scale.yaml").read_text())["rules"]
    assert {"docs-triggers", "docs-conditions", "test-coverage"} <= set(rules)
    for rule in rules.values():
        assert rule == "done" or (rule["status"] == "exempt" and rule["comment"])


def test_the_readme_tells_where_to_click():
    readme = (ROOT / "integration" / "README.md").read_text()
    for words in ("⋮", "Custom repositories", "Integration", "Download", "restart"):
        assert words in readme
    for words in ("Settings > Marketplace", "Add from link", "GitHub link", "Install"):
        assert words in readme
    assert REQUIRED_PYTHON_VER >= (3, 13)
