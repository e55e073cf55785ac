"""The G-code commands: what they do, what they answer, and what they refuse."""

from __future__ import annotations

import pytest

RODS = """
[maintain rods]
label: Clean the rods
message: Wipe, then one drop of oil.
guide: https://example.org/rods
parts: 2 ml of oil
trigger: print_time
threshold: 150
"""
BELTS = """
[maintain Zahnriemen X]
trigger: travel_x, time
threshold: 20000, 720
"""
KLIPPER_MAINTENANCE = (
    "MAINTAIN_STATUS",
    "CHECK_MAINTENANCE",
    "UPDATE_MAINTENANCE",
    "ENABLE_MAINTENANCE",
    "DISABLE_MAINTENANCE",
)
OURS = (
    "SNOOZE_MAINTENANCE",
    "SKIP_MAINTENANCE",
    "SET_MAINTENANCE",
    "ADJUST_MAINTENANCE",
    "MAINTENANCE_LOG",
    "MAINTENANCE_DONE",
    "MAINTENANCE_CHECK",
    "MAINTENANCE_PROMPT",
    "MAINTENANCE_COUNT",
    "SET_MAINTENANCE_MATERIAL",
)


@pytest.fixture
def printer(bench):
    return bench(RODS + BELTS)


@pytest.mark.parametrize("command", KLIPPER_MAINTENANCE + OURS)
def test_every_command_has_a_help_text(printer, command):
    assert len(printer.request("gcode/help")[command]) > 20


def test_status_shows_the_state_of_each_task(printer):
    printer.use(print_time=151.5)

    answer = printer.say("MAINTAIN_STATUS")

    assert "Clean the rods is due: 151.5 h used of 150 h, 1.5 h over." in answer
    assert "Wipe, then one drop of oil." in answer
    assert "Zahnriemen X: " in answer


def test_a_task_exactly_at_its_threshold_is_due_and_nothing_over(printer):
    printer.say("ADJUST_MAINTENANCE NAME=rods USED=150")
    answer = printer.say("MAINTAIN_STATUS")
    assert "Clean the rods is due: 150 h used of 150 h." in answer


def test_status_without_a_task_tells_how_to_configure_one(bench):
    assert "[maintain NAME]" in bench().say("MAINTAIN_STATUS")


def test_tasks_without_a_main_section_are_counted(tmp_path, monkeypatch, bench):
    """KlipperMaintenance checked nothing at all in this case."""
    monkeypatch.setenv("HOME", str(tmp_path))
    printer = bench("[maintain]\n")
    printer.configure(RODS)
    printer.restart()
    printer.use(print_time=151.0)

    assert printer.task("rods")["status"] == "due"
    assert any("is due" in line for line in printer.console)


def test_check_shows_every_detail_of_one_task(printer):
    answer = printer.say('CHECK_MAINTENANCE NAME="Zahnriemen X"')
    assert "travel_x: 0 m used of 20000 m." in answer
    assert "time: " in answer

    answer = printer.say("CHECK_MAINTENANCE NAME=rods")
    for text in ("Guide: https://example.org/rods", "Parts: 2 ml of oil"):
        assert text in answer


def test_a_task_can_also_be_named_by_its_slug(printer):
    assert "Zahnriemen X" in printer.say("CHECK_MAINTENANCE NAME=zahnriemen_x")


def test_done_is_in_the_log_with_its_note_and_name(printer):
    printer.use(print_time=12.0)
    answer = printer.say('UPDATE_MAINTENANCE NAME=rods NOTE="one drop" BY=anna')

    assert 'Maintenance "Clean the rods" is marked done' in answer
    line = printer.say("MAINTENANCE_LOG NAME=rods")
    assert "Clean the rods done by anna, used print_time 12 h: one drop" in line
    assert printer.task("rods")["last_by"] == "anna"


def test_done_accepts_a_day_in_the_past(printer, wall):
    printer.say("MAINTENANCE_DONE NAME=rods AT=2026-11-20T18:00:00+00:00")
    assert printer.task("rods")["last_done"] == 1795197600


@pytest.mark.parametrize("hours", ["100", "1.5", "0"])
def test_hours_accepts_a_fraction(printer, hours):
    """KlipperMaintenance refused 1.5."""
    printer.say(f"UPDATE_MAINTENANCE NAME=rods HOURS={hours}")
    assert printer.task("rods")["used"] == float(hours)


