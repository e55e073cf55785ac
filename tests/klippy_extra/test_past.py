"""Earlier counts: files of KlipperMaintenance, and Moonraker's totals."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klippy_extra.history.klippermaintenance import Old, parse, read
from tests.klippy_extra.conftest import STARTED

RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
HOUR = 3600.0


class Answers(http.server.BaseHTTPRequestHandler):
    """A server with Moonraker's totals, or with another answer that the test sets."""

    def do_GET(self):
        status, body = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
        self.server.requested.set()

    def log_message(self, *args):
        pass


def totals(hours, metres, paused=1.0):
    job_totals = {
        "total_time": (hours + paused) * HOUR,
        "total_print_time": hours * HOUR,
        "total_filament_used": metres * 1000,
    }
    return 200, json.dumps({"result": {"job_totals": job_totals}}).encode()


@pytest.fixture
def moonraker():
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    server.answer = totals(300.0, 900.0)
    server.requested = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def start(bench, moonraker):
    def make(sections="", options=""):
        url = f"moonraker_url: http://127.0.0.1:{moonraker.server_port}\n"
        return bench(f"[maintain]\n{url}{options}{sections}")

    return make


def leave(tmp_path, name, **content):
    folder = tmp_path / "maintain-db"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def wait_for(printer, text):
    printer.wait_for(lambda: any(text in line for line in printer.console), text)


def test_the_counts_of_klippermaintenance_are_taken_over_once(start, tmp_path):
    """Its baselines are Moonraker's totals including pauses."""
    leave(tmp_path, "rods", print_time=200.0, filament=100.0, time=STARTED / HOUR)
    printer = start(RODS + "[maintain other]\ntrigger: filament\nthreshold: 5\n")
    wait_for(printer, "101 h taken over from ~/maintain-db/rods")
    printer.saved()
    printer.advance(1)

    assert printer.task("rods")["used"] == 101.0
    assert printer.task("other")["used"] == 0.0
    assert "rods changed by import" in printer.say("MAINTENANCE_LOG")
    printer.say("UPDATE_MAINTENANCE NAME=rods")
    printer.restart()
    assert printer.task("rods")["used"] == 0.0


def test_calendar_limits_are_taken_over_without_moonraker(bench, tmp_path):
    leave(tmp_path, "air", print_time=0, filament=0, time=STARTED / HOUR - 400.0)
    printer = bench("[maintain air]\ntrigger: time\nthreshold: 500\n")
    printer.advance(1)

    assert printer.task("air")["used"] == pytest.approx(400.0, abs=0.01)


def test_a_disabled_task_stays_disabled_and_has_its_use_of_then(bench, tmp_path):
    leave(tmp_path, "rods", print_time=200.0, filament=0, time=0, last_disabled=230.0)
    printer = bench(RODS)
    printer.advance(1)

    assert printer.task("rods")["status"] == "disabled"
    assert printer.task("rods")["used"] == 30.0


def test_what_is_counted_until_moonraker_answers_is_kept(start, tmp_path, moonraker):
    leave(tmp_path, "rods", print_time=200.0, filament=0.0, time=0.0)
    moonraker.answer = 503, b""
    printer = start(RODS)
    assert moonraker.requested.wait(10)
    printer.use(print_time=2.0)
    assert printer.task("rods")["used"] == 2.0

    moonraker.answer = totals(300.0, 900.0)
    printer.life.history.ask()
    wait_for(printer, "103 h taken over")


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{", '{"print_time": "x"}', "{}"]
)
def test_a_corrupt_file_is_reported_and_nothing_is_due(bench, tmp_path, content):
    """It kept KlipperMaintenance from starting, or shut the printer down."""
    (tmp_path / "maintain-db").mkdir()
    (tmp_path / "maintain-db" / "rods").write_text(content)
    printer = bench(RODS)

    assert any("cannot be taken over" in line for line in printer.console)
    assert printer.task("rods")["status"] == "ok"


@pytest.mark.parametrize("name", ["../rods", "..", ".", "", " ", "a/b"])
def test_a_name_cannot_point_out_of_the_folder(tmp_path, name):
    (tmp_path / "rods").write_text('{"print_time": 1}')
    (tmp_path / "db").mkdir()
    assert read(name, tmp_path / "db") is None


