"""Commands to parts at the edges of their rules, and the places of a printer."""

from __future__ import annotations

import json
import math

import pytest

from klippy_extra.contract import BAD_ARGUMENT, Command
from klippy_extra.ledger import inventory
from klippy_extra.ledger.inventory import Place
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import SHELF, Counter, Limit, Plan, Record
from klippy_extra.upkeep.carry_out import CommandHandler, RefusedError

NOW = 1_795_219_200.0
PRINTED = Limit("print_time", Counter("print_time"), "h", 200.0)
FED = Limit("filament", Counter("filament"), "m", 900.0)
CALENDAR = Limit("time", Counter("time"), "h", 720.0)
TOOLS = (
    Place("T0", {"filament": "filament_t0"}, takes_turns=True),
    Place("T1", {"filament": "filament_t1"}, takes_turns=True),
    Place("bed"),
)
PARTS = (
    Plan("n4", (PRINTED, FED), kind="nozzle", home="T0"),
    Plan("n6", (PRINTED, FED), kind="nozzle"),
    Plan("pei", (PRINTED,), kind="plate", home="bed"),
    Plan("spare", (CALENDAR,), kind="belt", home="drawer"),
)
RODS = Plan("rods", (PRINTED,))


class Printer:
    """A printer's parts and tasks, their commands, and what these change."""

    def __init__(self, printer="voron", document=None, records=None, plans=PARTS):
        self.inventory = inventory.make(plans, TOOLS, printer)
        plans, records = inventory.restored(
            self.inventory, [RODS, *plans], records or {}
        )
        self.book = Ledger(plans, document, records)
        self.book.inventory = self.inventory
        self.book.follow()
        self.handler = CommandHandler(self.book)
        self.active = "T0"

    def count(self, hours, metres=0.0):
        fed = f"filament_{self.active.lower()}"
        increments = {"print_time": hours, "time": hours, fed: metres}
        self.book.advance(
            increments,
            lambda counter: float(counter.place in ("", self.active)),
        )

    def give(self, word, name, **fields):
        change = self.handler.handle(name, Command(word, **fields), NOW, ready=True)
        self.book.plans.update(change.moves.plans)
        self.book.records.update({**change.moves.records, name: change.record})
        self.book.follow()
        return change

    def refusal(self, word, name, **fields):
        """Return the text of a refusal, which must change nothing."""
        before = dict(self.book.records)
        with pytest.raises(RefusedError) as refused:
            self.handler.handle(name, Command(word, **fields), NOW, ready=True)
        assert self.book.records == before
        assert refused.value.code == BAD_ARGUMENT
        return str(refused.value)

    def place(self, part):
        return self.book.records[part].place

    def restarted(self, **more):
        """Return the printer after a restart. Its documents go through JSON."""
        records = {t: each.document() for t, each in self.book.records.items()}
        stored = json.loads(json.dumps([self.book.document(), records]))
        return Printer(document=stored[0], records=stored[1], **more)


@pytest.fixture
def printer():
    return Printer()


# Fitting and removing


def test_a_swap_names_the_part_that_was_removed(printer):
    change = printer.give("fit", "n6", place="T0")
    assert (change.event, change.text) == ("changed", "is fitted to T0.")
    assert change.entry.note == "fitted to T0, in the place of n4"
    assert change.moves.fitted == ("n6",)
    assert change.moves.removed == ("n4",)
    assert set(change.moves.records) == {"n4"}
    assert change.moves.export is None
    assert (printer.place("n4"), printer.place("n6"), printer.place("pei")) == (
        "",
        "T0",
        "bed",
    )


def test_fitting_to_an_empty_place_removes_no_part(printer):
    change = printer.give("fit", "n6", place="T1")
    assert change.entry.note == "fitted to T1"
    assert (change.moves.removed, change.moves.records) == ((), {})
    assert printer.place("n4") == "T0"


