"""`upkeep-bridge` on the command line: init, check, watch, export."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from klippy_extra.upkeep.commands import MOST_LISTED
from mqtt_bridge import settings
from mqtt_bridge.cli import snapshot, watch
from mqtt_bridge.contract import Entry, Result
from tests import forks
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.processes import ROOT
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def printer(broker):
    due = m.state("belt", limits=(m.limit(used=200.0),), status="due", label="Belt")
    with ScriptedPrinter(broker.port, "voron", m.state(), due) as made:
        yield made


@pytest.fixture
def run(tmp_path):
    def run(*arguments, env=None, port=None):
        flags = ["--set", "broker.host=127.0.0.1"]
        flags += ["--set", f"broker.port={port}"] if port else []
        home = {"MKTL_HOME": str(tmp_path / "mktl")}
        variables = {**os.environ, **home, **(env or {})}
        return forks.run("mqtt_bridge", *flags, *arguments, env=variables)

    return run


def test_init_writes_settings_that_can_be_loaded_and_overwrites_nothing(run, tmp_path):
    file = tmp_path / "new" / "bridge.toml"
    assert run("init", str(file)).returncode == 0
    plain = settings.load(None, {})
    written = settings.load(file, {})
    # A new user has no registry.
    assert written == replace(plain, store=replace(plain.store, registry=True))

    again = run("init", str(file))
    assert again.returncode == 1
    assert "not written" in again.stderr


def test_every_line_that_init_comments_out_is_a_valid_setting(run, tmp_path):
    file = tmp_path / "bridge.toml"
    run("init", str(file))
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", file.read_text(), flags=re.MULTILINE)
    # These exclude each other, or name files that do not exist.
    without = (
        r"^(printers = \[.v|base = \[|"
        r"(credentials|ca|certificate|key|token_file|path) ).*"
    )
    text = re.sub(without, "", text, flags=re.MULTILINE)
    text = text.replace("buttons = false", "buttons = true")
    file.write_text(text.replace("open = false", "open = true"))

    made = settings.load(file, {})
    assert made.push.rules[0].buttons
    assert made.store.share.of == 4


def test_wrong_settings_end_the_program_with_one_line(run, tmp_path):
    done = run("--set", "broker.port=abc")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "broker.port" in done.stderr


def test_options_may_stand_before_or_after_the_command(run, tmp_path):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[broker]\nhots = 1\n")
    before = run("--config", str(wrong), "check")
    behind = run("check", "--config", str(wrong))
    assert before.returncode == behind.returncode == 2
    assert "broker.hots" in behind.stderr
    assert behind.stderr == before.stderr
    last = run("--set", "broker.port=1", "check", "--set", "broker.keepalive=no")
    assert "broker.keepalive" in last.stderr


def test_check_reports_that_everything_works(run, community, broker, printer):
    done = run("check", port=broker.port, env=community.env)

    assert "Everything works." in done.stdout, done.stdout
    assert "reading: all retained messages of voron arrived" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "wording"),
    [
        (["--set", "broker.host=no-such-host.invalid"], "Set broker.host"),
        (["--set", "store.interface=192.0.2.1"], "an address of this machine"),
        pytest.param(
            *(["--set", "broker.tls=true"], "the broker's TLS port"),
            marks=pytest.mark.logs_errors,
        ),
        (["--set", "broker.base=other"], "Has a printer ever connected"),
    ],
)
def test_check_tells_how_to_mend_each_fault(
    run, community, broker, printer, arguments, wording
):
    done = run(*arguments, "check", port=broker.port, env=community.env)

    assert wording in done.stdout, done.stdout
    assert done.returncode == 1


def test_check_does_not_make_the_file_of_sent_messages(run, broker, printer, tmp_path):
    """The bridge may run as another user, who could not read the file."""
    state = tmp_path / "state" / "push.db"
    file = tmp_path / "bridge.toml"
    file.write_text(
        f"[push]\nstate = {str(state)!r}\n[[push.rule]]\nto = ['ntfy://localhost/a']\n"
    )
    done = run("-c", str(file), "check", port=broker.port)
    assert "push: 1 rule\n" in done.stdout
    assert "push.state" not in done.stdout
    assert not state.parent.exists()

    state.parent.write_text("a file, and no folder")
    done = run("-c", str(file), "check", port=broker.port)
    assert "FAIL push.state" in done.stdout


def test_check_reports_a_broker_that_does_not_run_and_a_port_in_use(run, community):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"metrics.listen=127.0.0.1:{taken.getsockname()[1]}"
        done = run("--set", listen, "check", port=9, env=community.env)

    assert "Is the broker running" in done.stdout
    assert "Set another port" in done.stdout


def test_check_reports_missing_rights(run, community, tmp_path):
    """Mosquitto grants every subscription.

    Only the arriving messages show the rights.
    """
    acl = tmp_path / "acl"
    acl.write_text(f"topic write {m.BASE}/#\ntopic read {m.BASE}/+/info\n")
    broker = Mosquitto(tmp_path, f"acl_file {acl}").start()
    try:
        nobody = run("check", port=broker.port, env=community.env)
        with ScriptedPrinter(broker.port):
            done = run("check", port=broker.port, env=community.env)
    finally:
        broker.kill()

    assert "ok   reading" not in nobody.stdout + done.stdout
    assert f"If so, give this user the right to read {m.BASE}/#" in nobody.stdout
    assert (
        "FAIL reading: the info of voron arrived, but no availability, meters, "
        f"summary, tasks/+\n     Give this user the right to read {m.BASE}/#."
        in done.stdout
    ), done.stdout
    assert f"the right to write {m.BASE}/_bridge/#" in done.stdout


@contextlib.contextmanager
def answering(greeting):
    """A broker that answers each connection with *greeting*, or never if it is None."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):  # Closing the server ends the test.
                while True:
                    connection, _ = server.accept()
                    if greeting is None:
                        open_.append(connection)
                        continue
                    with connection:
                        if greeting and connection.recv(4096):
                            connection.sendall(greeting)
                            connection.recv(1)

        open_ = []
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    for each in open_:
        each.close()


