"""A copied SD card: two printers with one identity, of which one gets a new one."""

from __future__ import annotations

import sys
import threading

import pytest

from klippy_extra.identity import Machine, here

BROKER = "[maintain]\nmqtt_host: 127.0.0.1\nmqtt_port: 9\n"
RODS = "[maintain rods]\ntrigger: print_time\nthreshold: 150\n"
PI = Machine("10000000abc", ("b8:27:eb:00:00:01",), "f00d")


@pytest.mark.parametrize(
    ("machine", "is_other"),
    [
        (PI, False),
        (PI._replace(system="re-imaged"), False),
        (PI._replace(adapters=("00:11:22:33:44:55",)), False),
        (PI._replace(serial="10000000def"), True),
        (PI._replace(serial=""), False),
        (PI._replace(serial="", adapters=("00:11:22:33:44:55",)), True),
        (Machine(system="f00d"), False),
        (Machine(system="beef"), True),
        (Machine(), False),
    ],
)
def test_serial_numbers_and_addresses_tell_a_machine_from_its_copy(machine, is_other):
    assert machine.is_other(PI) is is_other


def test_a_machine_is_identified_by_files_of_its_system(tmp_path):
    write(tmp_path, "10000000abc\0")
    assert here(tmp_path) == PI
    assert here(tmp_path / "nothing") == Machine()


def write(root, serial):
    files = {
        "sys/firmware/devicetree/base/serial-number": serial,
        "sys/class/net/eth0/address": "b8:27:eb:00:00:01\n",
        "sys/class/net/eth0/device/vendor": "",
        "sys/class/net/tun0/address": "12:34:56:78:9a:bc\n",
        "etc/machine-id": "f00d\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def copy(bench, tmp_path, monkeypatch):
    """A printer whose store was written on another machine."""
    write(tmp_path, "10000000abc")
    bench(BROKER + RODS).close()
    monkeypatch.setattr(sys.modules["extras.maintain.identity"], "ROOT", tmp_path)
    first = bench(BROKER + RODS)
    first.use(print_time=20.0)
    first.uuid = first.manager.memory.uuid
    first.close()
    write(tmp_path, "10000000def")
    printer = bench(BROKER + RODS)
    printer.first = first.uuid
    printer.advance(5)
    return printer


def test_a_copy_goes_on_counting_publishes_nothing_and_asks(copy):
    assert copy.life.connection is None
    assert copy.task("rods")["used"] == 20.0
    copy.use(print_time=1.0)
    assert copy.task("rods")["used"] == 21.0
    assert "// action:prompt_begin Is this printer a copy?" in copy.console
    assert "written on another machine" in copy.say("MAINTAIN_STATUS")


def test_a_copy_gets_a_new_identity_and_keeps_its_counts(copy):
    answer = copy.say("MAINTENANCE_IDENTITY NEW=1")

    assert "identity of its own" in answer
    assert copy.manager.memory.uuid != copy.first
    assert copy.life.connection is not None
    assert copy.task("rods")["used"] == 20.0
    assert "// action:prompt_end" in answer
    mine = copy.manager.memory.uuid
    copy.restart()
    copy.advance(5)
    assert copy.manager.memory.uuid == mine
    assert copy.life.connection is not None


def test_a_copy_does_not_clear_what_the_original_has_published(copy):
    copy.say("MAINTENANCE_IDENTITY NEW=1")

    assert copy.life.connection.documents["unpublish"] == []


def test_the_same_printer_on_new_hardware_asks_only_once(copy):
    assert "publishes again" in copy.say("MAINTENANCE_IDENTITY SAME=1")
    assert copy.manager.memory.uuid == copy.first
    assert copy.life.connection is not None
    copy.restart()
    copy.advance(5)
    assert copy.life.connection is not None
    assert copy.console[-1] != "// action:prompt_show"


def test_a_printer_that_is_online_gets_its_new_identity_at_once(bench):
    printer = bench(BROKER + RODS)
    before, link = printer.manager.memory.uuid, printer.life.connection.link
    [thread] = (t for t in threading.enumerate() if t.name == "maintain-link")
    assert "identity of its own" in printer.say("MAINTENANCE_IDENTITY NEW=1")
    mine = printer.manager.memory.uuid
    assert mine != before
    printer.wait_for(lambda: not thread.is_alive(), "the end of the old link")
    assert printer.life.connection.link is not link
    assert printer.life.connection.publisher is printer.life.upkeep.publisher.target
    printer.restart()
    assert printer.manager.memory.uuid == mine


def test_a_connection_that_is_taken_over_asks_only_once(bench):
    printer = bench(BROKER + RODS)
    before = printer.manager.memory.uuid
    printer.manager.copied.taken_over()
    assert "// action:prompt_begin Is this printer a copy?" in printer.console
    assert any("takes the connection" in line for line in printer.console)
    assert printer.life.connection is not None

    answer = printer.say("MAINTENANCE_IDENTITY SAME=1")
    assert "nothing is changed" in answer
    assert "// action:prompt_end" in answer
    assert printer.manager.memory.uuid == before
    lines = len(printer.console)
    printer.manager.copied.taken_over()
    assert len(printer.console) == lines


def test_a_copy_that_takes_over_the_connection_can_get_a_new_identity(bench):
    printer = bench(BROKER + RODS)
    before = printer.manager.memory.uuid
    printer.manager.copied.taken_over()
    assert "identity of its own" in printer.say("MAINTENANCE_IDENTITY NEW=1")
    assert printer.manager.memory.uuid != before


def test_the_identity_command_needs_new_or_same(bench):
    printer = bench(BROKER + RODS)
    assert "NEW=1 or SAME=1" in printer.say("MAINTENANCE_IDENTITY")
