"""The bridge as mKTL clients see it: items appear and vanish, SETs are answered."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import re

import pytest
import zmq

from mqtt_bridge import contract
from mqtt_bridge.fleet import sharding
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def printer(broker):
    with ScriptedPrinter(broker.port) as made:
        yield made


def test_a_client_can_convert_units(community, broker, printer):
    community.bridge(broker.port)

    shown = community.mk("get", "--units", "minute", "upkeep.voron.rods.used")
    assert "2250" in shown.stdout, shown
    assert community.mk("get", "upkeep.voron.rods.status").stdout.strip().endswith("ok")


def test_the_time_of_a_value_is_the_time_of_the_reading(community, broker, printer):
    community.bridge(broker.port)
    community.env["TZ"] = "UTC"
    shown = community.mk("get", "--timestamp", "upkeep.voron.rods.used").stdout

    assert "00:16:40" in shown, "the reading was made 1000 s after 1970 began"


def test_printers_and_tasks_appear_and_vanish_while_the_bridge_runs(
    community, broker, printer
):
    community.bridge(broker.port)
    with ScriptedPrinter(broker.port, "ender") as other:
        until(lambda: "ender.rods.used" in community.listed(), "the new printer")
        assert community.get("ender.rods.used") == 37.5
        for topic in m.printer("ender"):
            other.client.publish(topic, b"", qos=1, retain=True)
        until(
            lambda: "ender.rods.used" not in community.listed(), "the printer is gone"
        )

    # This is how mk shows a KeyError.
    assert "has no 'ender.rods.done'" in community.set("ender.rods.done=1")
    error_text = community.mk("get", "upkeep.ender.rods.used").stderr
    assert "has no 'ender.rods.used'" in error_text
    assert community.get("voron.rods.used") == 37.5


def test_a_value_can_be_read_after_its_set_is_answered(community, broker, printer):
    community.bridge(broker.port)

    assert community.set("voron.rods.threshold=200") == ""
    assert community.get("voron.rods.threshold") == 200.0
    assert community.set("voron.rods.enabled=0") == ""
    assert not community.get("voron.rods.enabled")


def test_the_name_that_a_client_gives_is_cleaned_to_one_line(
    community, broker, printer
):
    """It goes into the task's log, which terminals and programs show."""
    community.bridge(broker.port)
    [file] = (community.folder / "mktl/daemon/port/upkeep").glob("*.req")
    payloads = []
    printer.client.on_message = lambda _c, _d, message: payloads.append(message.payload)
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(f"tcp://127.0.0.1:{int(file.read_text())}")
        payload = {"value": True, "_user": "a\nb\x1b[2J\x9b" + "x" * 5000,
                   "_hostname": ["c\r"]}  # fmt: skip
        target = b"upkeep.voron.rods.done"
        socket.send_multipart(
            [b"a", b"1", b"SET", target, b"", json.dumps(payload).encode()]
        )
        until(lambda: payloads, "the command")
    name = json.loads(payloads[0])["by"]
    assert name.startswith("a b")
    assert name.isprintable()
    assert len(name) == 200


def test_a_refusal_reaches_the_client_with_the_printers_text(
    community, broker, printer
):
    """Each code becomes the error that the contract's table has for it."""
    community.bridge(broker.port)
    expected = {
        contract.BAD_ARGUMENT: "ValueError",
        contract.NOT_READY: "RuntimeError",
        contract.INTERNAL: "RuntimeError",
        contract.UNKNOWN_TASK: "KeyError",
    }
    assert expected.keys() == set(contract.CODES)
    for code, error in expected.items():
        printer.answer = lambda command, task, code=code: printer.refuse(
            command, task, code, "Klipper is starting"
        )
        error_text = community.set("voron.rods.done=1")
        assert error in error_text
        assert "Klipper is starting" in error_text


def test_an_invalid_set_is_refused_by_the_bridge(community, broker, printer):
    community.bridge(broker.port)

    assert "ValueError" in community.set("voron.rods.threshold=-1")
    assert "read-only" in community.set("voron.rods.remaining=1")
    assert printer.commands == []


