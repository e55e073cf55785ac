"""Every language has all texts that are shown to people, and no others."""

from __future__ import annotations

import ast

import pytest

from tests.languages import texts

FILES = texts.languages()
OTHERS = [code for code in FILES if code != "en"]


@pytest.mark.parametrize("code", FILES)
def test_a_language_has_every_text_and_none_that_is_never_shown(code: str) -> None:
    known = FILES[code]["texts"].keys()
    assert sorted(texts.needed(code) - known) == []
    assert sorted(known - texts.keys().keys()) == []
    assert FILES[code]["page"].keys() == FILES["en"]["page"].keys()


@pytest.mark.parametrize("code", FILES)
def test_a_translation_has_the_fields_of_its_text(code: str) -> None:
    for key, value in FILES[code]["texts"].items():
        for text in texts.forms(value):
            assert texts.fields(text) == texts.fields(key), key
    for key, value in FILES[code]["page"].items():
        english = texts.forms(FILES["en"]["page"][key])[-1]
        for text in texts.forms(value):
            assert texts.fields(text) == texts.fields(english), key


@pytest.mark.parametrize("code", FILES)
def test_the_texts_are_in_alphabetical_order(code: str) -> None:
    """`make languages` sorts them, so that two people who add one seldom conflict."""
    assert list(FILES[code]["texts"]) == sorted(FILES[code]["texts"])


@pytest.mark.parametrize("code", FILES)
def test_the_forms_of_a_noun_have_known_names(code: str) -> None:
    for key, value in [*FILES[code]["texts"].items(), *FILES[code]["page"].items()]:
        if isinstance(value, dict):
            assert "{count}" in value["other"]
            assert "other" in value
            assert value.keys() <= set(texts.FORMS), key


def test_a_text_is_a_literal_and_gets_the_fields_that_it_names() -> None:
    """A text that is put together before it is translated is in no catalogue."""
    for path, tree in texts.modules():
        if path.name == "language.py":
            continue
        for name, call in texts.calls(tree):
            where = f"{path}:{call.lineno}"
            text = call.args[0]
            assert not isinstance(text, ast.JoinedStr | ast.BinOp), where
            assert name == "tr" or isinstance(text, ast.Constant), where
            given = [each.arg for each in call.keywords]
            if name == "tr" and isinstance(text, ast.Constant) and None not in given:
                assert texts.fields(text.value) == set(given), where


def test_every_sentence_for_people_is_in_the_catalogue() -> None:
    """Texts that nobody reads on a screen are named in `texts.NOT_SPOKEN`."""
    assert list(texts.outside()) == []


@pytest.mark.parametrize(
    "code",
    [
        'gcmd.respond_info("Nothing is due.")',
        'self._say(f"{label} is due now.")',
        'raise gcmd.error("It needs a name." + name)',
        'TEXT = "Nothing is due."',
        'Button("Print anyway", "GO")',
        'Button("Done", "UPDATE_MAINTENANCE NAME=rods")',
        'gcmd.respond_info("Done")',
        'self._console.say(f"Done: {label}")',
        'PushMessage("Due", text)',
    ],
)
def test_a_sentence_outside_the_catalogue_is_found(code: str) -> None:
    assert list(texts.strange(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        'gcmd.respond_info(tr("Nothing is due."))',
        'logging.info("maintain: nothing is due")',
        'raise refusal(config, "mqtt_host", "is missing: name the broker")',
        'TEXT = mark("Nothing is due.")',
        'def due():\n    """Nothing is due."""',
        'Button(tr("Done"), gcode)',
        'self._say(f"{label}: {text}")',
    ],
)
def test_texts_that_are_translated_or_not_for_people_are_left_out(code: str) -> None:
    assert list(texts.strange(ast.parse(code))) == []


@pytest.mark.parametrize("file", texts.NOT_SPOKEN)
def test_every_text_named_as_not_spoken_exists(file: str) -> None:
    assert (texts.ROOT / file).exists()
