"""Named parts: each counts while it is fitted, and keeps its counts."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import segno

from klippy_extra import contract
from tests.fakes.virtual_printer import VirtualPrinter

FOUR = """
[maintain_part nozzle_04]
label: Nozzle 0.4
kind: nozzle
place: extruder
trigger: print_time
threshold: 200
"""
SIX = """
[maintain_part nozzle_06]
label: Nozzle 0.6
kind: nozzle
trigger: print_time
threshold: 300
"""
PLATE = """
[maintain_part pei]
kind: plate
place: bed
trigger: jobs_completed
threshold: 100
"""
RODS = """
[maintain rods]
trigger: print_time
threshold: 150
"""


def used(printer, part):
    return printer.status(f"maintain_part {part}")["used"]


def place(printer, part):
    return printer.status(f"maintain_part {part}")["place"]


@pytest.fixture
def printer(bench):
    return bench(FOUR + SIX + PLATE + RODS)


def test_a_part_starts_at_the_place_of_its_section_or_on_the_shelf(printer):
    assert [place(printer, part) for part in ("nozzle_04", "nozzle_06", "pei")] == [
        "extruder",
        "",
        "bed",
    ]


def test_a_swap_and_its_reversal_lose_nothing(printer):
    printer.use(print_time=10)
    printer.say("FIT_PART PART=nozzle_06 PLACE=extruder")
    printer.use(print_time=3)
    printer.say("FIT_PART PART=nozzle_04 PLACE=extruder")
    printer.use(print_time=2)

    assert used(printer, "nozzle_04") == pytest.approx(12, abs=0.01)
    assert used(printer, "nozzle_06") == pytest.approx(3, abs=0.01)
    assert printer.task("rods")["used"] == pytest.approx(15, abs=0.01)


def test_fitting_a_part_removes_the_part_of_the_same_kind_only(printer):
    printer.say("FIT_PART PART=nozzle_06 PLACE=extruder")

    assert place(printer, "nozzle_04") == ""
    assert place(printer, "nozzle_06") == "extruder"
    assert place(printer, "pei") == "bed"


def test_a_part_on_the_shelf_is_never_due_and_is_not_examined(printer):
    printer.say("ADJUST_MAINTENANCE NAME=nozzle_04 USED=250")
    printer.say("REMOVE_PART PART=nozzle_04")
    printer.advance(3)

    assert printer.status("maintain_part nozzle_04")["status"] == "disabled"
    assert "nozzle_04" not in printer.life.upkeep.book.working
    assert "Nozzle 0.4 is on the shelf, with 250 h used." in printer.say("PART_STATUS")


def test_a_restart_keeps_the_places_and_counts_of_parts(printer):
    printer.use(print_time=10)
    printer.say("FIT_PART PART=nozzle_06 PLACE=extruder")
    printer.use(print_time=3)
    printer.restart()
    printer.use(print_time=1)

    assert place(printer, "nozzle_06") == "extruder"
    assert used(printer, "nozzle_06") == pytest.approx(4, abs=0.01)
    assert used(printer, "nozzle_04") == pytest.approx(10, abs=0.01)


def test_done_starts_a_part_from_zero_also_on_the_shelf(printer):
    printer.use(print_time=10)
    printer.say("REMOVE_PART PART=nozzle_04")
    printer.say("MAINTENANCE_DONE NAME=nozzle_04")
    printer.say("FIT_PART PART=nozzle_04")
    printer.use(print_time=1)

    assert used(printer, "nozzle_04") == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("FIT_PART PART=nozzle_04 PLACE=bed", "Take it off first"),
        ("FIT_PART PART=nozzle_06 PLACE=extruder9", "There is no place 'extruder9'"),
        ("FIT_PART PART=nozzle_08 PLACE=extruder", "There is no part 'nozzle_08'"),
        ("FIT_PART PART=rods PLACE=extruder", "There is no part 'rods'"),
        ("IMPORT_PART PART=nozzle_06 CODE=abc", "no export of a part"),
        ("EXPORT_PART PART=nozzle_06 TO=", "Give the slug of the other printer"),
    ],
)
def test_a_wrong_command_is_answered_with_one_clear_sentence_and_changes_nothing(
    printer, command, answer
):
    printer.use(print_time=10)

    assert answer in printer.say(command)
    assert place(printer, "nozzle_04") == "extruder"
    assert used(printer, "nozzle_04") == pytest.approx(10, abs=0.01)


def test_fitting_a_part_that_is_fitted_already_is_answered_so(printer):
    answer = printer.say("FIT_PART PART=nozzle_04 PLACE=extruder")
    assert "is fitted to extruder already." in answer


def test_a_swap_is_in_the_log(printer):
    printer.say("FIT_PART PART=nozzle_06 PLACE=extruder NOTE=PETG")
    answer = printer.say("MAINTENANCE_LOG NAME=nozzle_06")
    assert "fitted to extruder, in the place of nozzle_04; PETG" in answer


def test_two_parts_cannot_start_at_one_place(bench):
    printer = bench(
        FOUR + SIX.replace("kind: nozzle", "kind: nozzle\nplace: extruder"), "error"
    )
    assert "where 'nozzle_04' already is" in printer.state_message


def test_a_part_needs_a_kind(bench):
    printer = bench(FOUR.replace("kind: nozzle\n", ""), "error")
    assert "'kind: nozzle'" in printer.state_message


def test_a_place_that_the_printer_does_not_have_puts_the_part_on_the_shelf(bench):
    printer = bench(FOUR.replace("place: extruder", "place: extruder7"))

    assert place(printer, "nozzle_04") == ""
    assert "has no place 'extruder7'" in "\n".join(printer.console)


def test_templates_run_after_a_part_is_fitted_and_after_it_is_removed(bench):
    say = '\n    RESPOND TYPE=echo MSG="{}"\n'
    on = f"on_fit:{say}on_remove:{say}"
    printer = bench(
        FOUR
        + on.format("four on", "four off")
        + SIX
        + on.format("six on", "six off")
        + "[respond]\n"
    )
    printer.say("FIT_PART PART=nozzle_06 PLACE=extruder")
    printer.advance(2)

    lines = [line for line in printer.console if line.startswith("echo: ")]
    assert lines == ["echo: four off", "echo: six on"]


def test_without_parts_there_are_no_commands_and_fields_for_them(bench):
    printer = bench(RODS)

    assert "FIT_PART" not in printer.request("gcode/help")
    assert printer.life.upkeep.tools is None
    assert "place" not in printer.task("rods")
    assert b'"place"' not in printer.life.upkeep.board.state("rods").encode()


def test_a_part_moves_to_another_printer_once_with_its_counts(bench, tmp_path):
    name = "\n[maintain]\nprinter_name: {}\n"
    here = bench(FOUR + name.format("voron"))
    here.use(print_time=12)
    answer = here.say("EXPORT_PART PART=nozzle_04 TO=ender")
    order = answer.partition("'ender': ")[2].splitlines()[0]
    again = here.say("EXPORT_PART PART=nozzle_04 TO=ender")
    assert order in again
    assert "was given to the printer 'ender'" in here.say("FIT_PART PART=nozzle_04")
    assert "already" in here.say("EXPORT_PART PART=nozzle_04 TO=prusa")
    here.use(print_time=5)
    assert used(here, "nozzle_04") == pytest.approx(12, abs=0.01)
    assert "is for the printer 'ender'" in here.say(order)
    here.restart()
    here.close()

    there = bench(
        FOUR.replace("place: extruder\n", "") + name.format("ender"),
        store=tmp_path / "there",
    )
    assert "was imported, with print_time 12 h" in there.say(order)
    assert "was imported already" in there.say(order)
    there.say("FIT_PART PART=nozzle_04 PLACE=extruder")
    there.use(print_time=1)
    assert used(there, "nozzle_04") == pytest.approx(13, abs=0.01)


class StatusObject:
    """A status object with the fields of a tool changer."""

    def __init__(self, **status):
        self.status = status

    def get_status(self, eventtime):
        return dict(self.status)


NUMBERED = FOUR.replace("place: extruder", "place: {}") + SIX.replace(
    "kind: nozzle", "kind: nozzle\nplace: {}"
)


@pytest.mark.parametrize(
    ("name", "status", "places", "change"),
    [
        (
            "toolchanger",
            {"tool_numbers": [0, 1], "tool_names": ["T0", "T1"], "tool_number": 0},
            ("tool 0", "tool 1"),
            {"tool_number": 1},
        ),
        (
            "mmu",
            {"num_gates": 2, "gate": 0, "tool": 0, "filament": "Loaded"},
            ("gate 0", "gate 1"),
            {"gate": 1, "tool": 1},
        ),
        (
            "AFC",
            {"lanes": ["lane1", "lane2"], "current_load": "lane1"},
            ("lane1", "lane2"),
            {"current_load": "lane2"},
        ),
    ],
)
def test_tools_and_lanes_that_share_an_extruder_count_separately(
    bench, monkeypatch, name, status, places, change
):
    changer = StatusObject(**status)
    prepare = VirtualPrinter.prepare

    def prepared(self, printer):
        prepare(self, printer)
        printer.add_object(name, changer)

    monkeypatch.setattr(VirtualPrinter, "prepare", prepared)
    sections = NUMBERED.format(*places).replace(
        "trigger: print_time", "trigger: filament, tool_changes"
    )
    sections = sections.replace("threshold: 200", "threshold: 200, 50")
    printer = bench(sections.replace("threshold: 300", "threshold: 300, 50"))
    printer.use(filament=10)
    changer.status.update(change)
    printer.advance(3)
    printer.use(filament=4)

    def amounts(part):
        state = printer.life.upkeep.board.state(part)
        return {limit.meter: round(limit.used, 2) for limit in state.limits}

    assert amounts("nozzle_04") == {"filament": 10, "tool_changes": 0}
    assert amounts("nozzle_06") == {"filament": 4, "tool_changes": 1}


def test_a_command_over_mqtt_fits_and_exports(printer):
    results = []
    printer.life.upkeep.publisher.result = results.append

    def order(command, **arguments):
        sent = contract.Command(command, f"t{len(results)}", **arguments)
        decoded = contract.Command.decode(sent.encode())
        expected = len(results) + 1
        printer.life.commands.by_broker("nozzle_06", decoded)
        printer.wait_for(lambda: len(results) == expected, "a result")
        return contract.Result.decode(results[-1].encode())

    assert order("fit", place="extruder").ok
    assert place(printer, "nozzle_06") == "extruder"
    assert place(printer, "nozzle_04") == ""
    assert order("fit", place="nowhere").code == contract.BAD_ARGUMENT

    given = order("export", to="ender").part
    assert (given["part"], given["to"]) == ("nozzle_06", "ender")
    assert order("export", to="ender").part == given
    assert place(printer, "nozzle_06") == ""


def test_fifty_parts_on_the_shelf_add_nothing_to_a_turn(bench):
    spares = "".join(
        SIX.replace("nozzle_06", f"spare_{number}") for number in range(50)
    )
    printer = bench(FOUR + spares + RODS)
    book = printer.life.upkeep.book

    assert book.working == ("nozzle_04", "rods")
    printer.use(print_time=1)
    assert used(printer, "spare_7") == 0


PAGE = "\n[maintain]\nprinter_name: voron\npage: http://voron.local/server/upkeep/\n"
LINK = "http://voron.local/server/upkeep/#/task/voron/nozzle_04"


def test_the_status_of_a_part_has_the_address_of_its_page(bench):
    printer = bench(FOUR + PAGE)

    assert f"Its page is {LINK}" in printer.say("PART_STATUS PART=nozzle_04")
    assert "page" not in printer.say("PART_STATUS")
    assert "QR=1 needs PART=" in printer.say("PART_STATUS QR=1")


def test_a_qr_code_opens_the_page_of_the_part(bench, tmp_path):
    printer = bench(FOUR + PAGE)
    printer.gcode("PART_STATUS PART=nozzle_04 QR=1")
    written = Path(printer.manager.settings.export).with_name("qr-nozzle_04.svg")
    printer.wait_for(written.exists, "the file")

    expected = io.BytesIO()
    segno.make(LINK, micro=False).save(expected, kind="svg", scale=8, light="#fff")
    assert written.read_bytes() == expected.getvalue()


def test_a_missing_segno_or_page_is_answered_with_the_fix(bench, monkeypatch):
    printer = bench(FOUR + PAGE)
    monkeypatch.setitem(sys.modules, "segno", None)
    printer.gcode("PART_STATUS PART=nozzle_04 QR=1")
    printer.wait_for(
        lambda: "-m pip install segno" in "\n".join(printer.console), "an answer"
    )

    printer = bench(FOUR)
    answer = printer.say("PART_STATUS PART=nozzle_04 QR=1")
    assert "'page: http://voron.local/server/upkeep/'" in answer
    assert "Its page" not in answer


def test_an_invalid_address_of_a_page_is_refused(bench):
    printer = bench(FOUR + "\n[maintain]\npage: voron.local\n", "error")
    assert "'page'" in printer.state_message


def test_a_part_is_not_given_away_before_the_export_is_saved(bench, monkeypatch):
    printer = bench(FOUR + SIX)
    name = type(printer.manager).__module__.rpartition(".")[0]
    files = sys.modules[f"{name}.storage.database"]

    def refuse(*what):
        raise OSError("no space left")

    results = []
    printer.life.upkeep.publisher.result = results.append
    with monkeypatch.context() as broken:
        broken.setattr(files, "write", refuse)
        answer = printer.say("EXPORT_PART PART=nozzle_04 TO=ender")
        assert "would be lost at a restart" in answer
        export = contract.Command("export", "t1", to="ender")
        printer.life.commands.by_broker("nozzle_04", export)
        printer.wait_for(lambda: results, "a result")
        page = {"task": "nozzle_04", "command": {"command": "export", "to": "ender"}}
        answer = printer.request("maintain/command", page)
        assert "part" not in answer
    printer.saved()

    assert "CODE=" not in "\n".join(printer.console)
    assert not results[0].ok
    assert results[0].part is None
    assert "CODE=" in printer.say("EXPORT_PART PART=nozzle_04 TO=ender")