def test_the_name_of_a_place_is_found_in_any_case(printer):
    assert printer.give("fit", "n6", place="  t1 ").text == "is fitted to T1."


def test_without_a_place_a_part_is_fitted_at_its_configured_one(printer):
    printer.give("remove", "n4")
    assert printer.give("fit", "n4").text == "is fitted to T0."
    assert printer.place("n4") == "T0"


def test_removing_a_part_is_an_event_and_keeps_its_counts(printer):
    printer.count(3.0, 5.0)
    change = printer.give("remove", "n4")
    assert change.event == "changed"
    assert change.text == "is taken off T0, and keeps its counts."
    assert change.entry.note == "taken off T0"
    assert change.moves == (({}, {}, (), ("n4",), None))
    printer.count(3.0, 5.0)
    assert printer.book.used("n4") == {"print_time": 3.0, "filament": 5.0}
    printer.give("fit", "n4")
    printer.count(1.0, 2.0)
    assert printer.book.used("n4") == {"print_time": 4.0, "filament": 7.0}


def test_a_part_counts_only_the_use_at_its_own_place(printer):
    printer.give("fit", "n6", place="T1")
    printer.count(2.0, 7.0)
    printer.active = "T1"
    printer.count(1.0, 4.0)
    assert printer.book.used("n4") == {"print_time": 2.0, "filament": 7.0}
    assert printer.book.used("n6") == {"print_time": 1.0, "filament": 4.0}
    assert printer.book.used("pei") == {"print_time": 3.0}


@pytest.mark.parametrize(
    ("word", "part", "fields", "text"),
    [
        ("fit", "n4", {"place": "T0"}, "is fitted to T0 already."),
        ("remove", "n6", {}, "is on the shelf already."),
    ],
)
def test_a_command_that_changes_nothing_is_no_event(printer, word, part, fields, text):
    change = printer.give(word, part, **fields)
    assert (change.event, change.text, change.entry) == ("", text, None)


@pytest.mark.parametrize(
    ("word", "part", "fields", "text"),
    [
        ("fit", "n4", {"place": "bed"},
         "This part is fitted to T0. Take it off first: REMOVE_PART PART=n4."),
        ("fit", "n6", {}, "Name the place. There are: T0, T1, bed, drawer."),
        ("fit", "n6", {"place": "T9"},
         "There is no place 'T9'. There are: T0, T1, bed, drawer."),
        ("fit", "rods", {"place": "T0"}, "This is a task and no part."),
        ("remove", "rods", {}, "This is a task and no part."),
        ("export", "n4", {}, "Give the slug of the other printer"),
        ("export", "n4", {"to": "voron"}, "Give the slug of the other printer"),
    ],
)  # fmt: skip
def test_a_refusal_tells_what_to_do(printer, word, part, fields, text):
    assert text in printer.refusal(word, part, **fields)


def test_a_disabled_part_keeps_its_use_at_any_place(printer):
    printer.count(3.0)
    printer.give("disable", "n4")
    printer.give("remove", "n4")
    printer.count(5.0)
    printer.give("fit", "n4", place="T1")
    printer.active = "T1"
    printer.count(5.0)
    assert printer.book.used("n4")["print_time"] == 3.0
    printer.give("enable", "n4")
    printer.count(1.0)
    assert printer.book.used("n4")["print_time"] == 4.0


# From printer to printer


def exported(printer, part="n4", to="ender"):
    return printer.give("export", part, to=to)


def test_an_export_has_all_values_of_a_part(printer):
    printer.give("done", "n4", by="anna")
    printer.count(12.0, 3.0)
    change = exported(printer)
    document = dict(change.moves.export)
    assert len(document.pop("id")) == 32
    assert document == {
        "part": "n4",
        "kind": "nozzle",
        "to": "ender",
        "used": {"print_time": 12.0, "filament": 3.0},
        "done_count": 1,
        "last_done": int(NOW),
        "last_by": "anna",
    }
    assert change.event == "changed"
    assert change.text == "is given to the printer 'ender'."
    assert change.entry.note == "given to the printer ender"
    assert change.moves.removed == ("n4",)
    assert printer.place("n4") == SHELF


