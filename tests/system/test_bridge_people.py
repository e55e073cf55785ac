"""Phones, mail, buttons and metrics, with real servers and a real broker."""

from __future__ import annotations

import contextlib
import email
import html
import json
import re
import socketserver
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mqtt_bridge import metrics
from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.contract import Command, Event
from mqtt_bridge.fleet.records import PrinterEvent
from mqtt_bridge.http_server import HttpServer, Routes
from mqtt_bridge.metrics import Exporter
from mqtt_bridge.push import rules, sender
from mqtt_bridge.push.link_server import LinkServer
from mqtt_bridge.push.messages import PushMessage
from mqtt_bridge.push.sender import PushSender
from mqtt_bridge.settings import Broker, Http, Push, Rule, Settings, SettingsError, load
from tests.fakes.mosquitto import Mosquitto, free_port
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.processes import Community
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Items
from tests.waiting import until

pytestmark = [
    pytest.mark.system,
    # Apprise loads all its services, and one of them imports an old module.
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]


class Ntfy:
    """Takes messages as ntfy does, or refuses them with `status`."""

    def __init__(self):
        self.messages = []
        self.refused = 0
        self.requests = 0
        self.status = 200
        self.gate = threading.Event()  # While it is cleared, no request is answered.
        self.gate.set()
        ntfy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ntfy.requests += 1
                ntfy.gate.wait(20)
                if ntfy.status == 200:
                    ntfy.messages.append((json.loads(body), dict(self.headers)))
                else:
                    ntfy.refused += 1
                self.send_response(ntfy.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"ntfy://127.0.0.1:{self._server.server_address[1]}/printers"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Smtp:
    """Takes mail with as little of the protocol as possible."""

    def __init__(self):
        self.mails = []
        smtp = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 here\r\n")
                while line := self.rfile.readline():
                    word = line.split()[0].upper() if line.split() else b""
                    if word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        mail = b""
                        while (text := self.rfile.readline()) != b".\r\n":
                            mail += text
                        smtp.mails.append(mail.decode())
                    self.wfile.write(
                        b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n"
                    )
                    if word == b"QUIT":
                        return

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
        port = self._server.server_address[1]
        self.address = (
            f"mailto://127.0.0.1:{port}?from=upkeep@example.org&to=anna@example.org"
            "&mode=insecure"
        )

    __enter__ = Ntfy.__enter__
    __exit__ = Ntfy.__exit__


class People:
    """A bridge with everything that sends messages to people."""

    def __init__(self, port, *rules, state="", url="http://127.0.0.1:1", **push):
        self.settings = Settings(
            broker=Broker(host="127.0.0.1", port=port),
            push=Push(rules=rules, state=str(state), **push),
            http=Http(listen=("127.0.0.1", 0), url=url),
        )
        self.items = Items()

    def __enter__(self):
        self.bridge = make_bridge(self.settings, self.items)
        self.pusher = PushSender(self.settings)
        self.bridge.events.event_listeners.append(self.pusher.take)
        self.bridge.events.standing_listeners.append(self.pusher.stand)
        self.bridge.start()
        assert self.bridge.ready.wait(20)
        self.pusher.start()
        return self

    def __exit__(self, *error):
        self.bridge.close()
        self.pusher.close()


@pytest.fixture
def printer(broker):
    with ScriptedPrinter(broker.port) as made:
        made.say_everything()
        yield made


@pytest.fixture
def ntfy():
    with Ntfy() as made:
        yield made


def test_an_event_is_sent_to_a_phone_and_a_mailbox(broker, printer, ntfy):
    with Smtp() as smtp:
        rule = Rule(to=(ntfy.address, smtp.address))
        with People(broker.port, rule):
            printer.happen("due", message="One drop.", guide="http://guide.example")
            until(lambda: ntfy.messages and smtp.mails, "both messages")
        [(message, _)] = ntfy.messages
        assert message["title"] == "Voron: Oil the rods"
        assert "One drop." in message["message"]
        assert "http://guide.example" in message["message"]
        assert "Oil the rods" in smtp.mails[0]


def test_a_message_that_was_sent_is_not_sent_again_after_a_restart(
    broker, printer, ntfy, tmp_path
):
    rule = Rule(to=(ntfy.address,))
    state = Path(load(None, {"STATE_DIRECTORY": f"{tmp_path}/state"}).push.state)
    with People(broker.port, rule, state=state):
        printer.happen("due")
        until(lambda: ntfy.messages, "the first")
    assert state.stat().st_mode & 0o077 == 0, "the file has a secret"
    printer.seq -= 1
    with People(broker.port, rule, state=state):
        printer.happen("due")  # the same event again
        printer.happen("due")
        until(lambda: len(ntfy.messages) > 1, "the second")
    assert len(ntfy.messages) == 2


def test_a_task_that_became_due_without_the_bridge_is_sent_later(
    broker, printer, ntfy, tmp_path
):
    rule, state = Rule(to=(ntfy.address,)), tmp_path / "push.json"
    with People(broker.port, rule, state=state):
        pass
    printer.change(status="due")
    printer.say("nothing", b"", retain=False)
    with People(broker.port, rule, state=state):
        until(lambda: ntfy.messages, "the message")
    with People(broker.port, rule, state=state):
        pass
    assert len(ntfy.messages) == 1


def test_a_task_that_became_due_without_the_broker_is_sent_later(tmp_path, ntfy):
    server = Mosquitto(tmp_path).start()
    rule = Rule(to=(ntfy.address,))
    with ScriptedPrinter(server.port) as printer, People(server.port, rule) as people:
        until(lambda: people.items.value("voron.online"), "the printer")
        server.kill()
        until(lambda: people.items.value("voron.online") == 0, "the loss")
        state = printer.states["rods"]._replace(seq=99, status="due")
        printer.states["rods"] = state
        again = Mosquitto(tmp_path, port=server.port).start()
        until(lambda: ntfy.messages, "the message")
        again.kill()
    assert len(ntfy.messages) == 1


def test_a_printer_that_moves_to_another_bridge_is_not_reported_again(
    broker, printer, ntfy, tmp_path
):
    rule, state = Rule(to=(ntfy.address,)), tmp_path / "other.json"
    printer.change(status="due")
    with People(broker.port, rule, state=state):
        printer.happen("done")
        printer.happen("due")
        until(lambda: ntfy.messages, "what happens now")
    assert len(ntfy.messages) == 1


def test_a_slow_address_does_not_delay_the_others(broker, printer, ntfy):
    with Ntfy() as slow:
        slow.gate.clear()
        with People(broker.port, Rule(to=(slow.address, ntfy.address))):
            printer.happen("due")
            printer.happen("due")
            until(lambda: len(ntfy.messages) == 2, "both messages at the other address")
            assert slow.messages == []
            slow.gate.set()
            until(lambda: len(slow.messages) == 2, "both messages")


def test_an_event_during_a_sending_is_kept_over_a_stop(broker, printer, ntfy, tmp_path):
    rule, state = Rule(to=(ntfy.address,), events=("due", "done")), tmp_path / "s"
    ntfy.gate.clear()
    with People(broker.port, rule, state=state) as people:
        events = []
        people.bridge.events.event_listeners.append(events.append)
        printer.happen("due")
        until(lambda: ntfy.requests, "the one that hangs")
        printer.happen("done")
        until(lambda: len(events) == 2, "it arrived")
        people.bridge.end()
        begin = time.monotonic()
        people.pusher.close()
        assert time.monotonic() - begin < 1.8
    ntfy.gate.set()
    until(lambda: ntfy.messages, "the first")
    with People(broker.port, rule, state=state):
        texts = lambda: [each["message"] for each, _ in ntfy.messages]  # noqa: E731
        until(lambda: any("was done" in text for text in texts()), "the other")


def test_the_number_of_events_that_wait_for_the_queue_is_limited(
    ntfy, monkeypatch, caplog
):
    """Events of more and more printers arrive faster than they are queued."""
    monkeypatch.setattr(sender, "MOST_EVENTS", 3)
    pusher = PushSender(Settings(push=Push(rules=(Rule(to=(ntfy.address,)),))))
    for number in range(5):
        event = Event(1, 1000.0, "rods", "due", "Oil")
        pusher.take(PrinterEvent(f"p{number}", "", "", event))
    pusher.start()
    until(lambda: pusher.sent == 3, "those that had room")
    pusher.close()
    assert len(ntfy.messages) == 3
    assert caplog.text.count("messages wait, so some are dropped") == 1


def test_the_text_of_a_message_may_be_empty(broker, printer, ntfy):
    rule = Rule(to=(ntfy.address,), text="")
    with People(broker.port, rule):
        printer.happen("due")
        until(lambda: ntfy.messages, "the message")
    assert ntfy.messages[0][0]["title"] == "Voron: Oil the rods"


def test_damaged_state_files_are_replaced(tmp_path):
    state = tmp_path / "s"
    for text in ('{"waiting": 5, "told": 5, "used": 5}', "[]", "{", "\0" * 9000):
        state.write_text(text)
        push = Push(rules=(Rule(to=("ntfy://x",)),), state=str(state))
        pusher = PushSender(Settings(push=push))
        assert len(pusher.secret) == 32
        pusher.close()
        for each in tmp_path.iterdir():
            each.unlink()


def test_a_message_is_sent_again_until_it_is_accepted(
    broker, printer, ntfy, monkeypatch, tmp_path, caplog
):
    monkeypatch.setattr(rules, "RETRY", (0.1,))
    ntfy.status = 503
    with People(broker.port, Rule(to=(ntfy.address,)), state=tmp_path / "s"):
        printer.happen("due")
        until(lambda: ntfy.refused > 2, "some attempts")
        ntfy.status = 200
        until(lambda: ntfy.messages, "the message")
    assert len(ntfy.messages) == 1
    assert ntfy.address not in caplog.text, "an address may have a token"


def press(link, method):
    request = urllib.request.Request(
        link, method=method, data=b"" if method == "POST" else None
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_button_in_a_message_marks_the_task_done_once(
    broker, printer, ntfy, tmp_path
):
    rule = Rule(to=(ntfy.address,), buttons=True)
    with People(broker.port, rule, state=tmp_path / "s", url="URL") as people:
        doors = LinkServer(people.bridge, people.pusher)
        web = HttpServer(("127.0.0.1", 0), Routes(doors.get, doors.post), "doors")
        try:
            printer.happen("due")
            until(lambda: ntfy.messages, "the message")
            actions = ntfy.messages[0][1]["X-Actions"]
            done, later = re.findall(r"URL(/do/\S+?),", actions)
            here = f"http://127.0.0.1:{web.port}"

            assert press(here + done, "GET") == 200
            assert printer.commands == [], "opening a link changes nothing"
            assert press(here + done, "POST") == 200
            assert [each.command for each in printer.commands] == ["done"]
            assert press(here + done, "POST") == 409
            assert press(here + later, "POST") == 409, "the task was done already"
            assert press(here + done[:-2], "POST") == 403
            assert press(here + "/", "GET") == 404
            assert len(printer.commands) == 1
        finally:
            web.close()
    with People(broker.port, rule, state=tmp_path / "s", url="URL") as people:
        doors = LinkServer(people.bridge, people.pusher)
        assert doors.post(done)[0] == 409, "the link was used before the restart"


def test_a_button_without_an_answer_is_not_pressed_twice(broker, printer, tmp_path):
    rule = Rule(to=("ntfy://127.0.0.1:1/x",), buttons=True)
    with People(broker.port, rule, state=tmp_path / "s", url="") as people:
        people.bridge.commands.transactions.answer_within = 0.2
        printer.answer = lambda command, task: None
        doors = LinkServer(people.bridge, people.pusher)
        note = PushMessage(0, 0, "", "", printer="voron", task="rods")
        link = people.pusher.link(note, "done")

        status, _, page = doors.post(link)
        assert (status, b"not known" in page) == (504, True)
        assert doors.post(link)[0] == 409


def test_no_output_contains_a_token_a_topic_or_a_signed_link(
    broker, printer, ntfy, tmp_path
):
    """This is so when a service refuses a message, when it accepts one, and with -v."""
    port = free_port()
    address = ntfy.address.replace("//", "//tk_SECRETTOKEN@").replace(
        "printers", "SECRET"
    )
    (tmp_path / "bridge.toml").write_text(f"""
        [broker]
        host = "127.0.0.1"
        port = {broker.port}
        [http]
        listen = {port}
        url = "http://127.0.0.1:{port}"
        [push]
        state = "{tmp_path}/state"
        [[push.rule]]
        to = ["{address}"]
        events = ["due", "soon"]
        buttons = true
    """)
    with Community(tmp_path) as community:
        bridge = community.start(
            "bridge", ["mqtt_bridge", "-v", "--config", str(tmp_path / "bridge.toml")]
        )
        bridge.wait_for("on the air")
        ntfy.status = 403
        printer.happen("due")
        bridge.wait_for("took no message")
        ntfy.status = 200
        printer.happen("soon")
        until(lambda: ntfy.messages, "the second")
        message, headers = ntfy.messages[0]
        assert message["topic"] == "SECRET"
        assert "SECRETTOKEN" in headers["Authorization"]
        links = re.findall(r"http://127\S+?/do/[^\s,]+", headers["X-Actions"])
        assert [press(link, "POST") for link in links] == [200, 409]
        assert press(links[0] + "x", "GET") == 403
        bridge.stop()
    assert "http: POST" in bridge.log
    assert "SECRET" not in bridge.log
    assert not [link for link in links if link.partition("/do/")[2] in bridge.log]


def test_a_link_for_a_task_that_was_done_already_is_refused(broker, printer, tmp_path):
    """Two people got the message, and the second one's link would count it twice."""
    rule = Rule(to=("ntfy://127.0.0.1:1/x",), buttons=True)
    with People(broker.port, rule, state=tmp_path / "s", url="") as people:
        doors = LinkServer(people.bridge, people.pusher)
        notes = [
            PushMessage(0, 0, "", "", printer="voron", task="rods", done_count=count)
            for count in (0, 0, 1)
        ]
        first, second, newer = (people.pusher.link(note, "done") for note in notes)
        assert doors.post(first)[0] == 200
        status, _, page = doors.post(second)
        assert (status, b"done already by push" in page) == (409, True)
        assert len(printer.commands) == 1
        assert doors.post(newer)[0] == 200
        assert len(printer.commands) == 2


def test_a_printers_text_is_no_html_in_a_mail(broker, printer):
    """A label `Oil <rods>` once broke messages, and a printer could add tags."""
    with Smtp() as smtp, People(broker.port, Rule(to=(smtp.address + "&format=html",))):
        printer.happen("due", message="Oil <b>rods</b> & <img src=http://evil/x>")
        until(lambda: smtp.mails, "the mail")
    parts = list(email.message_from_string(smtp.mails[0]).walk())
    [page] = [
        part.get_payload(decode=True).decode()
        for part in parts
        if part.get_content_type() == "text/html"
    ]
    assert "&lt;b&gt;rods&lt;/b&gt;" in page
    assert "<img" not in page


@pytest.mark.parametrize("form", ["", "?format=html", "?format=text"])
def test_a_printers_text_reaches_telegram_unchanged(
    broker, printer, ntfy, monkeypatch, form
):
    """Raw HTML broke the message there, and a printer could add links."""
    telegram = pytest.importorskip("apprise.plugins.telegram").NotifyTelegram
    here = ntfy.address.replace("ntfy://", "http://")
    monkeypatch.setattr(telegram, "notify_url", f"{here}/bot")
    address = f"tgram://123456789:abcdefg_hijklmnop/12315544/{form}"
    text = "Oil <rods> & <a href='http://evil/x'>press</a>"
    with People(broker.port, Rule(to=(address,))):
        printer.happen("due", message=text)
        until(lambda: ntfy.messages, "the message")
    [(message, _)] = ntfy.messages
    assert message.get("parse_mode", "HTML") == "HTML"
    assert "<a " not in message["text"]
    shown = re.sub(r"</?[bi]>", "", message["text"])
    assert html.unescape(shown.replace("&nbsp;", " ")).count(text) == 1


def test_a_printer_that_cannot_be_shown_does_not_hide_the_metrics_of_others(
    broker, printer, caplog
):
    with ScriptedPrinter(broker.port, "ender"), People(broker.port) as people:
        until(lambda: len(people.bridge.fleet.printers) == 2, "both printers")
        record = people.bridge.fleet.printers["ender"].tasks["rods"]
        record.values = ("spoiled",) * len(record.values)
        with scraping(people) as scraped:
            samples = scraped()
            scraped()
    assert 'upkeep_task_used{printer="voron",task="rods",unit="hour"}' in samples
    assert "ender" not in "".join(samples)
    assert samples["upkeep_scrape_failures_total"] == 1.0
    assert caplog.text.count("printer ender is left out") == 1


@contextlib.contextmanager
def scraping(people):
    """Yield a function that reads the metrics: series with their values."""
    web = HttpServer(
        ("127.0.0.1", 0), Exporter(people.bridge, people.pusher).routes, "metrics"
    )

    def scraped():
        address = f"http://127.0.0.1:{web.port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        series = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in series}

    try:
        yield scraped
    finally:
        web.close()


def test_metrics_show_the_fleet(broker, printer):
    with People(broker.port) as people, scraping(people) as scraped:
        task = '{printer="voron",task="rods"}'
        labels = '{printer="voron",task="rods",unit="hour"}'
        samples = scraped()
        expected = {
            f"upkeep_task_used{labels}": 37.5,
            f"upkeep_task_remaining{labels}": 112.5,
            f"upkeep_task_threshold{labels}": 150.0,
            f"upkeep_task_ratio{task}": 0.25,
            f"upkeep_task_done_total{task}": 0.0,
            'upkeep_task_info{printer="voron",task="rods",label="Oil the rods"}': 1.0,
            'upkeep_task_status{printer="voron",task="rods",status="ok"}': 1.0,
            'upkeep_task_status{printer="voron",task="rods",status="due"}': 0.0,
            'upkeep_commands_total{outcome="ok"}': 0.0,
            'upkeep_commands_total{outcome="TimeoutError"}': 0.0,
            "upkeep_printers": 1.0,
            "upkeep_printers_incomplete": 0.0,
            "upkeep_commands_open": 0.0,
            "upkeep_waiting_bytes": 0.0,
            "upkeep_registry_accepted": 1.0,
            "upkeep_push_waiting": 0.0,
            'upkeep_task_last_seen_seconds{printer="voron",task="rods"}': 1000.0,
            'upkeep_printer_online{printer="voron"}': 1.0,
            'upkeep_printer_last_seen_seconds{printer="voron"}': 1000.0,
            'upkeep_meter{printer="voron",meter="print_time",unit="h"}': 12.5,
            "upkeep_broker_connected": 1.0,
            "upkeep_messages_refused_total": 0.0,
            "upkeep_connects_total": 1.0,
            "upkeep_push_sent_total": 0.0,
        }
        assert expected.items() <= samples.items(), samples
        assert 0 < samples["upkeep_delay_seconds"] < 20
        assert samples["upkeep_messages_total"] >= len(m.printer())
        assert samples["upkeep_messages_superseded_total"] >= 0.0

        problem = 'upkeep_task_problem{printer="voron",task="rods"}'
        assert (
            samples[problem]
            == samples['upkeep_printer_problem{printer="voron"}']
            == 0.0
        )

        printer.change(
            status="due", limits=(m.limit(used=151.0),), time=2000.0, problem="No."
        )
        due = 'upkeep_task_status{printer="voron",task="rods",status="due"}'
        until(lambda: scraped()[due], "it is due")
        samples = scraped()
        assert samples[problem] == 1.0
        assert samples[f"upkeep_task_remaining{labels}"] == -1.0
        assert samples['upkeep_printer_last_seen_seconds{printer="voron"}'] == 2000.0

        for rest in m.printer():
            printer.client.publish(rest, b"", qos=1, retain=True)
        until(lambda: "voron" not in "".join(scraped()), "its series disappear")


def test_metrics_count_commands_and_connections(broker, printer, tmp_path):
    with People(broker.port) as people, scraping(people) as scraped:
        people.bridge.ask(
            "voron", "rods", lambda _, ident: Command("done", ident)
        ).result(10)
        assert scraped()['upkeep_commands_total{outcome="ok"}'] == 1.0

        broker.kill()
        until(lambda: scraped()["upkeep_broker_connected"] == 0.0, "the loss")
        assert scraped()['upkeep_printer_online{printer="voron"}'] == 0.0
        again = Mosquitto(tmp_path, port=broker.port).start()
        try:
            until(lambda: scraped()["upkeep_connects_total"] == 2.0, "the return")
        finally:
            again.kill()


def test_the_last_seen_time_of_an_offline_printer_is_not_the_bridges_start(
    broker, printer
):
    """The broker sends its last messages, which are old, and that it is offline."""
    printer.leave()
    with People(broker.port) as people, scraping(people) as scraped:
        samples = scraped()
    assert samples['upkeep_printer_online{printer="voron"}'] == 0.0
    assert samples['upkeep_printer_last_seen_seconds{printer="voron"}'] == 1000.0
    assert (
        samples['upkeep_printer_silent_seconds{printer="voron"}'] > time.time() - 2000
    )


def test_a_scrape_reads_only_a_part_of_the_fleet_in_one_turn(
    broker, printer, monkeypatch
):
    slugs = [f"p{number}" for number in range(metrics.PART + 10)]
    for slug in slugs:
        for topic, payload in m.printer(slug).items():
            printer.client.publish(topic, payload, qos=1, retain=True)
    with People(broker.port) as people:
        until(lambda: len(people.bridge.fleet.printers) > len(slugs), "all printers")
        parts = []
        exporter = metrics.Exporter(people.bridge, None, lambda: True)
        part = exporter.part
        monkeypatch.setattr(
            exporter, "part", lambda slugs: parts.append(len(slugs)) or part(slugs)
        )
        text = exporter.text().decode()
    assert parts == [metrics.PART, 11]
    assert text.count("\nupkeep_printer_online{") == len(slugs) + 1


@pytest.mark.parametrize("address", ["nobody://token", "nobody:token", "token"])
def test_an_unknown_address_is_reported_without_its_secret(caplog, address):
    with pytest.raises(SettingsError, match=r"push\.rule\.0\.to") as error:
        PushSender(Settings(push=Push(rules=(Rule(to=(address,)),))))
    assert "token" not in str(error.value) + caplog.text