@pytest.mark.parametrize(
    ("greeting", "wording", "fix"),
    [
        (None, "FAIL MQTT: .* does not answer", "Is broker.port its port for MQTT"),
        (b"", "FAIL MQTT: .* closes the connection", "Is broker.port its port"),
        (b"\x20\2\0\1", "FAIL MQTT: .*protocol version", 'broker.version = "5"'),
        (b"\x20\2\0\2", "FAIL MQTT: .*identifier", "a broker.client_id"),
        (b"\x20\2\0\3", "FAIL MQTT: .*Server unavailable", "log may say"),
        (b"\x20\2\0\4", "FAIL credentials: .*Bad user name", "the right username"),
        (b"\x20\2\0\5", "FAIL credentials: .* no username", "the right username"),
    ],
)
def test_check_tells_why_it_cannot_connect(run, community, greeting, wording, fix):
    with answering(greeting) as port:
        done = run("check", port=port, env=community.env)

    assert re.search(wording, done.stdout), done.stdout
    assert fix in done.stdout


def test_check_reports_a_missing_right_to_write_commands(run, community, tmp_path):
    acl = tmp_path / "acl"
    acl.write_text(f"topic read {m.BASE}/#\ntopic readwrite {m.BASE}/_bridge/#\n")
    broker = Mosquitto(tmp_path, f"acl_file {acl}").start()
    try:
        done = run("check", port=broker.port, env=community.env)
        flags = ("--set", "store.read_only=true")
        read_only = run(*flags, "check", port=broker.port, env=community.env)
    finally:
        broker.kill()

    wording = f"Give this user the right to write {m.BASE}/+/tasks/+/command."
    assert wording in done.stdout, done.stdout
    assert wording not in read_only.stdout, "a bridge that only reads does not need it"


def test_check_without_a_registry_tells_how_to_start_one(
    run, broker, printer, community
):
    community.registry.stop()
    done = run("check", port=broker.port, env=community.env)

    assert "start mkregistryd" in done.stdout


def test_export_writes_every_task(run, broker, printer):
    done = run("export", port=broker.port)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))

    assert [row["task"] for row in rows] == ["belt", "rods"], (
        "the most overdue task comes first"
    )
    assert float(rows[1]["used"]) == 37.5
    assert rows[1]["time"] == "1970-01-01T00:16:40Z"
    assert json.loads(run("export", "--format", "json", port=broker.port).stdout)[0][
        "status"
    ] == "due"  # fmt: skip


def test_export_writes_every_limit_of_a_task(run, broker):
    limits = (m.limit(), m.limit("filament", "m", 30.0, 40.0))
    rods = m.state(limits=limits, trigger="filament")
    with ScriptedPrinter(broker.port, "voron", rods):
        done = run("export", "--format", "json", port=broker.port)

    rows = json.loads(done.stdout)
    assert [
        (row["meter"], row["unit"], row["used"], row["decides"]) for row in rows
    ] == [
        ("print_time", "h", 37.5, False),
        ("filament", "m", 30.0, True),
    ]


