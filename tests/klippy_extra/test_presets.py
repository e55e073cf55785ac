"""Every preset has a source and can be a task, and none gives wrong advice."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys

import pytest

from klippy_extra import presets
from klippy_extra.contract import is_slug
from klippy_extra.ledger import conditions
from klippy_extra.meters import known

OPTIONS = {
    *("label", "message", "guide", "parts", "trigger", "threshold", "warn_before"),
    *("match", "while", "material", "factor", "at_print_start"),
}
NEEDED = {"label", "message", "trigger", "threshold", *presets.ABOUT}
CONFIDENCE = {
    "vendor": "the maker's own text, seen",
    "project": "a project's own default",
    "reported": "the maker's text, by way of somebody who collected it",
    "community": "what owners tell each other",
}
PRESETS = presets.names()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_all_required_fields_and_no_unknown_field(name):
    entry = presets.load(name)

    assert set(entry) >= NEEDED
    assert set(entry) <= OPTIONS | set(presets.ABOUT)
    assert all(isinstance(value, str) and value for value in entry.values())
    assert is_slug(name.partition("/")[2])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_its_source_its_confidence_and_the_date_of_its_check(name):
    entry = presets.load(name)

    assert len(entry["source"]) > 8
    assert entry["confidence"] in CONFIDENCE
    assert re.fullmatch(r"20\d\d-[01]\d(-[0-3]\d)?", entry["last_checked"])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_task(name):
    """Its meters exist, each has a threshold, and its conditions can be read."""
    entry = presets.load(name)
    triggers = [part.strip() for part in entry["trigger"].split(",")]
    thresholds = [float(part) for part in entry["threshold"].split(",")]

    assert all(map(known, triggers))
    assert len(triggers) == len(thresholds)
    assert min(thresholds) > 0
    conditions.parse(entry.get("while", ""), entry.get("material", ""))
    conditions.parse_factor(entry.get("factor", ""))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_plain_ascii(name):
    """Klipper reads its files in the encoding of the locale, which may be ASCII."""
    assert "".join(presets.load(name).values()).isascii()


def test_carbon_rods_are_never_greased():
    entry = presets.load("bambu/carbon_rods")

    assert "Never grease or oil" in entry["message"]
    assert "grease" not in entry["parts"].lower()


def test_the_name_of_a_preset_is_found_in_any_case():
    assert presets.load(" Voron/PTFE ") == presets.load("voron/ptfe")


@pytest.mark.parametrize(
    "name", ["", "voron", "voron/", "nothing/at_all", "../voron/x"]
)
def test_an_unknown_name_is_refused_with_the_names_that_exist(name):
    with pytest.raises(ValueError, match="voron/ptfe"):
        presets.load(name)


@pytest.mark.parametrize("machine", presets.machines())
def test_a_starter_file_has_a_section_for_each_preset(machine):
    parser = configparser.ConfigParser(strict=True)
    parser.read_string(presets.starter(machine))

    tasks = [name for name in presets.names() if name.startswith(machine + "/")]
    assert parser.sections() == [
        "maintain",
        *("maintain " + name.partition("/")[2] for name in tasks),
    ]
    assert [parser[s]["preset"] for s in parser.sections()[1:]] == tasks


def test_the_installer_can_print_the_list_and_a_starter_file():
    def ask(*arguments):
        return subprocess.run(
            [sys.executable, presets.__file__, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    assert ask("list").stdout.count("\n") == len(presets.machines())
    assert ask("starter", "voron").stdout == presets.starter("voron")
    assert ask("starter", "nothing").returncode == 2


def test_a_preset_may_be_written_by_an_editor_on_windows(monkeypatch, tmp_path):
    text = (presets.FOLDER / "voron.json").read_text(encoding="utf-8")
    windows = "\ufeff" + text.replace("\n", "\r\n")
    (tmp_path / "voron.json").write_bytes(windows.encode())
    before = [presets.load(name) for name in presets.names() if "voron/" in name]
    monkeypatch.setattr(presets, "FOLDER", tmp_path)

    assert [presets.load(name) for name in presets.names()] == before
