"""A text in a language, and the faults of a language's file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from klippy_extra import language
from klippy_extra.language import Catalogue

GERMAN = language.read("de")
HOURS = "is snoozed for {count} hours."


def test_a_text_without_a_translation_is_english() -> None:
    assert Catalogue("xx").tr("{label} is due.", label="Rods") == "Rods is due."


def test_a_noun_has_the_form_for_its_number() -> None:
    english = language.read("en")
    assert english.tr(HOURS, count=1) == "is snoozed for 1 hour."
    assert english.tr(HOURS, count=2.5) == "is snoozed for 2.5 hours."
    assert GERMAN.tr(HOURS, count=1) == "ist für 1 Stunde verschoben."
    assert GERMAN.tr(HOURS, count=0) == "ist für 0 Stunden verschoben."
    assert GERMAN.tr(HOURS, count=2.5) == "ist für 2,5 Stunden verschoben."


@pytest.mark.parametrize(
    ("code", "forms"),
    [
        ("de", "other one other other other other other"),
        ("fr", "one one other other other other other"),
        ("cs", "other one few other other other other"),
        ("pl", "many one few many many few many"),
        ("ru", "many one few many many few one"),
        ("ja", "other other other other other other other"),
    ],
)
def test_the_forms_of_nouns_are_those_of_unicode(code: str, forms: str) -> None:
    numbers = (0, 1, 2, 5, 12, 22, 21)
    assert [language.plural(code, each) for each in numbers] == forms.split()


def test_fractions_have_their_own_forms() -> None:
    assert language.plural("cs", 1.5) == "many"
    assert language.plural("pl", 1.5) == "other"
    assert language.plural("fr", 1.5) == "one"


def test_braces_in_a_message_are_kept() -> None:
    given = "Type {x}, not {label}."
    assert GERMAN.tr("{label}: {left}", label=given, left="1") == f"{given}: 1"
    assert GERMAN.tr("a {stranger}") == "a {stranger}"


def test_a_dialect_uses_its_language() -> None:
    for name in ("de", "DE", "de-AT", "de_CH", " de "):
        assert language.current.use(name) == ""
        assert language.current.catalogue.code == "de"


def test_an_unknown_language_is_reported_and_english_is_used() -> None:
    language.current.use("de")
    assert language.current.use("tlh") == (
        "There is no language 'tlh', so English is used."
        f" Write one of these behind 'language': {', '.join(language.known())}."
    )
    assert language.tr(HOURS, count=1) == "is snoozed for 1 hour."


@pytest.mark.parametrize("text", ["{", "[]", '{"texts": 1}', "\udcff"])
def test_a_file_that_cannot_be_read_is_reported_and_english_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for code, content in (("en", json.dumps({"texts": {}})), ("xx", text)):
        path = tmp_path / f"{code}.json"
        path.write_bytes(content.encode(errors="surrogateescape"))
    monkeypatch.setattr(language, "FOLDER", tmp_path)
    sentence = language.current.use("xx")
    assert sentence.startswith("The language file xx.json cannot be used: ")
    assert language.current.catalogue.code == "en"


def test_the_log_is_english_in_every_language() -> None:
    language.current.use("de")
    inner = language.tr("it does not say why")
    text = language.tr(
        "The MQTT broker refuses what is published to {topic}: {why}.",
        topic="a/b",
        why=inner,
    )
    assert text.endswith("a/b veröffentlicht wird: er nennt keinen Grund.")
    assert language.in_english(text) == (
        "The MQTT broker refuses what is published to a/b: it does not say why."
    )
    assert language.in_english("as it is") == "as it is"


def test_a_translated_text_is_a_plain_string() -> None:
    # Klippy encodes with msgspec, which refuses subclasses, and then shuts down.
    language.current.use("de")
    assert type(language.tr("it does not say why")) is str


def test_no_more_texts_are_remembered_for_the_log_than_a_thousand() -> None:
    language.current.use("de")
    for number in range(2 * language.REMEMBERED):
        text = language.tr("There is no maintenance task '{name}'.", name=str(number))
    assert len(language.current.latest) <= language.REMEMBERED
    assert language.in_english(text) == f"There is no maintenance task '{number}'."