def test_export_writes_the_meters_of_printers(run, broker, printer):
    done = run("export", "--meters", port=broker.port)

    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert (row["meter"], row["reading"], row["unit"]) == ("print_time", "12.5", "h")


def test_export_survives_a_time_beyond_the_calendar(run, broker):
    with ScriptedPrinter(broker.port, "voron", m.state(time=1e300)):
        done = run("export", port=broker.port)

    assert done.returncode == 0, done.stderr
    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert row["time"] == ""


def test_export_reports_a_file_that_cannot_be_written(run, broker, printer, tmp_path):
    done = run("export", "-o", f"{tmp_path}/none/there.csv", port=broker.port)

    assert done.returncode == 1
    assert "none/there.csv is not written" in done.stderr
    assert "Traceback" not in done.stderr


def test_export_requests_the_logs_of_the_printers(run, broker, printer):
    """It names each log that it does not get, and then ends with an error."""
    entry = Entry(1000, "rods", "done", "anna", "=1+1", {"print_time": 149.5})
    logs = {"rods": (entry,), "belt": ()}
    printer.answer = lambda command, task: printer.result(
        Result(command.transaction, task, seq=99, log=logs[task])
    )
    done = run("export", "--log", port=broker.port)
    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert done.returncode == 0, done.stderr

    assert row["time"] == "1970-01-01T00:16:40Z"
    assert row["used"] == "print_time=149.5"
    assert row["note"] == "'=1+1", "a spreadsheet must not take it for a formula"

    logs["belt"] = (entry._replace(task="belt"),) * MOST_LISTED
    cut = run("export", "--log", port=broker.port)
    assert len(cut.stdout.splitlines()) == 1 + MOST_LISTED + 1
    assert "voron.belt: only the newest 100 entries" in cut.stderr
    assert "voron.rods" not in cut.stderr
    assert cut.returncode == 1


def test_watch_shows_the_fleet_once_without_a_terminal(run, broker, printer):
    done = run("watch", "--once", port=broker.port)

    assert done.stdout.index("Belt") < done.stdout.index("Oil the rods")
    assert "quit" not in done.stdout, "it reads no keys"
    assert done.stderr == ""


def test_watch_tells_what_to_do_if_there_is_nothing_to_show(run, broker):
    assert "upkeep-bridge check tells more" in run("watch", port=broker.port).stdout


def test_watch_takes_keys(broker, printer):
    """It shows the result of each key, and does nothing while no task is chosen."""
    commands = []

    def answer(command, task):
        commands.append((task, command.command, command.hours))
        printer.carry_out(command, task)

    printer.answer = answer
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mqtt_bridge", "--set", "broker.host=127.0.0.1",
         "--set", f"broker.port={broker.port}", "watch"],
        cwd=ROOT, stdin=there, stdout=there, stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "100", "LINES": "30", "TERM": "xterm"},
    )  # fmt: skip
    os.close(there)

    def shows(text):
        seen = ""
        while text not in seen:
            seen += os.read(here, 65536).decode("utf-8", "replace")

    try:
        shows("Belt")
        for keys, wording in (
            ("djd", "voron.belt: press d again"),
            ("d", "voron.belt: done"),
            ("\x1b[Bs", "voron.rods: not snoozed: not in the script"),
            ("\x1b[Au", "voron.belt: not unsnoozed"),
            ("jkkdd", "voron.belt: done"),
        ):
            os.write(here, keys.encode())
            shows(wording)
        assert commands == [
            ("belt", "done", None),
            ("rods", "snooze", 24.0),
            ("belt", "unsnooze", None),
            ("belt", "done", None),
        ]
        broker.kill()
        shows("no connection to")
        os.write(here, b"q")
        until(lambda: drained(here, process), "its end")
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(here)


def drained(here, process):
    # The process has closed its end of the terminal.
    with contextlib.suppress(OSError):
        os.read(here, 65536)
    return process.poll() is not None