def test_exporting_a_part_from_the_shelf_removes_none(printer):
    assert exported(printer, "n6").moves.removed == ()


def test_a_repeated_export_is_the_same_and_no_event(printer):
    first = exported(printer)
    again = exported(printer)
    assert again.moves.export == first.moves.export
    assert again.moves.removed == ()
    assert (again.event, again.entry) == ("", None)
    assert again.text == "is given to the printer 'ender'."
    assert printer.refusal("export", "n4", to="prusa") == (
        "This part was given to the printer 'ender' already."
    )
    assert printer.refusal("fit", "n4", place="T0") == (
        "This part was given to the printer 'ender'. Export it there and import it"
        " here first."
    )


def test_an_import_has_all_exported_values(printer):
    printer.give("done", "n4", by="anna")
    printer.count(12.0, 3.0)
    document = exported(printer).moves.export
    there = Printer("ender")
    change = there.give("import", "n4", part=document)
    assert (change.event, change.text) == (
        "changed",
        "was imported, with print_time 12 h, filament 3 m.",
    )
    assert change.entry.note == "imported print_time 12 h, filament 3 m"
    record = there.book.records["n4"]
    assert (record.done_count, record.last_done, record.last_by) == (
        1,
        int(NOW),
        "anna",
    )
    assert record.imports == (document["id"],)
    there.count(1.0)
    assert there.book.used("n4")["print_time"] == 13.0
    assert there.refusal("import", "n4", part=document) == (
        "This export was imported already. Nothing is changed."
    )


def test_a_part_that_comes_back_can_be_fitted_again(printer):
    there = Printer("ender")
    printer.count(3.0)
    there.give("import", "n4", part=exported(printer).moves.export)
    there.count(4.0)
    back = exported(there, to="voron").moves.export
    printer.give("import", "n4", part=back)
    assert printer.book.records["n4"].export == {}
    printer.give("fit", "n4")
    assert printer.book.used("n4")["print_time"] == 7.0


def test_a_part_imported_on_the_shelf_survives_a_restart():
    there = Printer("ender")
    document = {"id": "x", "part": "n6", "to": "ender", "used": {"print_time": 5.0}}
    there.give("import", "n6", part=document)
    again = there.restarted(printer="ender")
    assert again.book.used("n6") == {"print_time": 5.0, "filament": 0.0}
    assert again.refusal("import", "n6", part=document).startswith("This export was")
    again.give("fit", "n6", place="T1")
    assert again.book.used("n6") == {"print_time": 5.0, "filament": 0.0}


@pytest.mark.parametrize(
    ("used", "done", "is_taken"),
    [(0.0, False, True), (0.004, False, True), (0.005, False, False),
     (1.0, False, False), (0.0, True, False)],
)  # fmt: skip
def test_an_import_does_not_overwrite_the_printers_own_count(used, done, is_taken):
    there = Printer("ender")
    if done:
        there.give("done", "n4")
    there.count(used)
    document = {"id": "x", "part": "n4", "to": "ender", "used": {"print_time": 5.0}}
    if is_taken:
        there.give("import", "n4", part=document)
        assert there.book.used("n4")["print_time"] == 5.0
    else:
        why = there.refusal("import", "n4", part=document)
        assert why.startswith("This printer counts for that part itself, and has")


