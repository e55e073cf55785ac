"""What people do wrong with parts and files is one clear sentence, in each language."""

from __future__ import annotations

import pytest

from tests.klippy_extra.nozzles import FITTED, NOZZLES

SECTIONS = """
[maintain]
language: {language}
printer_name: voron
[virtual_sdcard]
path: {folder}
""" + NOZZLES.replace("{place}", FITTED)
# Of what they type, the sentence in each language.
SENTENCES = {
    "FIT_PART PART=n4 PLACE=bed": {
        "en": "This part is fitted to extruder. Take it off first: REMOVE_PART"
        " PART=n4.",
        "de": "Dieses Teil ist eingebaut: extruder. Bauen Sie es zuerst aus:"
        " REMOVE_PART PART=n4.",
    },
    "FIT_PART PART=n4 PLACE=extruder": {
        "en": 'Part "Nozzle" is fitted to extruder already.',
        "de": "Teil „Nozzle“ ist schon eingebaut: extruder.",
    },
    "FIT_PART PART=n6 PLACE=extruder9": {
        "en": "There is no place 'extruder9'. There are: extruder, bed.",
        "de": "Den Platz „extruder9“ gibt es nicht. Es gibt: extruder, bed.",
    },
    "FIT_PART PART=n6": {
        "en": "Name the place. There are: extruder, bed.",
        "de": "Nennen Sie den Platz. Es gibt: extruder, bed.",
    },
    "FIT_PART PART=n8 PLACE=extruder": {
        "en": "There is no part 'n8'. There are: n4, n6.",
        "de": "Das Teil „n8“ gibt es nicht. Es gibt: n4, n6.",
    },
    "IMPORT_PART PART=n6 CODE=abc": {
        "en": "CODE= is no export of a part. Copy the whole line that EXPORT_PART"
        " gave.",
        "de": "CODE= ist kein Export eines Teils. Kopieren Sie die ganze Zeile, die"
        " EXPORT_PART ausgegeben hat.",
    },
    "EXPORT_PART PART=n4 TO=voron": {
        "en": "Give the slug of the other printer, as its topic has it.",
        "de": "Geben Sie den Kurznamen des anderen Druckers an, wie er in seinem Topic"
        " steht.",
    },
    "MAINTENANCE_CHECK FILE=plain.gcode": {
        "en": "'plain.gcode' does not say how long it prints or how much filament it"
        " needs, so nothing is known ahead.",
        "de": "„plain.gcode“ nennt weder Druckzeit noch Filamentbedarf. Deshalb lässt"
        " sich nichts vorhersagen.",
    },
    "MAINTENANCE_DONE NAME=n4 CONDITION=so-so": {
        "en": "CONDITION=so-so must be one of good, worn, broken.",
        "de": "CONDITION=so-so gibt es nicht. Möglich sind: good, worn, broken.",
    },
}
IMPORTED = {
    "en": "This export was imported already. Nothing is changed.",
    "de": "Dieser Export wurde schon übernommen. Es hat sich nichts geändert.",
}


def standing(printer):
    """What each part has, and where it is."""
    records = printer.life.upkeep.book.records
    used = printer.life.upkeep.book.used
    return {part: (records[part].place, used(part)) for part in ("n4", "n6")}


@pytest.fixture(params=["en", "de"])
def code(request):
    return request.param


def test_a_wrong_command_is_one_sentence_and_nothing_is_lost(bench, tmp_path, code):
    printer = bench(SECTIONS.format(language=code, folder=tmp_path))
    (tmp_path / "plain.gcode").write_text("G28\n")
    printer.use(print_time=10)
    before = standing(printer)

    for command, sentences in SENTENCES.items():
        said = printer.say(command)
        assert sentences[code] in said, command
        assert len(said.splitlines()) == 1, command
        assert standing(printer) == before, command


def test_an_import_that_was_imported_is_one_sentence(bench, tmp_path, code):
    text = SECTIONS.format(language=code, folder=tmp_path)
    here = bench(text)
    here.use(print_time=10)
    said = here.say("EXPORT_PART PART=n4 TO=ender")
    order = next(line for line in said.splitlines() if "CODE=" in line)
    order = order[order.index("IMPORT_PART") :]
    here.close()
    store = tmp_path / "there"
    store.mkdir()
    there = bench(text.replace("voron", "ender"), store=store)
    there.say("REMOVE_PART PART=n4")
    there.say(order)
    before = standing(there)

    assert IMPORTED[code] in there.say(order)
    assert standing(there) == before
    assert before["n4"] == ("", {"print_time": pytest.approx(10, abs=0.01)})


def test_a_printer_without_parts_has_no_word_of_them(bench):
    """Nor of looking ahead, or of what is learnt: nothing is added to any message."""
    printer = bench("[maintain rods]\ntrigger: print_time\nthreshold: 150\n")
    printer.use(print_time=10)
    life = printer.life
    board = life.upkeep.board
    said = b"".join([board.state("rods").encode(), board.summary().encode()])

    new = ("kind", "place", "places", "habit", "suggestion", "due_from", "job", "ahead")
    assert [name for name in new if f'"{name}"'.encode() in said] == []
    assert set(new) & set(printer.task("rods")) == set()
    assert set(new) & set(printer.status("maintain")) == set()
    commands = printer.request("gcode/help")
    assert [name for name in commands if name.endswith("_PART")] == []
    assert "PART_STATUS" not in commands
    assert life.upkeep.tools is None  # nobody looks which tool is at work
    assert life.follower.job is None
    assert not life.follower.outlook.is_wanted  # no timer, and no file is read