def test_hours_over_the_threshold_are_kept(printer):
    """KlipperMaintenance began again from zero."""
    printer.say("UPDATE_MAINTENANCE NAME=rods HOURS=300")
    assert printer.task("rods")["remaining"] == -150.0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("UPDATE_MAINTENANCE", "NAME"),
        ("UPDATE_MAINTENANCE NAME=rod", "There are: rods, Zahnriemen X."),
        ("UPDATE_MAINTENANCE NAME=rods HOURS=-5", "HOURS=-5 must be a number"),
        ("UPDATE_MAINTENANCE NAME=rods HOURS=nan", "HOURS=nan must be a number"),
        ("UPDATE_MAINTENANCE NAME=rods AT=yesterday", "AT=yesterday is no time"),
        ("UPDATE_MAINTENANCE NAME=rods AT=2036-01-01", "in the future"),
        ("UPDATE_MAINTENANCE NAME=zahnriemen_x USED=5", "as in travel_x=5,time=5."),
        ("SNOOZE_MAINTENANCE NAME=rods HOURS=soon", "HOURS=soon must be a number"),
        ("SNOOZE_MAINTENANCE NAME=rods HOURS=1e9", "ten years"),
        ("SET_MAINTENANCE NAME=rods", "needs THRESHOLD= or WARN="),
        ("SET_MAINTENANCE NAME=rods THRESHOLD=0", "must be from 0.001"),
        ("ADJUST_MAINTENANCE NAME=rods", "needs USED="),
        ("ADJUST_MAINTENANCE NAME=rods USED=filament=5", "no limit 'filament'"),
        ("MAINTENANCE_LOG NAME=rods LIMIT=0", "LIMIT=0 must be a number, 1 or more"),
        ("MAINTENANCE_COUNT NAME=cuts BY=-1", "BY=-1 must be a number"),
        ("MAINTENANCE_COUNT NAME=???", "???"),
        ("MAINTENANCE_COUNT NAME=cuts", "No task has such a trigger."),
        ("MAINTENANCE_CHECK ANSWER=perhaps", "must be 'print' or 'stop'"),
    ],
)
def test_a_wrong_parameter_is_answered_with_an_error_that_names_it(
    printer, command, words
):
    before = printer.task("rods")
    answer = printer.say(command)

    assert answer.startswith("!! ")
    assert words in answer
    assert printer.state == "ready"
    assert printer.task("rods") == before


def test_set_and_adjust_change_threshold_warning_and_use(printer):
    printer.say("SET_MAINTENANCE NAME=rods THRESHOLD=200 WARN=50")
    printer.say("ADJUST_MAINTENANCE NAME=rods USED=160")
    printer.say("SET_MAINTENANCE NAME=zahnriemen_x THRESHOLD=travel_x=10,time=20")

    assert printer.task("rods")["threshold"] == 200.0
    assert printer.task("rods")["status"] == "soon"
    assert printer.task("Zahnriemen X")["threshold"] in (10.0, 20.0)


def test_a_disabled_task_counts_nothing_and_an_enabled_task_goes_on(printer):
    printer.use(print_time=10.0)
    assert "is disabled" in printer.say("DISABLE_MAINTENANCE NAME=rods")
    assert "already disabled" in printer.say("DISABLE_MAINTENANCE NAME=rods")
    printer.use(print_time=500.0)
    assert printer.task("rods")["status"] == "disabled"
    assert "is disabled, with 10 h used." in printer.say("MAINTAIN_STATUS")
    printer.say("ENABLE_MAINTENANCE NAME=rods")

    assert printer.task("rods")["used"] == 10.0


def test_skip_is_logged_as_skipped(printer):
    printer.say("SKIP_MAINTENANCE NAME=rods NOTE=later")
    assert "rods skipped" in printer.say("MAINTENANCE_LOG")


def test_a_snooze_of_zero_hours_ends_the_snooze(printer):
    printer.use(print_time=151.0)
    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=2")
    assert printer.task("rods")["status"] == "snoozed"
    assert "snoozed until" in printer.say("MAINTAIN_STATUS")

    printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=0")
    assert printer.task("rods")["status"] == "due"


def test_a_macro_moves_a_count_meter(bench):
    printer = bench("[maintain blade]\ntrigger: count_cuts\nthreshold: 3000\n")

    assert "count_cuts counts 2 more" in printer.say("MAINTENANCE_COUNT NAME=cuts BY=2")
    printer.advance(3)

    assert printer.task("blade")["used"] == 2.0


BLADE = "[maintain blade]\ntrigger: count_cuts\nthreshold: 3000\n"


@pytest.mark.parametrize(
    ("command", "used"),
    [
        ("UPDATE_MAINTENANCE NAME=blade", 0.0),
        ("SKIP_MAINTENANCE NAME=blade", 0.0),
        ("ADJUST_MAINTENANCE NAME=blade USED=3", 3.0),
        ("DISABLE_MAINTENANCE NAME=blade", 2.0),
    ],
)
def test_use_from_before_a_completion_does_not_count_after_it(bench, command, used):
    printer = bench(BLADE)
    printer.say("MAINTENANCE_COUNT NAME=cuts BY=2")
    printer.say(command)
    printer.advance(3)

    assert printer.task("blade")["used"] == used