GOOD = {"id": "x", "part": "n4", "to": "ender", "used": {"print_time": 5.0}}
NONE = "This is no export of a part."


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"id": None}, NONE),
        ({"id": 7}, NONE),
        ({"used": None}, NONE),
        ({"used": {"print_time": True}}, NONE),
        ({"used": {"print_time": "5"}}, NONE),
        ({"used": {"print_time": -0.5}}, NONE),
        ({"used": {"print_time": 1e12}}, NONE),
        ({"used": {"print_time": math.nan}}, NONE),
        ({"used": {"print_time": 1.0, "filament": -1.0}}, NONE),
        ({"done_count": "many"}, NONE),
        ({"done_count": -1}, NONE),
        ({"last_done": True}, NONE),
        ({"part": "n6"}, "This export is of the part 'n6'."),
        ({"to": "prusa"},
         "This export is for the printer 'prusa', and this one is 'ender'."),
    ],
)  # fmt: skip
def test_an_export_that_is_not_for_this_part_is_refused(change, text):
    there = Printer("ender")
    assert there.refusal("import", "n4", part=dict(GOOD, **change)) == text
    assert there.refusal("import", "n4") == NONE


@pytest.mark.parametrize("used", [0, 0.0, 0.5, 999_999_999_999])
def test_an_export_may_have_any_amount_and_no_optional_field(used):
    there = Printer("ender")
    document = dict(GOOD, used={"print_time": used, "of_a_newer_version": 1})
    there.give("import", "n4", part=document)
    record = there.book.records["n4"]
    assert there.book.used("n4") == {"print_time": used, "filament": 0.0}
    assert (record.done_count, record.last_done, record.last_by) == (0, None, "")


# Places


def test_a_section_can_name_a_place_that_is_no_tool():
    def places(home):
        plans = [Plan("p", (PRINTED,), kind="plate", home=home), PARTS[1]]
        return list(inventory.make(plans, [Place("T0")]).places)

    assert places("drawer") == ["T0", "drawer"]
    for home in ("extruder", "extruder7", "tool 3", "tool3", "gate 1", "lane9", "T7"):
        assert places(home) == ["T0"], home
    assert places("T7x") == ["T0", "T7x"]
    assert places("") == ["T0"]


def test_without_parts_there_are_no_places():
    made = inventory.make([RODS], TOOLS, "voron")
    assert (made.plans, made.places, made.printer) == ({}, {}, "voron")


def test_a_place_of_the_machine_keeps_its_properties(printer):
    assert printer.inventory.places["T0"] is TOOLS[0]
    assert printer.inventory.of("T0") is TOOLS[0]
    assert printer.inventory.of("elsewhere") == Place("elsewhere")
    assert printer.inventory.find("BED") == "bed"
    assert printer.inventory.find("elsewhere") == ""


def test_a_part_can_be_fitted_at_the_places_of_its_kind(printer):
    assert printer.inventory.choices("n6") == ("T0", "T1")
    assert printer.inventory.choices("pei") == ("bed",)
    assert printer.inventory.choices("spare") == ("drawer",)


def test_a_configured_place_that_the_printer_does_not_have_is_named():
    plans = (Plan("n8", (PRINTED,), kind="nozzle", home="T8"), *PARTS)
    lacking = Printer(plans=plans)
    assert lacking.inventory.missing("n8") == "T8"
    assert lacking.inventory.missing("n4") == ""
    assert lacking.inventory.missing("n6") == ""
    assert lacking.place("n8") == SHELF


def test_calendar_time_counts_for_every_fitted_part():
    limits = (CALENDAR, PRINTED, CALENDAR._replace(counter=Counter("power_on")))
    plan = Plan("n4", limits, kind="nozzle", home="T0")
    fitted = inventory.placed(plan, TOOLS[0])
    assert [each.counter.key for each in fitted.limits] == [
        "time",
        "print_time@T0",
        "power_on",
    ]
    assert [each.counter.key for each in inventory.placed(plan, TOOLS[2]).limits] == [
        "time",
        "print_time",
        "power_on",
    ]