def test_many_clients_set_at_once_and_all_are_answered(community, broker, printer):
    community.bridge(broker.port)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        requests = [
            pool.submit(community.set, f"voron.rods.threshold={100 + number}")
            for number in range(8)
        ]
        assert {each.result() for each in requests} == {""}
    assert {each.threshold for each in printer.commands} == {
        100.0 + n for n in range(8)
    }


def test_hundreds_of_clients_wait_for_their_sets_and_gets_are_answered(
    community, broker, printer
):
    """All their SETs wait for the printer while a GET is answered.

    Then each SET is answered.
    """
    community.bridge(broker.port)
    [file] = (community.folder / "mktl/daemon/port/upkeep").glob("*.req")
    waiting = []
    printer.answer = lambda *request: waiting.append(request)
    with zmq.Context() as context, contextlib.ExitStack() as sockets:

        def client():
            socket = sockets.enter_context(context.socket(zmq.DEALER))
            socket.rcvtimeo, socket.linger = 20_000, 0
            socket.connect(f"tcp://127.0.0.1:{int(file.read_text())}")
            return socket

        def ask(socket, kind, key, payload=b""):
            target = f"upkeep.voron.rods.{key}".encode()
            socket.send_multipart([b"a", b"1", kind, target, b"", payload])

        clients = [client() for _ in range(300)]
        for number, each in enumerate(clients):
            ask(each, b"SET", "threshold", b'{"value":%d}' % (100 + number))
        assert {each.recv_multipart()[2] for each in clients} == {b"ACK"}
        until(lambda: len(waiting) == len(clients), "all commands")
        reader = client()
        ask(reader, b"GET", "used")
        assert [reader.recv_multipart()[2] for _ in range(2)] == [b"ACK", b"REP"]
        assert not any(each.poll(0) for each in clients)
        for request in waiting:
            printer.carry_out(*request)
        answers = {bytes(each.recv_multipart()[5]) for each in clients}
    assert answers == {b'{"value":true}'}
    assert {each.threshold for each in printer.commands} == set(range(100, 400))
    assert len(printer.commands) == len(clients)


def test_a_get_does_not_wait_for_a_set(community, broker, printer):
    community.bridge(broker.port)
    waiting = []
    printer.answer = lambda command, task: waiting.append((command, task))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        request = pool.submit(community.set, "voron.rods.threshold=100")
        until(lambda: waiting, "the command")
        assert community.get("voron.rods.used") == 37.5
        printer.carry_out(*waiting[0])
        # On a slow machine the GET alone may take longer than a printer may.
        assert request.result() == "" or "within 5 s" in request.result()


def test_read_only_refuses_every_set(community, broker, printer):
    community.bridge(broker.port, "store.read_only=true")

    assert "read-only" in community.set("voron.rods.done=1")
    assert community.get("voron.rods.used") == 37.5


def test_only_allowed_addresses_are_served(community, broker, printer):
    bridge = community.bridge(broker.port, "store.allow=192.0.2.7")

    assert community.mk("get", "upkeep.voron.rods.used").returncode != 0
    bridge.wait_for("127.0.0.1 may not connect")


def mkd(community, port, text, *arguments, **env):
    """Start the bridge like any other daemon, with *text* in its settings."""
    file = community.folder / "bridge.toml"
    file.write_text(f"[broker]\nhost = '127.0.0.1'\nport = {port}\n{text}")
    process = community.start(
        "mkd",
        ["mktl_daemon.cli.mkd", "-m", "mqtt_bridge", "-s", "BridgeDaemon",
         "upkeep", "mqtt", "-a", str(file), *arguments],
        **env,
    )  # fmt: skip
    process.wait_for("values at")
    return process


@pytest.mark.parametrize(
    ("allow", "arguments", "served"),
    [
        ("192.0.2.7", [], False),
        ("127.0.0.1", [], True),
        ("192.0.2.7", ["--allow", "127.0.0.1"], True),
    ],
)
def test_mkd_serves_the_addresses_of_its_arguments_before_those_of_the_settings(
    community, broker, printer, allow, arguments, served
):
    """Other addresses do not get published values either."""
    process = mkd(community, broker.port, f"[store]\nallow = ['{allow}']", *arguments)
    with zmq.Context() as context, context.socket(zmq.SUB) as values:
        values.connect(re.sub(r".*values at (\d+).*", r"tcp://127.0.0.1:\1",
                              process.log.splitlines()[-1]))  # fmt: skip
        values.subscribe(b"")

        def published():
            printer.change(limits=(m.limit(used=next(used)),))
            return values.poll(100)

        used = itertools.count(1.0)
        if served:
            until(published, "a value")
        else:
            process.wait_for("127.0.0.1 may not connect")
            assert not any(published() for _ in range(5))
        values.close(linger=0)

    done = community.mk("get", "upkeep.voron.rods.done_count")
    assert (done.returncode == 0) == served, done