@given(st.binary() | st.text().map(str.encode))
def test_any_content_is_a_count_or_raises_a_value_error(content):
    try:
        old = parse(content)
    except ValueError:
        return
    assert isinstance(old, Old)


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_totals_that_were_reset_give_no_negative_use(start, now):
    """KlipperMaintenance then had more remaining than its threshold."""
    assert Old({"print_time": start}).used("print_time", now) >= 0.0


# A first start with `import_history: True`


def test_a_first_start_begins_with_moonrakers_totals(start):
    printer = start(RODS, "import_history: True\n")
    wait_for(printer, "300 h of printing and 900 m of filament")
    printer.advance(1)

    assert printer.task("rods")["used"] == 300.0
    assert printer.life.upkeep.counting.readings()["filament"] == 900.0
    printer.restart()
    printer.advance(70)
    assert printer.task("rods")["used"] == 300.0


def test_a_later_start_imports_nothing_more(start, moonraker):
    printer = start(RODS)
    printer.configure(
        printer.config_file.read_text().replace(
            "[maintain]\n", "[maintain]\nimport_history: True\n", 1
        )
    )
    printer.restart()
    printer.advance(5)
    assert not moonraker.requested.is_set()


# With `source: moonraker`: Moonraker's totals instead of Klipper's own counting


def test_moonrakers_totals_count_by_their_growth(start, moonraker):
    printer = start(RODS, "source: moonraker\n")
    assert moonraker.requested.wait(10)
    past = printer.life.history
    printer.wait_for(lambda: past.last is not None)
    assert printer.task("rods")["used"] == 0.0

    moonraker.answer = totals(302.5, 910.0)
    past.ask()
    printer.wait_for(lambda: past.last.print_time == 302.5)
    printer.advance(3)
    assert printer.task("rods")["used"] == 2.5

    # Moonraker's totals were reset, and grew by one hour since.
    moonraker.answer = totals(1.0, 2.0)
    past.ask()
    printer.wait_for(lambda: past.last.print_time == 1.0)
    printer.advance(3)
    assert printer.task("rods")["used"] == 3.5
    assert printer.life.upkeep.counting.readings()["moonraker_print_time"] == 3.5
    assert not any("does not have" in line for line in printer.console)


def test_moonraker_is_asked_after_the_end_of_a_job(start, moonraker):
    printer = start(RODS, "source: moonraker\n")
    past = printer.life.history
    printer.wait_for(lambda: past.last is not None)
    moonraker.answer = totals(301.0, 900.0)
    printer.use(jobs_completed=1.0)  # The meter alone does not make the extra ask.
    printer.print_file()
    printer.advance(5)
    printer.gcode("CANCEL_PRINT", 60)
    printer.wait_for(lambda: past.last.print_time == 301.0)


def test_what_was_printed_while_klippy_did_not_run_is_counted(start, moonraker):
    printer = start(RODS, "source: moonraker\n")
    past = printer.life.history
    printer.wait_for(lambda: past.last is not None)
    moonraker.answer = totals(304.0, 900.0)
    printer.restart()
    printer.wait_for(lambda: printer.life.history.last.print_time == 304.0)
    printer.advance(3)

    assert printer.task("rods")["used"] == 4.0


@pytest.mark.parametrize(
    "answer",
    [
        (401, b""),
        (404, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b"null"),
        (500, b""),
    ],
)
def test_klippy_starts_and_goes_on_whatever_moonraker_answers(start, moonraker, answer):
    """With each of these KlipperMaintenance shut the printer down or did not start."""
    moonraker.answer = answer
    printer = start(RODS, "source: moonraker\n")
    assert moonraker.requested.wait(10)
    printer.advance(10)

    assert printer.state == "ready"
    assert printer.task("rods")["used"] == 0.0


def test_a_moonraker_that_is_down_delays_nothing(bench):
    printer = bench(
        "[maintain]\nsource: moonraker\nmoonraker_url: http://127.0.0.1:9\n" + RODS
    )
    printer.advance(10)
    assert printer.state == "ready"
