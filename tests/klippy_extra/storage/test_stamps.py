"""Times from a clock that was wrong at the start are corrected with the clock."""

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


class ClockedLedger:
    """A ledger whose clock may be wrong, and the entries of its log."""

    def __init__(self, document=None, boot="a", book=None, monotonic=10.0):
        self.book = book or Ledger(PLANS)
        self.handler = CommandHandler(self.book)
        self.stamps = Stamps(self.book, document or {}, boot)
        self.monotonic, self.ahead = monotonic, -200 * DAY
        self.log = []

    @property
    def wall(self):
        return TRUE + self.monotonic + self.ahead

    def carry_out(self, task, **fields):
        command = Command(**fields)
        change = self.handler.handle(task, command, self.wall, ready=True)
        self.book.records[task] = change.record
        self.log.append(change.entry)

    def tick(self, seconds=1.0, *, trusted=False, missed=0.0):
        self.monotonic += seconds
        self.book.advance({"time": seconds / HOUR + missed})
        entries, self.log = self.log, []
        return self.stamps.watch(
            self.monotonic, self.wall, missed, entries, trusted=trusted
        )

    def set_clock(self, missed=0.0):
        self.ahead = 0.0
        corrections = self.tick(trusted=True, missed=missed)
        assert self.tick(trusted=True) is None
        return corrections


@pytest.fixture
def clocked():
    made = ClockedLedger()
    made.tick()
    return made


def test_a_completion_a_snooze_and_their_log_entries_move_with_the_clock(clocked):
    clocked.carry_out("rods", command="done", by="anna")
    clocked.carry_out("air", command="snooze", hours=5.0)
    done_at = TRUE + clocked.monotonic
    clocked.tick()
    clocked.tick(60.0)

    corrections = clocked.set_clock()

    assert sorted(corrections.tasks) == ["air", "rods"]
    assert clocked.book.records["rods"].last_done == pytest.approx(done_at, abs=1)
    snoozed_until = clocked.book.records["air"].snoozed_until
    assert snoozed_until == pytest.approx(done_at + 5 * HOUR, abs=1)
    assert [(m.row[1:], round(m.time - done_at)) for m in corrections.moves] == [
        (("rods", "done"), 0),
        (("air", "snoozed"), 0),
    ]


def test_a_time_from_a_clock_that_was_right_does_not_move(clocked):
    clocked.set_clock()
    clocked.carry_out("rods", command="done")
    clocked.tick(trusted=True)
    before = clocked.book.records["rods"].last_done
    clocked.ahead = 90 * DAY

    assert clocked.tick(trusted=True) == ((), ())
    assert clocked.book.records["rods"].last_done == before


def test_a_completion_from_before_the_start_does_not_move(clocked):
    clocked.book.records["rods"] = clocked.book.records["rods"]._replace(last_done=7)
    again = ClockedLedger(book=Ledger(PLANS, None, {"rods": {"last_done": 7}}))
    again.tick()
    again.set_clock()
    assert again.book.records["rods"].last_done == 7


def test_hours_off_that_become_known_later_do_not_count_after_a_completion(clocked):
    """The printer was off for 200 days.

    The calendar learns this after the completion.
    """
    clocked.carry_out("air", command="done")
    clocked.carry_out("rods", command="snooze", hours=5.0)
    clocked.tick(60.0)
    calendar = clocked.book.calendar

    clocked.set_clock(missed=200 * 24.0)

    assert clocked.book.used("air")["time"] == pytest.approx(62 / HOUR, abs=0.001)
    snoozed_to = clocked.book.records["rods"].snoozed_to
    assert snoozed_to == pytest.approx(calendar + 200 * 24.0 + 5.0, abs=0.1)


def test_hours_off_count_for_a_task_that_was_not_done(clocked):
    clocked.tick(60.0)
    clocked.set_clock(missed=200 * 24.0)
    assert clocked.book.used("air")["time"] == pytest.approx(4800.0, abs=0.1)


def test_a_time_that_a_person_gave_does_not_move(clocked):
    at = int(clocked.wall - DAY)
    clocked.carry_out("rods", command="done", at=at)
    clocked.tick()
    corrections = clocked.set_clock()
    assert clocked.book.records["rods"].last_done == at
    assert corrections.moves == ()