def test_mkd_uses_interface_and_override_of_the_settings(community, broker, printer):
    """So a bridge that had the printers and has gone is forgotten."""
    community.bridge(broker.port, "store.alias=left").kill()
    process = mkd(
        community, broker.port, "[store]\noverride = true\ninterface = '127.0.0.2'\n"
    )

    process.wait_for("bound to 127.0.0.2")
    assert community.get("voron.rods.used") == 37.5


def test_store_and_alias_of_mkd_replace_those_of_the_settings(
    community, broker, printer
):
    """The file of sent messages has the name of the daemon."""
    text = """
        [store]
        name = "other"
        alias = "left"
        [push]
        rule = [{to = "json://127.0.0.1:9"}]
    """
    mkd(community, broker.port, text, STATE_DIRECTORY=str(community.folder))

    assert (community.folder / "push-upkeep-mqtt.db").exists()


def test_four_bridges_share_a_store_and_pass_printers_to_two(community, broker):
    slugs = [f"p{number}" for number in range(8)]
    printers = [ScriptedPrinter(broker.port, slug).__enter__() for slug in slugs]
    try:
        bridges = [
            community.bridge(
                broker.port, f"store.alias=part{index}", "store.share.of=4",
                f"store.share.index={index}", name=f"part{index}",
            )
            for index in range(4)
        ]  # fmt: skip
        used = {f"{slug}.rods.used" for slug in slugs}
        until(lambda: used <= community.listed(), "all printers")
        assert community.get(*(f"{slug}.rods.used" for slug in slugs)) == [37.5] * 8
        parts = {sharding.index(slug, 4) for slug in slugs}
        assert len(parts) > 1, "several bridges have printers"

        moved = next(slug for slug in slugs if sharding.index(slug, 4) > 1)
        stays = next(slug for slug in slugs if sharding.index(slug, 2) == 0)
        watched = [f"upkeep.{slug}.rods.threshold" for slug in (moved, stays)]
        watch = community.start("watch", ["mktl_daemon.cli.mk", "watch", *watched])
        for each in watched:
            watch.wait_for(each.removeprefix("upkeep."))

        # Two bridges now share what four had.
        for bridge in bridges:
            bridge.stop()
        for index in range(2):
            community.bridge(
                broker.port, f"store.alias=part{index}", "store.share.of=2",
                f"store.share.index={index}", "store.override=true",
                name=f"half{index}",
            )  # fmt: skip
        until(lambda: used <= community.listed(), "all printers after the move")
        assert community.set(f"{moved}.rods.threshold=123") == ""
        assert community.get(f"{moved}.rods.threshold") == 123.0
        watch.wait_for("123", seconds=120)
        assert community.set(f"{stays}.rods.threshold=124") == ""
        watch.wait_for("124")
    finally:
        for each in printers:
            each.leave()


@pytest.mark.logs_errors
def test_a_printer_is_never_mirrored_by_two_bridges(community, broker, printer):
    """This is so whatever names the second has.

    After the first has left, the second may.
    """
    one = community.bridge(broker.port, "store.alias=one", name="one")
    other = community.bridge(broker.port, "store.alias=two", name="two", wait=False)
    other.wait_for("is that of 'one', which is running")
    other.wait_for("trying again")
    other.stop()

    other = community.bridge(
        broker.port, "store.alias=two", "store.override=true", name="over", wait=False
    )
    other.wait_for("is that of 'one', which is running")
    other.wait_for("trying again")
    assert community.get("voron.rods.used") == 37.5

    one.stop()
    other.wait_for("on the air")
    printer.change(limits=(m.limit(used=40.0),))
    until(lambda: community.get("voron.rods.used") == 40.0, "its own value")
