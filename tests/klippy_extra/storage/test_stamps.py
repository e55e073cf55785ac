"""A clock that is wrong at start spoils nothing: it is put right with the clock."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from klippy_extra.contract import Command, Entry
from klippy_extra.ledger import stamps
from klippy_extra.ledger.ledger import Ledger
from klippy_extra.ledger.records import Counter, Limit, Plan
from klippy_extra.ledger.stamps import Move, Stamps, boot_id, rows_of
from klippy_extra.upkeep.carry_out import CommandHandler

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
AIR = "[maintain air]\ntrigger: time\nthreshold: 500\n"
DAY, HOUR = 86400.0, 3600.0
TRUE = 1_795_219_200.0  # November 2026
PAST = TRUE - 200 * DAY
PLANS = [
    Plan("rods", (Limit("print_time", Counter("print_time"), "h", 150.0),)),
    Plan("air", (Limit("time", Counter("time"), "h", 500.0),)),
]


class House:
    """A ledger under a clock that may be wrong, and what is told to the log."""

    def __init__(self, document=None, boot="a", book=None, monotonic=10.0):
        self.book = book or Ledger(PLANS)
        self.handler = CommandHandler(self.book)
        self.stamps = Stamps(self.book, document or {}, boot)
        self.monotonic, self.ahead = monotonic, -200 * DAY
        self.log = []

    @property
    def wall(self):
        return TRUE + self.monotonic + self.ahead

    def tell(self, task, **fields):
        command = Command(**fields)
        change = self.handler.handle(task, command, self.wall, ready=True)
        self.book.records[task] = change.record
        self.log.append(change.entry)

    def look(self, seconds=1.0, *, trusted=False, missed=0.0):
        self.monotonic += seconds
        self.book.advance({"time": seconds / HOUR + missed})
        entries, self.log = self.log, []
        return self.stamps.watch(
            self.monotonic, self.wall, missed, entries, trusted=trusted
        )

    def set_clock(self, missed=0.0):
        self.ahead = 0.0
        corrections = self.look(trusted=True, missed=missed)
        assert self.look(trusted=True) is None
        return corrections


@pytest.fixture
def house():
    made = House()
    made.look()
    return made


def test_a_done_a_snooze_and_their_entries_move_with_the_clock(house):
    house.tell("rods", command="done", by="anna")
    house.tell("air", command="snooze", hours=5.0)
    done_at = TRUE + house.monotonic
    house.look()
    house.look(60.0)

    corrections = house.set_clock()

    assert sorted(corrections.tasks) == ["air", "rods"]
    assert house.book.records["rods"].last_done == pytest.approx(done_at, abs=1)
    snoozed_until = house.book.records["air"].snoozed_until
    assert snoozed_until == pytest.approx(done_at + 5 * HOUR, abs=1)
    assert [(m.row[1:], round(m.time - done_at)) for m in corrections.moves] == [
        (("rods", "done"), 0),
        (("air", "snoozed"), 0),
    ]


def test_what_was_stamped_by_a_clock_that_was_set_stays(house):
    house.set_clock()
    house.tell("rods", command="done")
    house.look(trusted=True)
    before = house.book.records["rods"].last_done
    house.ahead = 90 * DAY

    assert house.look(trusted=True) == ((), ())
    assert house.book.records["rods"].last_done == before


def test_a_done_of_an_earlier_life_stays(house):
    house.book.records["rods"] = house.book.records["rods"]._replace(last_done=7)
    again = House(book=Ledger(PLANS, None, {"rods": {"last_done": 7}}))
    again.look()
    again.set_clock()
    assert again.book.records["rods"].last_done == 7


def test_the_hours_off_do_not_count_for_what_was_done_before_they_were_known(house):
    """The printer was off for 200 days, which the calendar learns of only now."""
    house.tell("air", command="done")
    house.tell("rods", command="snooze", hours=5.0)
    house.look(60.0)
    calendar = house.book.calendar

    house.set_clock(missed=200 * 24.0)

    assert house.book.used("air")["time"] == pytest.approx(62 / HOUR, abs=0.001)
    snoozed_to = house.book.records["rods"].snoozed_to
    assert snoozed_to == pytest.approx(calendar + 200 * 24.0 + 5.0, abs=0.1)


def test_a_task_that_was_not_done_has_used_the_hours_off(house):
    house.look(60.0)
    house.set_clock(missed=200 * 24.0)
    assert house.book.used("air")["time"] == pytest.approx(4800.0, abs=0.1)


def test_a_time_that_a_person_gave_does_not_move(house):
    at = int(house.wall - DAY)
    house.tell("rods", command="done", at=at)
    house.look()
    corrections = house.set_clock()
    assert house.book.records["rods"].last_done == at
    assert corrections.moves == ()


def test_it_holds_over_a_restart_of_klippy(house):
    house.tell("rods", command="done")
    house.look()
    done_at = TRUE + house.monotonic - 1.0
    document = json.loads(json.dumps(house.stamps.document()))

    again = House(document, "a", house.book, house.monotonic + 20.0)
    again.set_clock()
    assert again.book.records["rods"].last_done == pytest.approx(done_at, abs=1)


def test_after_a_restart_of_the_machine_nobody_knows(house):
    house.tell("rods", command="done")
    house.look()
    before = house.book.records["rods"].last_done
    again = House(house.stamps.document(), "b", house.book, 5.0)
    again.look()
    again.set_clock()
    assert again.book.records["rods"].last_done == before


def test_hours_in_which_klippy_was_not_there_have_passed(house):
    house.tell("air", command="done")
    house.look()
    again = House(house.stamps.document(), "a", house.book, house.monotonic + DAY)
    again.book.advance({"time": 24.0})
    again.look(missed=0.0)
    again.look(missed=24.0 - 24.0)
    assert again.book.used("air")["time"] == pytest.approx(24.0, abs=0.01)

    third = House(house.stamps.document(), "a", house.book, house.monotonic + DAY)
    third.look(missed=24.0)
    assert third.book.used("air")["time"] == pytest.approx(48.0, abs=0.01)


def test_marks_of_a_wrong_clock_get_their_time_and_no_other_is_lost(house):
    house.book.mark(house.wall)
    for _ in range(20):
        house.book.advance({"time": 24.0})
        house.book.mark(TRUE - 10)
    before = len(house.book.marks)
    house.look()
    house.set_clock()
    house.book.mark(house.wall)

    assert len(house.book.marks) == before
    assert house.book.mark_times[0] == pytest.approx(TRUE, abs=60)


def test_a_small_correction_is_none(house):
    house.tell("rods", command="done")
    house.look()
    house.ahead += 30.0
    assert house.look() is None
    house.ahead += 30.0
    assert house.look() is None


def test_what_is_kept_over_a_restart_is_all_that_was_stamped(house):
    """Entries of the log and marks as well as records, and as JSON."""
    house.book.mark(house.wall)
    house.tell("rods", command="done", by="anna")
    house.look()
    [mark], [row] = house.book.mark_times, house.stamps.document()["rows"]
    document = json.loads(json.dumps(house.stamps.document()))

    again = House(document, "a", house.book, house.monotonic + 20.0)
    assert again.stamps.document() == house.stamps.document()
    [move] = again.set_clock().moves
    assert move.row == (row[0], "rods", "done")
    assert move.time == row[0] + 200 * DAY
    assert again.book.mark_times == [mark + 200 * DAY]


def test_what_an_older_version_kept_is_enough(house):
    again = House({"boot": "a"}, "a", house.book)
    assert again.stamps.document() == House(None, "a").stamps.document()
    assert again.look() is None


def test_a_clock_that_is_set_twice_moves_an_entry_twice(house):
    house.tell("rods", command="done")
    house.look()
    house.ahead = -100 * DAY
    [first] = house.look().moves
    house.ahead = 0.0
    [second] = house.look().moves
    assert second.row == (first.time, *first.row[1:])
    assert second.time == first.row[0] + 200 * DAY


def test_hours_off_count_for_a_limit_whose_count_did_not_begin_meanwhile(house):
    """A snooze changes the record and not where its limits began."""
    house.tell("air", command="snooze", hours=1.0)
    house.look()
    house.set_clock(missed=24.0)
    assert house.book.used("air")["time"] == pytest.approx(24.0, abs=0.01)


def test_an_entry_is_moved_once(house):
    house.log.append(Entry(int(house.wall), "rods", "done", "", "", {}))
    house.look()
    assert len(house.set_clock().moves) == 1
    house.ahead = 5 * DAY
    assert house.look(trusted=True).moves == ()


# At the edges


@pytest.mark.parametrize(("seconds", "is_one"), [(60.0, False), (61.0, True)])
def test_a_clock_was_set_if_it_is_more_than_a_minute_off(house, seconds, is_one):
    for ahead in (seconds, -seconds):
        house.ahead += ahead
        assert (house.look() is not None) is is_one
        house.ahead -= ahead
        house.look()


@pytest.mark.parametrize(("minutes", "is_one"), [(1.0, False), (1.1, True)])
def test_hours_off_are_more_than_a_minute(house, minutes, is_one):
    house.tell("air", command="snooze", hours=1.0)
    house.look()
    corrections = house.look(0.0, missed=minutes / 60.0)
    assert (corrections is not None) is is_one
    moved = house.book.records["air"].snoozed_to - house.book.calendar
    expected = 1.0 - 1.0 / HOUR - (0.0 if is_one else minutes / 60.0)
    assert moved == pytest.approx(expected, abs=1e-6)


def test_hours_off_move_no_time_of_the_clock_and_the_clock_none_of_the_calendar(house):
    house.tell("air", command="snooze", hours=5.0)
    house.look()
    before = house.book.records["air"]
    corrections = house.look(0.0, missed=24.0)
    assert corrections == (("air",), ())
    record = house.book.records["air"]
    assert record.snoozed_until == before.snoozed_until
    assert record.snoozed_to == before.snoozed_to + 24.0

    house.ahead += 100 * DAY
    assert house.look(0.0).tasks == ("air",)
    again = house.book.records["air"]
    assert again.snoozed_until == before.snoozed_until + 100 * DAY
    assert again.snoozed_to == record.snoozed_to


def test_the_hours_off_may_be_known_one_moment_after_the_clock(house):
    house.tell("air", command="done")
    house.look()
    house.ahead = 0.0
    house.look(trusted=True)
    house.look(trusted=True, missed=48.0)
    assert house.book.used("air")["time"] == pytest.approx(0.0, abs=0.01)
    house.look(trusted=True, missed=48.0)
    assert house.book.used("air")["time"] == pytest.approx(48.0, abs=0.01)


def test_a_clock_that_was_right_for_a_moment_is_not_trusted_yet(house):
    house.tell("rods", command="done")
    house.look(trusted=True)
    house.look()
    house.ahead = 0.0
    assert house.look(trusted=True).tasks == ("rods",)


@pytest.mark.parametrize(("seconds", "is_stamp"), [(5, True), (6, False)])
def test_what_is_within_five_seconds_of_the_clock_is_the_clocks_own(
    house, seconds, is_stamp
):
    wall = int(house.wall) + 1
    house.monotonic += wall - house.wall
    at = wall - seconds
    fresh = house.book.records["rods"]._replace(last_done=at)
    house.book.records["rods"] = fresh
    house.log.append(Entry(at, "rods", "done", "", "", {}))
    house.look(0.0)
    corrections = house.set_clock()
    assert [move.row[0] for move in corrections.moves] == ([at] if is_stamp else [])
    moved = at + 200 * DAY if is_stamp else at
    assert house.book.records["rods"].last_done == moved


def test_of_the_log_the_newest_five_hundred_are_corrected(house):
    for number in range(501):
        entry = Entry(int(house.wall), "rods", f"e{number}", "", "", {})
        house.log.append(entry)
    house.look()
    moves = house.set_clock().moves
    assert [move.row[2] for move in moves] == [f"e{n}" for n in range(1, 501)]


def test_what_was_changed_again_has_its_last_time(house):
    house.tell("rods", command="snooze", hours=1.0)
    house.look()
    house.tell("rods", command="unsnooze")
    house.look()
    house.set_clock()
    record = house.book.records["rods"]
    assert (record.snoozed_until, record.snoozed_to) == (None, None)


def test_a_task_that_is_gone_keeps_the_others_from_nothing(house):
    for task in ("rods", "air"):
        house.tell(task, command="done")
    house.look()
    document = json.loads(json.dumps(house.stamps.document()))
    records = {"air": house.book.records["air"].document()}
    left = Ledger(PLANS[1:], house.book.document(), records)
    again = House(document, "a", left, house.monotonic + 20.0)
    assert again.set_clock().tasks == ("air",)
    assert left.records["air"].last_done == records["air"]["last_done"] + 200 * DAY


def test_a_record_that_did_not_change_is_not_written(house):
    house.log.append(Entry(int(house.wall), "rods", "due", "", "", {}))
    house.look()
    corrections = house.set_clock()
    assert corrections.tasks == ()
    assert len(corrections.moves) == 1


def test_without_an_id_of_this_boot_nothing_is_taken_from_an_earlier_life(house):
    house.tell("rods", command="done")
    house.look()
    document = dict(house.stamps.document(), boot="")
    again = House(document, "", house.book)
    assert again.stamps.document() == House(None, "").stamps.document()


def test_after_joining_a_store_its_records_and_marks_are_no_new_stamps(house):
    done = house.book.records["rods"]._replace(last_done=int(house.wall))
    house.book.records["rods"] = done
    house.book.mark(house.wall)
    marks = house.book.mark_times
    house.stamps.rebase()
    house.look()
    assert house.set_clock() == ((), ())
    assert house.book.records["rods"].last_done == done.last_done
    assert house.book.mark_times == marks


def test_sql_gets_the_new_time_before_the_row(house):
    assert rows_of([Move((1, "rods", "done"), 7)]) == [(7, 1, "rods", "done")]


def test_a_boot_has_an_id_where_the_kernel_gives_one(tmp_path, monkeypatch):
    path = tmp_path / "boot_id"
    monkeypatch.setattr(stamps, "BOOT_ID", str(path))
    assert boot_id() == ""
    path.write_text("c0ffee\n", encoding="ascii")
    assert boot_id() == "c0ffee"
    path.write_bytes(b"\xff\n")
    assert boot_id() == ""


# On a printer


def local(moment):
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M")


@pytest.fixture
def printer(bench, wall):
    """A printer that starts 200 days in the past, with no time server yet."""
    wall.ahead = -200 * DAY
    made = bench(RODS + AIR)
    made.manager.life.upkeep.counting.synchronized = lambda: False
    made.advance(5)
    return made


def test_a_printer_puts_everything_right_with_the_clock(printer, wall):
    printer.use(print_time=160.0)
    assert printer.task("rods")["status"] == "due"
    printer.say("UPDATE_MAINTENANCE NAME=air BY=anna")
    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=5")
    true = wall() + 200 * DAY
    printer.advance(30)
    wall.ahead = 0.0
    printer.advance(5)
    printer.saved()

    assert printer.task("air")["last_done"] == pytest.approx(true, abs=30)
    rods = printer.task("rods")
    assert rods["snoozed_until"] == pytest.approx(true + 5 * HOUR, abs=30)
    assert rods["due_at"] == pytest.approx(true, abs=60)
    assert local(true)[:10] in printer.say("MAINTENANCE_LOG")
    assert local(true)[:10] in printer.say("CHECK_MAINTENANCE NAME=air")
    printer.restart()
    assert printer.task("air")["last_done"] == pytest.approx(true, abs=30)
    assert local(true)[:10] in printer.say("MAINTENANCE_LOG")


def test_a_restart_before_the_time_server_answers_changes_nothing_of_it(printer, wall):
    printer.say("UPDATE_MAINTENANCE NAME=air")
    true = wall() + 200 * DAY
    printer.restart()
    printer.life.upkeep.counting.synchronized = lambda: False
    printer.advance(5)
    wall.ahead = 0.0
    printer.advance(5)
    assert printer.task("air")["last_done"] == pytest.approx(true, abs=60)


def test_at_is_refused_in_the_printers_own_time(printer, wall):
    """AT= is read as the printer's local time, and so is what refuses it."""
    ahead = local(wall() + DAY)
    answer = printer.say(f"UPDATE_MAINTENANCE NAME=air AT={ahead.replace(' ', 'T')}")
    assert ahead in answer
    assert local(wall()) in answer

    printer.say("UPDATE_MAINTENANCE NAME=air")
    done = local(wall())
    printer.advance(30)
    before = local(wall() - DAY)
    answer = printer.say(f"UPDATE_MAINTENANCE NAME=air AT={before.replace(' ', 'T')}")
    assert before in answer
    assert done in answer