def test_times_are_corrected_also_after_a_restart_of_klippy(clocked):
    clocked.carry_out("rods", command="done")
    clocked.tick()
    done_at = TRUE + clocked.monotonic - 1.0
    document = json.loads(json.dumps(clocked.stamps.document()))

    again = ClockedLedger(document, "a", clocked.book, clocked.monotonic + 20.0)
    again.set_clock()
    assert again.book.records["rods"].last_done == pytest.approx(done_at, abs=1)


def test_times_stay_when_the_machine_was_restarted(clocked):
    clocked.carry_out("rods", command="done")
    clocked.tick()
    before = clocked.book.records["rods"].last_done
    again = ClockedLedger(clocked.stamps.document(), "b", clocked.book, 5.0)
    again.tick()
    again.set_clock()
    assert again.book.records["rods"].last_done == before


def test_hours_in_which_klippy_did_not_run_are_counted_once(clocked):
    clocked.carry_out("air", command="done")
    clocked.tick()
    again = ClockedLedger(
        clocked.stamps.document(), "a", clocked.book, clocked.monotonic + DAY
    )
    again.book.advance({"time": 24.0})
    again.tick(missed=0.0)
    again.tick(missed=24.0 - 24.0)
    assert again.book.used("air")["time"] == pytest.approx(24.0, abs=0.01)

    third = ClockedLedger(
        clocked.stamps.document(), "a", clocked.book, clocked.monotonic + DAY
    )
    third.tick(missed=24.0)
    assert third.book.used("air")["time"] == pytest.approx(48.0, abs=0.01)


def test_marks_of_a_wrong_clock_are_corrected_and_no_other_is_lost(clocked):
    clocked.book.mark(clocked.wall)
    for _ in range(20):
        clocked.book.advance({"time": 24.0})
        clocked.book.mark(TRUE - 10)
    before = len(clocked.book.marks)
    clocked.tick()
    clocked.set_clock()
    clocked.book.mark(clocked.wall)

    assert len(clocked.book.marks) == before
    assert clocked.book.mark_times[0] == pytest.approx(TRUE, abs=60)


def test_a_small_change_of_the_clock_corrects_nothing(clocked):
    clocked.carry_out("rods", command="done")
    clocked.tick()
    clocked.ahead += 30.0
    assert clocked.tick() is None
    clocked.ahead += 30.0
    assert clocked.tick() is None


def test_records_log_entries_and_marks_are_kept_over_a_restart_as_json(clocked):
    clocked.book.mark(clocked.wall)
    clocked.carry_out("rods", command="done", by="anna")
    clocked.tick()
    [mark], [row] = clocked.book.mark_times, clocked.stamps.document()["rows"]
    document = json.loads(json.dumps(clocked.stamps.document()))

    again = ClockedLedger(document, "a", clocked.book, clocked.monotonic + 20.0)
    assert again.stamps.document() == clocked.stamps.document()
    [move] = again.set_clock().moves
    assert move.row == (row[0], "rods", "done")
    assert move.time == row[0] + 200 * DAY
    assert again.book.mark_times == [mark + 200 * DAY]


def test_a_document_of_an_older_version_can_be_read(clocked):
    again = ClockedLedger({"boot": "a"}, "a", clocked.book)
    assert again.stamps.document() == ClockedLedger(None, "a").stamps.document()
    assert again.tick() is None


def test_a_clock_that_is_set_twice_moves_an_entry_twice(clocked):
    clocked.carry_out("rods", command="done")
    clocked.tick()
    clocked.ahead = -100 * DAY
    [first] = clocked.tick().moves
    clocked.ahead = 0.0
    [second] = clocked.tick().moves
    assert second.row == (first.time, *first.row[1:])
    assert second.time == first.row[0] + 200 * DAY


def test_hours_off_count_after_a_snooze(clocked):
    """A snooze changes the record, and does not change where its limits began."""
    clocked.carry_out("air", command="snooze", hours=1.0)
    clocked.tick()
    clocked.set_clock(missed=24.0)
    assert clocked.book.used("air")["time"] == pytest.approx(24.0, abs=0.01)