def test_use_from_while_a_task_was_disabled_does_not_count_after_it_is_enabled(bench):
    printer = bench(BLADE)
    printer.say("DISABLE_MAINTENANCE NAME=blade")
    printer.say("MAINTENANCE_COUNT NAME=cuts BY=2")
    printer.say("ENABLE_MAINTENANCE NAME=blade")
    printer.advance(3)

    assert printer.task("blade")["used"] == 0.0


@pytest.mark.parametrize("by", ["0", "1e+10", "inf", "nan"])
def test_a_count_that_is_no_positive_number_is_refused(bench, by):
    answer = bench(BLADE).say(f"MAINTENANCE_COUNT NAME=cuts BY={by}")

    assert answer.startswith("!! ")
    assert f"BY={by} must be" in answer


def test_a_count_that_no_task_uses_is_refused_with_the_names_that_tasks_use(bench):
    printer = bench(BLADE)
    answer = printer.say("MAINTENANCE_COUNT NAME=cut")

    assert answer.startswith("!! No task counts 'count_cut'")
    assert "Tasks count: count_cuts." in answer


def test_a_print_goes_on_after_an_unused_count_and_reports_it_once(bench, tmp_path):
    (tmp_path / "file.gcode").write_text("MAINTENANCE_COUNT NAME=cut\nG4 P2000\n" * 5)
    printer = bench(f"[virtual_sdcard]\npath: {tmp_path}\n{BLADE}")
    printer.print_to_end("file.gcode")

    assert printer.status("print_stats")["state"] == "complete"
    assert sum("No task counts 'count_cut'" in line for line in printer.console) == 1


def test_an_unused_count_can_be_removed_or_renamed(bench):
    printer = bench(BLADE)
    printer.say("MAINTENANCE_COUNT NAME=cuts BY=40")
    printer.advance(3)
    printer.configure(
        printer.config_file.read_text().replace("count_cuts", "count_blade")
    )
    printer.restart()
    printer.say("MAINTENANCE_COUNT NAME=blade BY=2")
    printer.advance(3)

    assert "A task counts" in printer.say("MAINTENANCE_COUNT NAME=blade REMOVE=1")
    assert "Left over: count_cuts." in printer.say("MAINTENANCE_COUNT NAME=cut")
    assert "count_blade" in printer.say("MAINTENANCE_COUNT NAME=cuts RENAME=blade")
    assert printer.life.upkeep.counting.readings()["count_blade"] == 42.0
    assert "count_cuts" not in printer.life.upkeep.counting.readings()
    assert printer.task("blade")["used"] == 2.0
    printer.restart()
    assert printer.life.upkeep.counting.readings()["count_blade"] == 42.0
    assert "no meter 'count_cuts'" in printer.say(
        "MAINTENANCE_COUNT NAME=cuts REMOVE=1"
    )


def test_set_and_adjust_write_the_old_and_the_new_value_into_the_log(printer):
    printer.say("SET_MAINTENANCE NAME=rods THRESHOLD=200 WARN=50")
    printer.say("ADJUST_MAINTENANCE NAME=rods USED=160")
    answer = printer.say("MAINTENANCE_LOG NAME=rods")

    assert "threshold 200 h, before 150 h; warning at 50 h, before 15 h" in answer
    assert "used 160 h, before 0 h" in answer


def test_check_names_every_meter_of_a_task(printer):
    assert "print_time: 0 h used of 150 h." in printer.say(
        "CHECK_MAINTENANCE NAME=rods"
    )


def test_the_material_decides_how_fast_a_nozzle_wears(bench):
    sections = "[maintain nozzle]\ntrigger: filament\nthreshold: 900\nfactor: CF=5\n"
    printer = bench(sections)
    printer.say("SET_MAINTENANCE_MATERIAL MATERIAL=PA-CF")
    printer.use(filament=10.0)
    printer.saved()
    printer.restart()
    printer.use(filament=1.0)

    assert printer.task("nozzle")["used"] == 55.0


def test_use_from_before_a_change_of_material_counts_by_the_old_material(bench):
    printer = bench(BLADE + "factor: CF=5\n")
    printer.say("MAINTENANCE_COUNT NAME=cuts BY=2")
    printer.say("SET_MAINTENANCE_MATERIAL MATERIAL=PA-CF")
    printer.say("MAINTENANCE_COUNT NAME=cuts BY=3")
    printer.advance(3)

    assert printer.task("blade")["used"] == 2.0 + 5 * 3.0


