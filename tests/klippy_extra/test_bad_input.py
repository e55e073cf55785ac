"""A wrong command about parts or files is answered with one clear sentence."""

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
# For each thing that people may type: the sentence in each language.
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


def places_and_use(printer):
    """Return for each part its place and what it has used."""
    records = printer.life.upkeep.book.records
    used = printer.life.upkeep.book.used
    return {part: (records[part].place, used(part)) for part in ("n4", "n6")}


@pytest.fixture(params=["en", "de"])
def code(request):
    return request.param


def test_a_wrong_command_is_answered_with_one_sentence_and_nothing_is_lost(
    bench, tmp_path, code
):
    printer = bench(SECTIONS.format(language=code, folder=tmp_path))
    (tmp_path / "plain.gcode").write_text("G28\n")
    printer.use(print_time=10)
    before = places_and_use(printer)

    for command, sentences in SENTENCES.items():
        answer = printer.say(command)
        assert sentences[code] in answer, command
        assert len(answer.splitlines()) == 1, command
        assert places_and_use(printer) == before, command


def test_a_second_import_is_answered_with_one_sentence(bench, tmp_path, code):
    text = SECTIONS.format(language=code, folder=tmp_path)
    here = bench(text)
    here.use(print_time=10)
    answer = here.say("EXPORT_PART PART=n4 TO=ender")
    order = next(line for line in answer.splitlines() if "CODE=" in line)
    order = order[order.index("IMPORT_PART") :]
    here.close()
    store = tmp_path / "there"
    store.mkdir()
    there = bench(text.replace("voron", "ender"), store=store)
    there.say("REMOVE_PART PART=n4")
    there.say(order)
    before = places_and_use(there)

    assert IMPORTED[code] in there.say(order)
    assert places_and_use(there) == before
    assert before["n4"] == ("", {"print_time": pytest.approx(10, abs=0.01)})


def test_a_printer_without_parts_publishes_no_field_about_parts(bench):
    """It also has no field of the look-ahead or of learnt intervals."""
    printer = bench("[maintain rods]\ntrigger: print_time\nthreshold: 150\n")
    printer.use(print_time=10)
    life = printer.life
    board = life.upkeep.board
    published = b"".join([board.state("rods").encode(), board.summary().encode()])

    new = ("kind", "place", "places", "habit", "suggestion", "due_from", "job", "ahead")
    assert [name for name in new if f'"{name}"'.encode() in published] == []
    assert set(new) & set(printer.task("rods")) == set()
    assert set(new) & set(printer.status("maintain")) == set()
    commands = printer.request("gcode/help")
    assert [name for name in commands if name.endswith("_PART")] == []
    assert "PART_STATUS" not in commands
    assert life.upkeep.tools is None  # The extra does not check which tool is active.
    assert life.follower.job is None
    # There is no timer, and no file is read.
    assert not life.follower.outlook.is_wanted
