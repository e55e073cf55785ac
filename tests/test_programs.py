"""What counts as an error in the log of a program that a test started."""

from __future__ import annotations

import pytest

from tests import programs

TRACE = "Traceback (most recent call last):\n  File\nValueError: no\n"


@pytest.mark.parametrize(
    ("log", "errors"),
    [
        ("2026-11-27 04:20:39,518 WARNING no connection\n", 0),
        ("2026-11-27 04:20:39,518 ERROR push: an event was dropped\n", 1),
        ("2026-11-27 04:20:39,518 DEBUG upkeep.done is refused\n" + TRACE, 0),
        ("2026-11-27 04:20:39,518 a callback of pie.fruit failed\n" + TRACE, 1),
        (TRACE, 1),
    ],
)
def test_errors_and_tracebacks_count_and_refused_requests_do_not(log, errors):
    assert len(programs.errors_in(log)) == errors


OURS = "/home/pi/klipper/klippy/extras/maintain/guard.py"
KLIPPYS = "/home/pi/klipper/klippy/reactor.py"


def trace(file, error="ValueError: no"):
    return (
        "Stats 12.0: gcodein=0\n"
        "maintain: counting failed; printing goes on\n"
        f'{TRACE.splitlines()[0]}\n  File "{file}", line 7, in call\n    work()\n'
        f"{error}\nStats 13.0: gcodein=0\n"
    )


@pytest.mark.parametrize(
    ("log", "errors"),
    [
        (trace(OURS), ["maintain: counting failed; printing goes on / ValueError: no"]),
        (trace(KLIPPYS), []),
        (trace(OURS, "configparser.Error: Option 'trigger' is missing"), []),
        (trace(KLIPPYS) + trace(OURS, "KeyError: 'x'"), 1),
        ("maintain: unable to reach the broker; trying again\n", []),
    ],
)
def test_a_klippys_log_shows_the_errors_of_the_extra(log, errors):
    errors_read = programs.errors_of_the_extra(log)
    assert (len(errors_read) if isinstance(errors, int) else errors_read) == errors


@pytest.mark.parametrize(
    ("broker", "complaint", "usual"),
    [
        (
            "mosquitto",
            "1764232839: Client voron disconnected due to protocol error.",
            "1764232839: Client voron closed its connection.",
        ),
        (
            "nats",
            "[7] 2026/11/27 09:00:00.1 [ERR] 127.0.0.1:5 - mid:2 - bad packet",
            "[7] 2026/11/27 09:00:00.1 [INF] Server is ready",
        ),
        (
            "rabbitmq",
            "2026-11-27 09:00:00.1+00:00 [error] <0.8.0> MQTT protocol error",
            "2026-11-27 09:00:00.1+00:00 [warning] <0.8.0> connection closed",
        ),
        (
            "rabbitmq",
            "2026-11-27 09:00:00.1+00:00 [critical] <0.8.0> MQTT protocol error",
            "2026-11-27 09:00:00.1+00:00 [error] <0.8.0>     supervisor: {<0.8.0>,x}",
        ),
        (
            "rabbitmq",
            "2026-11-27 09:00:00.1+00:00 [error] <0.8.0> MQTT protocol error",
            "2026-11-27 09:00:00.1+00:00 [error] <0.8.0> MQTT: a socket write failed",
        ),
        ("aedes", "Error: client already connected", "43211"),
        ("amqtt", "ERROR:amqtt.broker:invalid packet", "INFO:amqtt.broker:started"),
    ],
)
def test_a_brokers_log_shows_who_breaks_the_protocol(broker, complaint, usual):
    errors_in = programs.errors_of_broker(broker)
    assert errors_in(f"{usual}\n{complaint}\n") == [complaint]


def test_the_end_of_a_log_that_is_deleted_is_read(tmp_path):
    log = tmp_path / "log"
    programs.watch_log(log)
    log.write_text(TRACE)
    programs.close_log(log)
    log.unlink()

    assert len(programs.errors_logged()) == 1
    assert programs.errors_logged() == []


def test_each_error_is_reported_once(tmp_path):
    log = tmp_path / "log"
    log.write_text("from before\n" + TRACE)
    programs.watch_log(log)
    with log.open("a") as more:
        more.write(TRACE)

    assert len(programs.errors_logged()) == 1
    assert programs.errors_logged() == []