def test_the_bridge_stops_within_two_seconds_and_reports_it_to_systemd(
    community, broker, printer
):
    where = str(community.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(where)
        notify.settimeout(20)
        bridge = community.bridge(
            broker.port, NOTIFY_SOCKET=where, WATCHDOG_USEC="600000"
        )
        assert notify.recv(100) == b"READY=1"
        assert notify.recv(100) == b"WATCHDOG=1"
        begin = time.monotonic()
        assert bridge.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begin < 3, (
            "it has two seconds, and one second more on a busy machine"
        )
        messages = [notify.recv(100)]
        while messages[-1] != b"STOPPING=1":
            messages.append(notify.recv(100))


def test_the_bridge_can_be_stopped_while_it_waits_for_a_broker(community):
    bridge = community.bridge(9, wait=False)
    bridge.wait_for("no connection")

    assert bridge.stop(signal.SIGTERM) == 0
    assert "Traceback" not in bridge.log
    assert "on the air" not in bridge.log


def test_sighup_ends_the_bridge_cleanly(community, broker, printer):
    bridge = community.bridge(broker.port)
    assert bridge.stop(signal.SIGHUP) == 0
    assert "Traceback" not in bridge.log


def test_version_prints_the_version(run):
    done = run("--version")
    assert done.returncode == 0
    assert re.match(r"upkeep-bridge \d+\.\d+", done.stdout)


def row(**fields):
    values = {"label": "Clean and oil the rods", "remaining": 12.5, "percent": 91.0,
              "due_at": 1e9, "last_done": None}  # fmt: skip
    return snapshot.TaskRow(
        "voron", "Voron 2.4", True, "rods", "soon", "h", 0.0, {**values, **fields}, ()
    )


@pytest.mark.parametrize("size", [(40, 15), (80, 24), (120, 30)])
def test_watch_shows_printer_and_task_in_a_terminal_of_any_size(size):
    width, height = size
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(watch.table([row()] * 50, "d done", 0, width))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    [first, *_] = [line for line in lines if "soon" in line]
    assert "Voron" in first
    assert "Clean" in first


class Unanswered(Future):
    """An answer that never arrives. Nothing may wait for it."""

    def result(self, timeout=None):
        raise AssertionError("a key waits")

    exception = result


class HungBridge:
    """A bridge whose commands are never answered."""

    settings = settings.load(None, {})

    def __init__(self):
        self.commands = []
        self.link = SimpleNamespace(connected=True)

    def call(self, function):
        future = Future()
        future.set_result([row()])
        return future

    def ask(self, printer, task, make):
        self.commands.append(make(None, "t").command)
        return Unanswered()


def test_a_broker_that_hangs_does_not_block_the_keys():
    bridge = HungBridge()
    shown = watch.Watch(bridge)
    shown.begin()
    shown.refresh()
    for key in "jddsu":
        assert shown.key(key)
        shown.refresh()
    assert bridge.commands == ["done", "snooze", "unsnooze"]
    assert not shown.key("q")


def test_done_needs_the_same_key_twice():
    bridge = HungBridge()
    shown = watch.Watch(bridge)
    shown.refresh()
    for key in ("j", "d", "j", "d"):
        shown.key(key)
    assert bridge.commands == []
    shown.key("d")
    assert bridge.commands == ["done"]


def test_a_key_that_needs_a_task_tells_to_choose_one():
    bridge = HungBridge()
    shown = watch.Watch(bridge)
    shown.refresh()
    for key in "dsu":
        assert shown.table(10).caption.plain == ""
        shown.key(key)
        assert shown.table(10).caption.plain == watch.CHOOSE
        shown.key("j")
        shown = watch.Watch(bridge)
        shown.refresh()
    assert bridge.commands == []


def test_check_finds_no_fault_beside_a_running_bridge(run, community, broker, printer):
    """The ports in use are those of the running bridge."""
    ports = [free_port(), free_port()]
    flags = [f"metrics.listen=127.0.0.1:{ports[0]}",
             f"web.listen=127.0.0.1:{ports[1]}", "web.open=true"]  # fmt: skip
    bridge = community.bridge(broker.port, *flags)
    sets = [word for flag in flags for word in ("--set", flag)]
    done = run(*sets, "check", port=broker.port, env=community.env)
    for port in ports:
        assert f"a running bridge serves 127.0.0.1:{port}" in done.stdout
    assert done.returncode == 0, done.stdout
    bridge.stop()


def test_export_ends_with_an_error_if_a_message_is_missing(run, broker):
    with ScriptedPrinter(broker.port) as printer:
        printer.say("info", m.info("rods", "never").encode())
        done = run("export", port=broker.port)
    assert done.returncode == 1
    assert "incomplete: klipper_upkeep/voron/tasks/never did not arrive" in done.stderr
    assert "rods" in done.stdout, "the tasks that arrived are written"