def test_a_log_entry_is_moved_only_once(clocked):
    clocked.log.append(Entry(int(clocked.wall), "rods", "done", "", "", {}))
    clocked.tick()
    assert len(clocked.set_clock().moves) == 1
    clocked.ahead = 5 * DAY
    assert clocked.tick(trusted=True).moves == ()


# At the edges


@pytest.mark.parametrize(("seconds", "is_one"), [(60.0, False), (61.0, True)])
def test_a_clock_counts_as_set_if_it_moved_by_more_than_a_minute(
    clocked, seconds, is_one
):
    for ahead in (seconds, -seconds):
        clocked.ahead += ahead
        assert (clocked.tick() is not None) is is_one
        clocked.ahead -= ahead
        clocked.tick()


@pytest.mark.parametrize(("minutes", "is_one"), [(1.0, False), (1.1, True)])
def test_hours_off_count_if_they_are_more_than_a_minute(clocked, minutes, is_one):
    clocked.carry_out("air", command="snooze", hours=1.0)
    clocked.tick()
    corrections = clocked.tick(0.0, missed=minutes / 60.0)
    assert (corrections is not None) is is_one
    moved = clocked.book.records["air"].snoozed_to - clocked.book.calendar
    expected = 1.0 - 1.0 / HOUR - (0.0 if is_one else minutes / 60.0)
    assert moved == pytest.approx(expected, abs=1e-6)


def test_hours_off_move_calendar_times_and_a_set_clock_moves_clock_times(
    clocked,
):
    clocked.carry_out("air", command="snooze", hours=5.0)
    clocked.tick()
    before = clocked.book.records["air"]
    corrections = clocked.tick(0.0, missed=24.0)
    assert corrections == (("air",), ())
    record = clocked.book.records["air"]
    assert record.snoozed_until == before.snoozed_until
    assert record.snoozed_to == before.snoozed_to + 24.0

    clocked.ahead += 100 * DAY
    assert clocked.tick(0.0).tasks == ("air",)
    again = clocked.book.records["air"]
    assert again.snoozed_until == before.snoozed_until + 100 * DAY
    assert again.snoozed_to == record.snoozed_to


def test_the_hours_off_may_become_known_one_tick_after_the_clock(clocked):
    clocked.carry_out("air", command="done")
    clocked.tick()
    clocked.ahead = 0.0
    clocked.tick(trusted=True)
    clocked.tick(trusted=True, missed=48.0)
    assert clocked.book.used("air")["time"] == pytest.approx(0.0, abs=0.01)
    clocked.tick(trusted=True, missed=48.0)
    assert clocked.book.used("air")["time"] == pytest.approx(48.0, abs=0.01)


def test_hours_off_that_are_known_at_the_first_tick_count_as_missed():
    book = Ledger(PLANS)
    book.advance({"time": 5.0})
    clocked = ClockedLedger(book=book)
    clocked.carry_out("air", command="done")
    assert clocked.tick(0.0, missed=24.0).tasks == ("air",)
    assert book.used("air")["time"] == pytest.approx(0.0, abs=1e-6)


def test_marks_are_corrected_also_if_the_hours_off_become_known_first(clocked):
    clocked.book.mark(clocked.wall)
    [mark] = clocked.book.mark_times
    clocked.carry_out("air", command="snooze", hours=1.0)
    clocked.tick()
    assert clocked.tick(0.0, missed=24.0) is not None
    assert clocked.book.mark_times == [mark]
    clocked.ahead = 0.0
    clocked.tick(0.0)
    assert clocked.book.mark_times == [mark + 200 * DAY]


def test_a_clock_that_was_right_for_one_tick_is_not_trusted_yet(clocked):
    clocked.carry_out("rods", command="done")
    clocked.tick(trusted=True)
    clocked.tick()
    clocked.ahead = 0.0
    assert clocked.tick(trusted=True).tasks == ("rods",)


