"""Home Assistant's names come from the catalogue, whichever table they are in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from klippy_extra import contract, language
from klippy_extra.meters import families
from klippy_extra.mqtt import components, discovery
from klippy_extra.mqtt.entities import Entity
from tests.languages import texts

NOW = 1_795_219_200
SAID = "<>"  # A language of the test puts these around each text.


@pytest.fixture
def marked() -> Iterator[None]:
    """Use a language in which every text can be recognised."""
    known = texts.keys()
    translated = {text: f"{SAID[0]}{text}{SAID[1]}" for text in known}
    before = language.current.catalogue
    language.current.catalogue = language.Catalogue("xx", texts=translated)
    yield
    language.current.catalogue = before


def shown() -> Iterator[tuple[str, str]]:
    """Yield each name and each choice of a printer that has everything."""
    meters = {
        name: contract.Meter("h", label)
        for name, label in (
            ("print_time", "Print time"),
            ("filament", "Filament"),
            ("travel_x", "Travel x"),
            ("heater_on_bed", "Heater on bed"),
        )
    }
    limits = tuple(
        contract.Limit(meter, "h", 100.0, 1.0, 99.0, 1.0)
        for meter in ("print_time", "filament")
    )
    part = contract.State(1, NOW, "n4", "n4", limits, "filament", contract.OK)
    part = part._replace(kind="nozzle", places=("extruder",))
    task = contract.State(1, NOW, "rods", "rods", limits[:1], "x", contract.OK)
    info = contract.Info("5d0c" * 8, "voron", ("n4", "rods"), meters)
    names = components.Names(learns=True)
    announced = discovery.announce(info, [part, task], "voron", names=names)
    for message in announced.messages:
        payload: dict[str, Any] = json.loads(message.payload)
        for key, each in payload["cmps"].items():
            yield key, each.get("name", "")
            for choice in each.get("ops", ()):
                yield key, choice


def unmarked() -> list[tuple[str, str]]:
    own = {"", "n4", "rods", "extruder"}  # names that their owner gave
    return [
        (key, text) for key, text in shown() if text not in own and SAID[0] not in text
    ]


def test_every_name_in_home_assistant_is_in_the_catalogue(marked: None) -> None:
    assert len(list(shown())) > 30
    assert unmarked() == []


def test_a_name_outside_the_catalogue_is_found(
    marked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = Entity("raw", "sensor", "Somebody's new sensor", value="1")
    monkeypatch.setattr(components, "TASK", (*components.TASK, raw))
    assert ("task.rods.raw", "rods Somebody's new sensor") in unmarked()


def test_every_meter_has_its_label_in_the_catalogue() -> None:
    labels = {family.label for family in families.FAMILIES}
    assert labels - texts.keys().keys() == set()
