"""A real Klippy's surroundings: wrong clocks, other printers, brokers and names."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.fakes.certificate import write_certificate
from tests.fakes.mosquitto import Mosquitto
from tests.system import parts
from tests.system.klippy import PRINTER_CFG, Klippy, Printer, until
from tests.system.sections import RODS

pytestmark = [pytest.mark.system, pytest.mark.klipper]

RESTARTS = 30
DAY = 86400.0
SLOW = 300  # bytes in a tenth of a second
# Every name on this host is asked for, and never answered.
HANGING = """
import socket, threading

def getaddrinfo(host, *more, known=socket.getaddrinfo, **options):
    if host == "broker.example":
        threading.Event().wait()
    return known(host, *more, **options)

socket.getaddrinfo = getaddrinfo
"""
CUTS = """
[maintain cuts]
trigger: count_cuts
threshold: 1
expired_gcode: RESPOND MSG="its own turn, {printer.toolhead.homed_axes}"
"""
AIR = "[maintain air]\ntrigger: time\nthreshold: 2000\n"


def network(port, name="voron", **options):
    lines = {"mqtt_host": "127.0.0.1", "mqtt_port": port, "printer_name": name}
    text = "".join(f"{key}: {value}\n" for key, value in (lines | options).items())
    return f"[maintain]\n{text}"


@pytest.fixture
def make(back_end):
    """Return a function that makes printers. They end with the test.

    *speed* is the speed of their clock.
    """
    printers = []

    def make(sections, speed=back_end.speed, environment=None):
        server = back_end.server
        klippy = Klippy(back_end.source, speed, environment=environment, server=server)
        printers.append(Printer(klippy, sections, PRINTER_CFG))
        return printers[-1]

    yield make
    for printer in printers:
        sys.stdout.write(printer.log()[-6000:])
        printer.close()


def ready(printer):
    assert printer.start() == ("ready", "Printer is ready")
    return printer


def test_thirty_restarts_lose_nothing_and_leave_nothing_behind(make, broker):
    printer = ready(make(network(broker.port) + RODS + AIR))
    printer.gcode(parts.HEAT)
    printer.print_file(parts.rings(layers=2))
    printer.finish_printing()
    before = printer.used("rods")[0]
    known = 0

    for number in range(RESTARTS):
        command = "FIRMWARE_RESTART" if number % 2 else "RESTART"
        assert printer.restart(command) == ("ready", "Printer is ready")
        if number < 3:
            until(lambda: online(printer), "the broker")
            known = max(known, threads(printer))

    assert printer.used("rods")[0] == pytest.approx(before, abs=1 / 3600)
    until(lambda: online(printer), "the broker")
    until(lambda: threads(printer) <= known, "the old threads' end")
    assert "/maintain/" not in printer.log()  # a file of the extra in a traceback


def threads(printer):
    """Return the number of threads.

    Klippy itself leaves two descriptors open at each restart.
    """
    return len(list(Path(f"/proc/{printer.pid}/task").iterdir()))


def online(printer):
    return printer.status("maintain")["connected"]


def test_times_from_a_clock_that_starts_in_the_past_are_corrected(make):
    printer = make("[maintain]\n" + AIR)
    printer.start()
    printer.gcode("MAINTENANCE_DONE NAME=air")
    began = printer.task("air")["last_done"]
    printer.terminate()

    printer.clock.set_wall(-200 * DAY)
    printer.start()
    printer.gcode("G4 P5000")
    printer.gcode("MAINTENANCE_DONE NAME=air NOTE=past")
    assert printer.task("air")["last_done"] < began - 100 * DAY

    printer.clock.set_wall(0.0)
    until(lambda: printer.task("air")["last_done"] >= began, "the right moment")
    assert printer.task("air")["used"] < 1
    log = printer.request("maintain/log")["log"]
    assert [entry["note"] for entry in log[:2]] == ["past", ""]
    assert log[0]["time"] >= log[1]["time"]

    # The clock becomes wrong again, in the other direction.
    printer.clock.set_wall(90 * DAY)
    printer.gcode("G4 P60000")
    printer.clock.set_wall(0.0)
    until(lambda: printer.task("air")["used"] < 1, "the right hours")
    assert printer.restart() == ("ready", "Printer is ready")
    assert printer.task("air")["done_count"] == 2


def test_two_klippys_at_one_broker_do_not_disturb_each_other(make, broker, listen):
    listener = listen(broker)
    one, two = (ready(make(network(broker.port, name) + RODS)) for name in "ab")
    for name in "ab":
        listener.wait_for(f"klipper_upkeep/{name}/availability", b"online")

    done = {"command": "done", "transaction": "t1"}
    listener.publish("klipper_upkeep/a/tasks/rods/command", done)
    listener.wait_for("klipper_upkeep/a/results")

    assert one.task("rods")["done_count"] == 1
    assert two.task("rods")["done_count"] == 0


def test_of_two_klippys_with_one_name_the_second_reports_it_and_prints(
    make, broker, listen
):
    listener = listen(broker)
    ready(make(network(broker.port) + RODS))
    listener.wait_for("voron/availability", b"online")
    second = ready(make(network(broker.port) + RODS))

    until(lambda: second.status("maintain")["problem"], "the problem")
    assert "'printer_name'" in second.console("MAINTAIN_STATUS")
    second.gcode(parts.HEAT)
    second.print_file(parts.rings(layers=1))
    assert second.finish_printing()["state"] == "complete"


@pytest.fixture
def secure(tmp_path):
    write_certificate(tmp_path, "here", "IP:127.0.0.1")
    lines = f"certfile {tmp_path}/crt", f"keyfile {tmp_path}/key"
    broker = Mosquitto(tmp_path, *lines).start()
    yield broker, tmp_path / "crt"
    broker.kill()


def test_a_broker_with_tls_is_reached_and_reached_again(make, secure):
    broker, certificate = secure
    tls = {"mqtt_tls": "True", "mqtt_ca": certificate}
    printer = ready(make(network(broker.port, **tls) + RODS, speed=5))
    until(lambda: online(printer), "the broker")

    broker.kill()
    until(lambda: not online(printer), "the loss of the broker")
    broker.start()
    until(lambda: online(printer), "the broker again")
    assert printer.status("maintain")["problem"] is None


class SlowWay:
    """A way to a broker on which only few bytes pass in a second."""

    def __init__(self, port):
        self._broker = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._sockets = [self._server]
        self._threads = []
        self._run(self._accept)

    def _run(self, *call):
        self._threads.append(threading.Thread(target=self._quietly, args=call))
        self._threads[-1].start()

    def _quietly(self, call, *arguments):
        with contextlib.suppress(OSError):  # The other end, or this object, is closed.
            call(*arguments)

    def _accept(self):
        while True:
            near, _ = self._server.accept()
            far = socket.create_connection(("127.0.0.1", self._broker))
            self._sockets += near, far
            self._run(self._carry, near, far)
            self._run(self._carry, far, near)

    def _carry(self, one, other):
        while data := one.recv(SLOW):
            time.sleep(0.1)  # This wait makes the way slow.
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)

    def close(self):
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)


def test_a_slow_broker_does_not_delay_a_print_and_gets_everything(make, broker, listen):
    way = SlowWay(broker.port)
    try:
        listener = listen(broker)
        printer = ready(make(network(way.port) + RODS, speed=5))
        printer.gcode("G28\nG1 X0 Y0 Z0 F6000\nM83")
        printer.print_file("G1 X50 Y50 E5 F1200\nG1 X0 Y0 E5\n")
        assert printer.finish_printing()["state"] == "complete"
        listener.wait_for("voron/availability", b"online")
        printer.gcode("MAINTENANCE_DONE NAME=rods")
        listener.wait(
            lambda message: (
                message.topic.endswith("voron/tasks/rods")
                and message.json["done_count"]
            )
        )
        assert printer.state()[0] == "ready"
    finally:
        way.close()


def test_a_name_service_that_hangs_delays_neither_print_nor_restart(make, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    environment = {"PYTHONPATH": str(tmp_path)}
    options = {"mqtt_host": "broker.example"}
    printer = ready(make(network(1883, **options) + RODS, environment=environment))
    printer.gcode(parts.HEAT)
    printer.print_file(parts.rings(layers=1))

    assert printer.finish_printing()["state"] == "complete"
    assert printer.restart() == ("ready", "Printer is ready")
    assert printer.used("rods")[0] > 0
    assert not online(printer)


def after(printer, first, then):
    """Return whether the console showed *first* before *then*."""
    until(lambda: printer.state() and lines_with(printer, then), f"{then!r}")
    assert lines_with(printer, first), printer.responses
    return lines_with(printer, first)[0] < lines_with(printer, then)[0]


def lines_with(printer, text):
    """Return whether *text* was on the console until now."""
    return [n for n, line in enumerate(printer.responses) if text in line]


def test_the_gcode_of_a_task_waits_for_the_end_of_a_homing(make):
    home = (
        "[gcode_macro HOME]\ngcode:\n    MAINTENANCE_COUNT NAME=cuts BY=2\n"
        '    G28\n    M400\n    RESPOND MSG="is homed"\n'
    )
    printer = ready(make("[maintain]\n" + CUTS + home))
    printer.gcode("HOME")

    assert after(printer, "is homed", "its own turn, xyz")


def test_the_gcode_of_a_task_waits_while_heaters_are_turned_off(make):
    idle = (
        "gcode:\n    MAINTENANCE_COUNT NAME=cuts BY=2\n    TURN_OFF_HEATERS\n"
        '    G4 P30000\n    RESPOND MSG="is idle"\n'
    )
    machine = PRINTER_CFG.replace("timeout: 3600\n", f"timeout: 20\n{idle}")
    printer = make("[maintain]\n" + CUTS)
    printer.machine = machine
    printer.configure("[maintain]\n" + CUTS)
    ready(printer)
    printer.gcode("SET_HEATER_TEMPERATURE HEATER=heater_bed TARGET=50")

    assert after(printer, "is idle", "its own turn")
    assert printer.status("heater_bed")["target"] == 0