@pytest.mark.parametrize(("seconds", "is_stamp"), [(5, True), (6, False)])
def test_a_time_within_five_seconds_of_the_clock_came_from_the_clock(
    clocked, seconds, is_stamp
):
    wall = int(clocked.wall) + 1
    clocked.monotonic += wall - clocked.wall
    at = wall - seconds
    fresh = clocked.book.records["rods"]._replace(last_done=at)
    clocked.book.records["rods"] = fresh
    clocked.log.append(Entry(at, "rods", "done", "", "", {}))
    clocked.tick(0.0)
    corrections = clocked.set_clock()
    assert [move.row[0] for move in corrections.moves] == ([at] if is_stamp else [])
    moved = at + 200 * DAY if is_stamp else at
    assert clocked.book.records["rods"].last_done == moved


def test_the_newest_500_entries_of_the_log_are_corrected(clocked):
    for number in range(501):
        entry = Entry(int(clocked.wall), "rods", f"e{number}", "", "", {})
        clocked.log.append(entry)
    clocked.tick()
    moves = clocked.set_clock().moves
    assert [move.row[2] for move in moves] == [f"e{n}" for n in range(1, 501)]


def test_a_snooze_that_was_ended_gets_no_time_again(clocked):
    clocked.carry_out("rods", command="snooze", hours=1.0)
    clocked.tick()
    clocked.carry_out("rods", command="unsnooze")
    clocked.tick()
    clocked.set_clock()
    record = clocked.book.records["rods"]
    assert (record.snoozed_until, record.snoozed_to) == (None, None)


def test_a_removed_task_does_not_prevent_corrections_of_others(clocked):
    for task in ("rods", "air"):
        clocked.carry_out(task, command="done")
    clocked.tick()
    document = json.loads(json.dumps(clocked.stamps.document()))
    records = {"air": clocked.book.records["air"].document()}
    left = Ledger(PLANS[1:], clocked.book.document(), records)
    again = ClockedLedger(document, "a", left, clocked.monotonic + 20.0)
    assert again.set_clock().tasks == ("air",)
    assert left.records["air"].last_done == records["air"]["last_done"] + 200 * DAY


def test_a_record_that_did_not_change_is_not_written(clocked):
    clocked.log.append(Entry(int(clocked.wall), "rods", "due", "", "", {}))
    clocked.tick()
    corrections = clocked.set_clock()
    assert corrections.tasks == ()
    assert len(corrections.moves) == 1


def test_without_a_boot_id_nothing_is_kept_from_before_the_start(clocked):
    clocked.carry_out("rods", command="done")
    clocked.tick()
    document = dict(clocked.stamps.document(), boot="")
    again = ClockedLedger(document, "", clocked.book)
    assert again.stamps.document() == ClockedLedger(None, "").stamps.document()


def test_records_and_marks_of_a_joined_store_do_not_move(clocked):
    done = clocked.book.records["rods"]._replace(last_done=int(clocked.wall))
    clocked.book.records["rods"] = done
    clocked.book.mark(clocked.wall)
    marks = clocked.book.mark_times
    clocked.stamps.rebase()
    clocked.tick()
    assert clocked.set_clock() == ((), ())
    assert clocked.book.records["rods"].last_done == done.last_done
    assert clocked.book.mark_times == marks


def test_sql_gets_the_new_time_before_the_row(clocked):
    assert rows_of([Move((1, "rods", "done"), 7)]) == [(7, 1, "rods", "done")]


def test_a_boot_has_an_id_if_the_kernel_gives_one(tmp_path, monkeypatch):
    path = tmp_path / "boot_id"
    monkeypatch.setattr(stamps, "BOOT_ID", str(path))
    assert boot_id() == ""
    path.write_text("c0ffee\n", encoding="ascii")
    assert boot_id() == "c0ffee"
    path.write_bytes(b"\xff\n")
    assert boot_id() == ""


# The same on a virtual printer


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


def test_a_printer_corrects_all_its_times_with_the_clock(printer, wall):
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


def test_times_are_corrected_also_after_a_restart_before_the_time_server_answers(
    printer, wall
):
    printer.say("UPDATE_MAINTENANCE NAME=air")
    true = wall() + 200 * DAY
    printer.restart()
    printer.life.upkeep.counting.synchronized = lambda: False
    printer.advance(5)
    wall.ahead = 0.0
    printer.advance(5)
    assert printer.task("air")["last_done"] == pytest.approx(true, abs=60)


def test_the_refusal_of_at_names_the_printers_local_time(printer, wall):
    """AT= is read as local time of the printer, so the refusal uses local time too."""
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