def test_of_two_parts_of_one_kind_at_one_place_one_is_on_the_shelf():
    plans = (*PARTS, Plan("n9", (PRINTED,), kind="nozzle", home="T0"))
    printer = Printer(plans=plans)
    assert (printer.place("n4"), printer.place("n9")) == ("T0", SHELF)
    kinds = (*PARTS, Plan("fan", (PRINTED,), kind="fan", home="T0"))
    printer = Printer(plans=kinds)
    assert (printer.place("n4"), printer.place("fan")) == ("T0", "T0")


def test_a_part_whose_place_no_longer_exists_keeps_its_use(printer):
    printer.give("fit", "n6", place="T1")
    printer.active = "T1"
    printer.count(3.0, 8.0)
    records = {t: each.document() for t, each in printer.book.records.items()}
    places = inventory.make(PARTS, TOOLS[:1], "voron")
    plans, records = inventory.restored(places, PARTS, records)
    book = Ledger(plans, printer.book.document(), records)
    book.inventory = places
    assert book.used("n6") == {"print_time": 3.0, "filament": 8.0}
    assert list(inventory.gone(places, book.records)) == ["n6"]


def test_of_two_parts_at_one_place_the_later_one_is_removed(printer):
    records = dict(printer.book.records)
    records["n6"] = records["n6"]._replace(place="T0")
    assert list(inventory.gone(printer.inventory, records)) == ["n6"]
    records["pei"] = records["pei"]._replace(place="T0")
    assert list(inventory.gone(printer.inventory, records)) == ["n6"]


def test_tasks_and_fitted_parts_are_counted_and_parts_on_the_shelf_are_not(printer):
    assert printer.book.working == ("rods", "n4", "pei", "spare")
    records = {"a": Record(place=SHELF), "b": Record(place="T0"), "c": Record()}
    plans = dict.fromkeys("abcd", RODS)
    assert inventory.working(plans, records) == ("b", "c", "d")


def test_a_restart_keeps_the_place_of_each_part(printer):
    printer.give("fit", "n6", place="T1")
    printer.give("remove", "pei")
    printer.active = "T1"
    printer.count(3.0, 8.0)
    again = printer.restarted()
    assert [again.place(part) for part in ("n4", "n6", "pei")] == ["T0", "T1", ""]
    again.active = "T1"
    again.count(1.0, 1.0)
    assert again.book.used("n6") == {"print_time": 4.0, "filament": 9.0}
    assert again.book.used("n4") == {"print_time": 0.0, "filament": 0.0}


# A store that opens late


def test_a_part_has_its_stored_place_unless_it_was_fitted_before_the_join(printer):
    printer.give("fit", "n6", place="T1")
    printer.give("remove", "pei")
    printer.active = "T1"
    printer.count(3.0, 8.0)
    late = Printer()
    late.count(1.0, 1.0)
    late.book.join(printer.restarted().book)
    late.book.follow()
    assert [late.place(part) for part in ("n4", "n6", "pei")] == ["T0", "T1", ""]
    assert late.book.plans["n6"].limits[0].counter.key == "print_time@T1"
    late.active = "T1"
    late.count(2.0, 2.0)
    assert late.book.used("n6") == {"print_time": 5.0, "filament": 10.0}

    late = Printer()
    late.give("fit", "n6", place="bed")
    late.book.join(printer.restarted().book)
    assert late.place("n6") == "bed"
    assert late.book.plans["n6"].limits[0].counter.key == "print_time"


def test_a_part_that_was_fitted_meanwhile_counts_where_nothing_was_before(printer):
    printer.count(3.0, 8.0)
    late = Printer()
    late.give("fit", "n6", place="T1")
    late.active = "T1"
    late.count(2.0, 5.0)
    late.book.join(printer.restarted().book)
    late.book.follow()
    late.count(1.0, 1.0)
    assert late.book.used("n6") == {"print_time": 3.0, "filament": 6.0}
    assert late.book.used("n4") == {"print_time": 3.0, "filament": 8.0}
