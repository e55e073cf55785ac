"""The bridge's messages to people, in the language of its settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from mqtt_bridge import language
from mqtt_bridge.cli.check import results
from mqtt_bridge.contract import Event
from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.push.messages import PushMessage, compose, together
from mqtt_bridge.settings import Broker, Rule, Settings, load

RULE = Rule(to=("a://",))


def due(label: str) -> PushMessage:
    made = Event(1, 0.0, "rods", "due", label=label, message="Ein Tropfen Öl.")
    return compose(0, 0, RULE, PrinterEvent("voron", "Voron", "", made, 0))


def test_a_message_is_in_the_language_of_the_bridge() -> None:
    language.current.use("de")
    message = due("Stangen ölen")
    assert message.title == "Voron: Stangen ölen"
    assert message.text == "Die Wartung ist fällig. Ein Tropfen Öl."


@pytest.mark.parametrize(
    ("code", "title", "last"),
    [
        ("en", "Maintenance: 12 messages", "2 more"),
        ("de", "Wartung: 12 Meldungen", "2 weitere"),
    ],
)
def test_joined_messages_are_counted(code: str, title: str, last: str) -> None:
    language.current.use(code)
    message = together([due(f"Stange {number}") for number in range(12)])
    assert message.title == title
    assert message.text.splitlines()[-1] == last


def test_the_language_is_a_setting_of_the_file_and_of_the_environment(
    tmp_path: Path,
) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text('language = "de"\n[broker]\nhost = "broker"\n')
    assert load(file, {}).language == "de"
    assert load(file, {"UPKEEP_LANGUAGE": "en"}).language == "en"
    assert load(None, {}).language == "en"


def test_check_reports_a_language_that_does_not_exist() -> None:
    def report(code: str) -> str:
        settings = Settings(broker=Broker(port=1), language=code)
        return next(each.fix for each in results(settings) if each.what == "language")

    assert report("de") == ""
    there_are = ", ".join(language.known())
    assert report("tlh").endswith(f"Write one of these behind 'language': {there_are}.")
