"""A client in this process, its daemon in another: reading, setting, subscribing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import mktl_daemon as mktl
from mktl_daemon.net import dealer
from tests.mktl_daemon.unit.conftest import DEADLINE, forget

ITEMS = {
    "number": {"type": "numeric", "initial": 1, "persist": True},
    "angle": {
        "type": "numeric",
        "format": "%2d:%02d:%04.1f",
        "units": {"": "radians", "formatted": "degrees"},
        "initial": 0.5,
    },
    "noyes": {"type": "boolean", "enumerators": {"0": "No", "1": "Yes"}},
    "fixed": {"type": "numeric", "settable": False, "initial": 7},
    "image": {"type": "bulk"},
    "text": {"type": "string"},
}


@pytest.fixture
def pie(own_kitchen, monkeypatch):
    """A registry and the daemon of a store. This process is their client."""
    own_kitchen.enter("client", monkeypatch)
    forget()
    own_kitchen.registry()
    yield own_kitchen.daemon("pie", "fruit", ITEMS)
    forget()


def test_a_store_is_a_mapping_that_only_its_own_code_can_change(pie):
    store = mktl.get("pie")
    assert store is mktl.get("PIE")
    assert store["NUMBER"] is mktl.get("pie.number") is mktl.get("pie", "Number")
    assert "Angle" in store
    assert store.has_key("ANGLE")
    assert store["number"] in store
    assert len(store) == len(list(store)) == len(store.keys()) == len(store.values())
    with pytest.raises(KeyError, match="nothing"):
        store["nothing"]
    for forbidden in (
        lambda: store.__setitem__("number", 1),
        lambda: store.__delitem__("number"),
        store.clear,
        store.copy,
        store.update,
    ):
        with pytest.raises(NotImplementedError):
            forbidden()


def test_a_value_can_be_read_and_set_in_all_its_forms(pie):
    store = mktl.get("pie")
    number, angle, noyes = store["number"], store["angle"], store["noyes"]
    number.set(44)
    assert (number.value, number.get(), number == 44) == (44, 44, True)
    number += 1
    assert mktl.get("pie.number").get(refresh=True) == 45

    noyes.formatted = "yES"
    assert noyes
    assert noyes.formatted == "Yes"
    with pytest.raises(KeyError):
        noyes.formatted = "maybe"

    angle.formatted = "1:2:3"
    assert angle.get(formatted=True) == str(angle) == " 1:02:03.0"
    assert angle.get(quantity=True).units == "radian"
    assert angle.get(formatted=True, quantity=True).units == "degree"
    angle.quantity = angle.quantity * 2
    assert angle.formatted == " 2:04:06.0"
    angle.set("0:30:00", formatted=True)
    assert angle.quantity.to("degree").magnitude == pytest.approx(0.5)


def test_a_refusal_is_a_runtime_error_with_the_daemons_text(pie):
    with pytest.raises(RuntimeError, match=r"fixed.*read-only") as caught:
        mktl.get("pie.fixed").set(1)
    assert caught.value.type == "TypeError"
    with pytest.raises(RuntimeError, match="ValueError"):
        mktl.get("pie.number").set("many")


def test_arrays_arrive_as_arrays(pie):
    """They may have any shape and type, and may follow any other value."""
    image = mktl.get("pie.image")
    for array in (np.eye(3), np.arange(4, dtype="int16"), np.zeros((2, 0))):
        image.set(array)
        read = image.get(refresh=True)
        assert read.dtype == array.dtype
        assert np.array_equal(read, array)


def test_a_callback_has_run_when_set_returns(pie):
    number = mktl.get("pie.number")
    calls = []

    def on_value(item, value, when):
        calls.append((item, value, when))

    number.register(on_value)
    for value in range(100, 110):
        number.value = value
    assert [value for _, value, _ in calls] == list(range(100, 110))
    assert all(item is number and when > 0 for item, _, when in calls)


def test_a_value_from_a_reply_calls_no_callback_again_when_it_is_published(
    pie, monkeypatch
):
    calls, late = [], []

    def on_value(item, value, when):
        calls.append(value)

    publish = mktl.Item.receive_publication
    monkeypatch.setattr(
        mktl.Item, "receive_publication", lambda item, each: late.append(each)
    )
    number = mktl.get("pie.number")
    number.register(on_value)
    for value in (100, 101, 102):
        number.value = value
    assert len(late) == len(calls) == 3
    for publication in late:
        assert not publish(number, publication), "the publication is no change"
        assert number.value == 102
    assert calls == [100, 101, 102]


def test_a_published_value_calls_no_callback_again_when_it_is_read(pie):
    number, calls = mktl.get("pie.number"), []

    def on_value(item, value, when):
        calls.append(value)

    number.register(on_value)
    number.value = 100
    for _ in range(3):
        assert number.get(refresh=True) == 100
    number.value = 101
    assert calls == [100, 101]


def test_requests_to_a_closed_client_fail_with_nobody_is_there(pie):
    """This is so for any number of requests at any time."""
    closed = dealer.Client("127.0.0.1", pie.rep)
    closed.close()
    for pending in [closed.ask(b"GET", "pie.number") for _ in range(3)]:
        with pytest.raises(TimeoutError, match="nobody"):
            pending.wait(DEADLINE)


def test_a_set_does_not_have_to_be_waited_for(pie):
    """It does not have to be answered either.

    The order of one thread's requests is kept.
    """
    number = mktl.get("pie.number")
    for value in range(200):
        if value % 3 == 0:
            pending = number.set(value, wait=False)
        elif value % 3 == 1:
            assert number.set(value, reply=False).wait(DEADLINE) is None
        else:
            number.set(value)
            assert number.get(refresh=True) == value
    assert pending.wait(DEADLINE).payload.value is True
    assert pending.poll()
    assert pending.wait_ack(DEADLINE)


LAST_WORDS = """
import mktl_daemon as mktl
mktl.get("pie.number").set(77, {how}=False)
"""


@pytest.mark.parametrize("how", ["wait", "reply"])
def test_a_programs_last_set_arrives(pie, own_kitchen, how, until):
    """The program ends at once and does not wait for the reply."""
    subprocess.run(
        [sys.executable, "-c", LAST_WORDS.format(how=how)],
        env=own_kitchen.environment("client"),
        timeout=DEADLINE,
        check=True,
    )
    number = mktl.get("pie.number")
    until(lambda: number.get(refresh=True) == 77, "the SET arrives")


def test_a_set_without_waiting_is_acknowledged_or_raises(pie, own_kitchen):
    """Without an error the caller may rely on it that the daemon has the value."""
    number = mktl.get("pie.number")
    assert number.set(5, wait=False).acked
    own_kitchen.stop(pie)
    with pytest.raises(TimeoutError, match="nobody"):
        number.set(6, wait=False)


def test_many_threads_share_a_client(pie):
    failures = []

    def work(number):
        item = mktl.get("pie.text")
        try:
            for _ in range(50):
                item.set(str(number))
                item.get(refresh=True)
        except Exception as error:  # noqa: BLE001 - it is reported below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert failures == []


@pytest.mark.soak
def test_a_client_with_many_subscriptions_has_few_threads(pie, own_kitchen):
    items = {f"item{n}": {"type": "numeric", "initial": n} for n in range(2000)}
    own_kitchen.daemon("cake", "layers", items)
    store = mktl.get("cake")
    before = threading.active_count()
    assert sum(item.value for item in store if item.key.startswith("item")) == sum(
        range(2000)
    )
    assert all(item.subscribed for item in store)
    # The callbacks' pool and the loop have the same number of threads for any number of
    # items.
    assert threading.active_count() <= before + 24


def test_an_unknown_store_is_a_runtime_error(pie):
    with pytest.raises(RuntimeError, match="nowhere"):
        mktl.get("nowhere")
    with pytest.raises(ValueError, match="name"):
        mktl.get("")


def test_discover_fills_the_cache(pie):
    mktl.discover("127.0.0.1")
    assert "number" in mktl.config.get("pie")
    assert "pie" in mktl.config.get_hashes()


def test_a_client_without_a_registry_uses_its_cache(pie, own_kitchen):
    mktl.get("pie.number")
    for running in list(own_kitchen.running):
        if running is not pie:
            own_kitchen.stop(running, signal.SIGKILL)
    forget()
    assert mktl.get("pie.fixed").value == 7


def test_a_client_notices_that_items_have_changed(pie, own_kitchen):
    """An unknown key is searched for again before it is refused."""
    assert "sugar" not in mktl.get("pie")
    own_kitchen.stop(pie)
    own_kitchen.daemon("pie", "fruit", {**ITEMS, "sugar": {"initial": "much"}})
    assert mktl.get("pie.sugar").value == "much"


def test_a_subscription_outlives_its_daemon(pie, own_kitchen, box, until):
    """The daemon is killed and started again, at the same ports or at others."""
    number = mktl.get("pie.number")
    number.register(lambda item, value, when: box.put(value))
    number.set(5)
    box.wait(1)
    own_kitchen.stop(pie, signal.SIGKILL)
    own_kitchen.daemon("pie", "fruit", ITEMS)

    def tried():
        try:
            number.set(number.get(refresh=True) + 1)
        except (TimeoutError, mktl.RemoteError):  # nobody is there, or another daemon
            return False
        return number.value in box.things

    until(tried, "a value of the new daemon")


def test_a_request_in_flight_fails_when_its_daemon_is_killed(own_kitchen, pie):
    """It fails at once, not after the timeout. The error names the daemon."""
    oven = own_kitchen.daemon("bread")
    mktl.get("pie")
    client = dealer.client("127.0.0.1", oven.rep)
    pending = client.ask(b"SET", "bread.gate", b'{"value":"wait"}')
    assert pending.wait_ack(DEADLINE)
    failures = []

    def wait():
        try:
            client.call(b"SET", "bread.gate", b'{"value":"wait"}')
        except TimeoutError as error:
            failures.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    own_kitchen.stop(oven, signal.SIGKILL)
    with pytest.raises(mktl.NoReplyError, match=f"127.0.0.1:{oven.rep}"):
        pending.wait(DEADLINE)
    waiting.join(DEADLINE)
    assert len(failures) == 1
    assert "bread.gate" in failures[0]


def test_a_request_to_a_daemon_that_is_gone_is_refused(pie, own_kitchen):
    """It does not reach the daemon when it is back."""
    number = mktl.get("pie.number")
    number.set(5)
    own_kitchen.stop(pie)
    for ask in (
        lambda: number.set(6),
        lambda: number.get(refresh=True),
        lambda: number.set(7, wait=False).wait(DEADLINE),
    ):
        with pytest.raises(mktl.NoAckError, match=f"127.0.0.1:{pie.rep}"):
            ask()
    own_kitchen.daemon("pie", "fruit", ITEMS)
    forget()
    assert mktl.get("pie.number").value == 5


@pytest.mark.soak
def test_persistent_values_are_complete_whenever_the_daemon_is_killed(
    pie, own_kitchen, until
):
    """It is killed during many SETs, five times."""

    def kept():
        files = list(own_kitchen.folder.glob("pie.fruit/daemon/persist/*/number"))
        return json.loads(files[0].read_bytes())["value"] if files else 0

    for base in range(1000, 6000, 1000):
        stop = threading.Event()

        def set_on(port=pie.rep, stop=stop, base=base):
            client = dealer.Client("127.0.0.1", port)
            for value in range(base, base + 1000):
                client.ask(b"SET", "pie.number", b'{"value":%d}' % value)
                if stop.wait(0.001):
                    break
            client.close()

        setting = threading.Thread(target=set_on)
        setting.start()
        until(lambda base=base: kept() >= base, "a value of this round is on disk")
        own_kitchen.stop(pie, signal.SIGKILL)
        last = kept()
        stop.set()
        setting.join(DEADLINE)
        pie = own_kitchen.daemon("pie", "fruit", ITEMS)
        value = dealer.client("127.0.0.1", pie.rep).get("pie.number")
        assert value == last >= base


def test_a_value_in_the_reply_is_there_when_set_returns(puppet, box):
    """This is before its publication. An earlier publication comes too late."""
    number = mktl.get("puppet.number")
    assert puppet.pub.recv() == b"\1puppet.number."
    for value, when in ((20, 2.0), (30, 3.0)):
        puppet.current = {"value": value, "time": when}
        puppet.reply = {"value": True, "now": puppet.current}
        number.set(value / 10)
        assert number.value == value
        assert number.timestamp == when
    number.register(lambda item, value, when: box.put((value, item.value)))
    puppet.publish(20, 2.0)
    assert box.wait(1) == [(20, 30)]
    puppet.publish(30, 3.0)
    assert box.wait(2)[1:] == [(30, 30)]
    puppet.publish(25, 2.5)  # Its publisher chose this time.
    assert box.wait(3)[2:] == [(25, 25)]


def test_a_value_that_is_older_than_the_last_publication_is_ignored(puppet, until):
    number = mktl.get("puppet.number")
    assert puppet.pub.recv() == b"\1puppet.number."
    client = dealer.client("127.0.0.1", puppet.rep_port)
    ask = client.call

    def published_meanwhile(*request):
        answer = ask(*request)
        puppet.current = {"value": 4, "time": 4.0}
        puppet.publish(4, 4.0)
        until(lambda: number.timestamp == 4.0, "what was published")
        return answer

    client.call = published_meanwhile
    puppet.reply = {"value": True, "now": {"value": 3, "time": 3.0}}
    number.set(3)
    assert (number.value, number.timestamp) == (4, 4.0)


@pytest.mark.parametrize("now", [None, 3, {}, {"value": 3}, {"time": 3.0}, [3]])
def test_a_reply_without_a_value_is_no_error(puppet, now):
    number = mktl.get("puppet.number")
    puppet.reply = {"value": True, "now": now}
    puppet.current = {"value": 3, "time": 3.0}
    number.set(3)
    assert number.value == 3


def test_a_value_set_without_waiting_can_be_read_after_wait(own_kitchen, monkeypatch):
    """300 times, with numbers and lists in turn, and with a published value."""
    own_kitchen.enter("client", monkeypatch)
    own_kitchen.registry()
    own_kitchen.daemon("pie", "fruit", {"any": {}})
    item = mktl.get("pie.any")
    stale = []
    for number in range(300):
        value = [number, number] if number % 2 else number
        item.set(value, wait=False).wait()
        if item.value != value:
            stale.append(number)
    assert stale == []