def test_the_log_is_written_to_a_file(printer, tmp_path):
    printer.say('UPDATE_MAINTENANCE NAME=rods NOTE="=1+1" BY=anna')
    printer.say("MAINTENANCE_LOG EXPORT=1")
    printer.wait_for(
        lambda: any("log.csv was written" in line for line in printer.console)
    )

    written = (tmp_path / "maintenance-log.csv").read_text(encoding="utf-8")
    head, line = written.splitlines()
    assert head == "time,task,event,by,note,used"
    assert line.endswith(",rods,done,anna,'=1+1,print_time=0")


def test_the_endpoints_list_the_tasks_and_the_log(printer):
    printer.say("UPDATE_MAINTENANCE NAME=rods BY=anna")

    tasks = printer.request("maintain/tasks")
    log = printer.request("maintain/log", {"task": "rods"})

    assert [task["task"] for task in tasks["tasks"]] == ["rods", "zahnriemen_x"]
    assert "print_time" in tasks["meters"]
    assert log["log"][0]["by"] == "anna"
    assert log["csv"].startswith("time,task")


def test_other_timers_run_while_a_hundred_tasks_are_listed(bench, monkeypatch):
    names = [f"task {number}" for number in range(100)]
    section = "[maintain {}]\ntrigger: print_time\nthreshold: 100\n"
    printer = bench("".join(map(section.format, names)))
    pause, turns = printer.reactor.pause, []

    def paused(waketime):
        printer.reactor.register_callback(turns.append)
        return pause(waketime)

    monkeypatch.setattr(printer.reactor, "pause", paused)

    assert len(printer.request("maintain/tasks")["tasks"]) == 100
    assert len(turns) >= 10


def test_an_hour_on_an_idle_printer_is_shown_in_hundredths(bench):
    printer = bench("[maintain air]\ntrigger: time\nthreshold: 1000\n")
    shown = []
    for _ in range(360):
        printer.advance(10)
        status = printer.status("maintain air")
        if not shown or status != shown[-1]:
            shown.append(status)

    assert len(shown) <= 103
    assert all(each["used"] == round(each["used"], 2) for each in shown)


def test_a_command_over_the_endpoint_is_answered_once_it_is_saved(printer):
    answers = []
    command = {"command": "done", "note": "two drops", "by": "anna"}

    def ask(eventtime):
        answers.append(
            printer.request("maintain/command", {"task": "rods", "command": command})
        )

    printer.reactor.register_callback(ask)
    printer.wait_for(lambda: answers)

    assert answers == [{"text": "is marked done; counting starts again."}]
    entry = printer.request("maintain/log", {"task": "rods"})["log"][0]
    assert (entry["by"], entry["note"]) == ("anna", "two drops")


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"task": "x", "command": "done"}, "no maintenance task 'x'"),
        ({"task": "rods", "command": "explode"}, "not JSON"),
        ({"task": "rods", "command": {"command": "done", "used": -1}}, "at least 0"),
        ({"task": "rods"}, "command"),
    ],
)
def test_a_wrong_command_over_the_endpoint_is_refused_with_a_text(
    printer, params, text
):
    with pytest.raises(printer.printer.command_error, match=text):
        printer.request("maintain/command", params)
    assert printer.state == "ready"


def test_the_history_has_the_readings_of_each_limit_until_now(printer):
    history = printer.request("maintain/history", {"task": "rods"})

    assert history["task"] == "rods"
    (points,) = history["limits"].values()
    moments = [when for when, _ in points]
    assert moments == sorted(moments)
    assert points[-1][1] == printer.request("maintain/tasks")["meters"]["print_time"]


@pytest.mark.parametrize("limit", [2, "2"])
def test_the_log_over_the_endpoint_has_as_many_entries_as_requested(printer, limit):
    """Moonraker passes on the parameters of an address as text."""
    for _ in range(3):
        printer.say("UPDATE_MAINTENANCE NAME=rods")
    assert len(printer.request("maintain/log", {"limit": limit})["log"]) == 2


@pytest.mark.parametrize(
    "params", [{"task": "x"}, {"task": 5}, {"limit": "many"}, {"limit": [1]}]
)
def test_an_endpoint_can_refuse_and_klippy_goes_on(printer, params):
    with pytest.raises(printer.printer.command_error):
        printer.request("maintain/log", params)
    assert printer.state == "ready"


def test_the_status_is_a_new_dict_each_time(printer):
    first = printer.lookup("maintain rods").get_status(0.0)
    first["used"] = "spoiled"

    assert printer.lookup("maintain rods").get_status(0.0)["used"] == 0.0
    assert printer.status("maintain")["tasks"] == ["rods", "zahnriemen_x"]


def test_a_macro_can_read_the_status_of_a_task(bench):
    printer = bench(
        RODS + "[gcode_macro SHOW]\ngcode:\n"
        '    {action_respond_info("left %d" % printer["maintain rods"].remaining)}\n'
    )
    assert "left 150" in printer.say("SHOW")
