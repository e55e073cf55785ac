"""The fleet's page in Chromium, with a real broker and a real bridge."""

from __future__ import annotations

import http.cookiejar
import json
import urllib.error
import urllib.request

import pytest

from mqtt_bridge import contract
from mqtt_bridge.contract import Entry, Result
from tests.fakes.chromium import Tab
from tests.fakes.mosquitto import free_port
from tests.mqtt_bridge import messages as m
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.page.page import (
    DESK,
    PHONE,
    complaints,
    keep_picture,
    needs_axe,
    needs_chromium,
)
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TOKEN = "a-long-word"


class Web:
    """The bridge's web server, as a program uses it."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/"
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self._jar),
        )

    def ask(self, path, body=None, **headers):
        """Return the status and the JSON of an answer."""
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _read(error.read())


def _read(text):
    return json.loads(text) if text.startswith(b"{") else text.decode()


@pytest.fixture
def voron(broker):
    states = (
        m.state(status="due", limits=(m.limit(used=180.0),), message="One drop each."),
        m.state("belts", label="Check the belts", guide="https://example.org/#belts"),
    )
    with ScriptedPrinter(broker.port, "voron", *states) as printer:
        printer.say_everything()
        yield printer


@pytest.fixture
def serve(community, broker, voron):
    """Start the bridge with its page and with more settings as flags."""

    def serve(*flags):
        port = free_port()
        where = f"web.listen=127.0.0.1:{port}"
        community.bridge(broker.port, where, *flags)
        return Web(port)

    return serve


def test_done_on_the_page_reaches_the_printer_and_the_new_state_the_page(serve, voron):
    web = serve("web.open=true")
    command = {"command": "done", "note": "two drops", "by": "anna"}

    status, _ = web.ask(
        "api/command", {"printer": "voron", "task": "rods", "command": command}
    )

    assert status == 200
    command = voron.commands[-1]
    assert (command.command, command.note, command.by) == ("done", "two drops", "anna")
    _, answer = web.ask("api/printers")
    (printer,) = answer["printers"]
    rods = next(task for task in printer["tasks"] if task["task"] == "rods")
    assert rods["done_count"] == 1


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"printer": "voron", "task": "x", "command": {"command": "done"}}, 404, "x"),
        ({"printer": "x", "task": "rods", "command": {"command": "done"}}, 404, "x"),
        (
            {"printer": "voron", "task": "rods", "command": {"command": "melt"}},
            400,
            "one of",
        ),
        ({"printer": "voron", "task": "rods"}, 400, "object"),
    ],
)
def test_a_wrong_command_is_refused_with_a_text(serve, voron, body, status, text):
    web = serve("web.open=true")
    code, answer = web.ask("api/command", body)
    assert (code, text in answer["error"]) == (status, True), answer
    assert voron.commands == []


def test_without_the_token_nothing_is_shown(serve, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    web = serve(f"web.token_file={file}")
    command = {"printer": "voron", "task": "rods", "command": {"command": "done"}}
    for path, body in (
        ("api/printers", None),
        ("api/log?printer=voron", None),
        ("api/events", None),
        ("api/command", command),
    ):
        assert web.ask(path, body)[0] == 401, path

    assert web.ask("api/login", {"token": "wrong"})[0] == 403
    assert web.ask("api/printers")[0] == 401
    assert web.ask("api/login", {"token": TOKEN})[0] == 200
    assert web.ask("api/printers")[0] == 200
    fresh = Web(int(web.url.split(":")[2].strip("/")))
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert fresh.ask("api/printers", **bearer)[0] == 200


def test_metrics_health_and_signed_links_are_served_beside_the_page(
    community, broker, voron, tmp_path
):
    """Metrics need the token, a link has its own key, and health needs no key."""
    token, settings = tmp_path / "token", tmp_path / "bridge.toml"
    token.write_text(TOKEN)
    port = free_port()
    settings.write_text(f"""
        [http]
        url = "https://upkeep.example.org"
        [web]
        listen = "127.0.0.1:{port}"
        token_file = "{token}"
        prefix = "/upkeep"
        [push]
        state = "{tmp_path / "push.db"}"
        [[push.rule]]
        to = ["ntfy://127.0.0.1:9/x"]
        buttons = true
    """)
    community.bridge(broker.port, file=settings)
    web = Web(port)
    assert web.ask("upkeep/health") == (200, "ok\n")
    assert web.ask("upkeep/ready") == (200, "ok\n")
    assert web.ask("upkeep/metrics")[0] == 401
    status, text = web.ask("upkeep/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert 'upkeep_printer_online{printer="voron"} 1' in text
    status, text = web.ask("upkeep/do/forged", Host="upkeep.example.org")
    assert (status, "Klipper Upkeep" in text) == (403, True)
    assert web.ask("health")[0] == 404


def test_the_log_of_the_fleet_has_the_entries_of_its_printers(serve, broker, voron):
    """One printer that refuses does not hide the entries of the others."""
    entry = Entry(1000, "rods", "done", "anna", "two drops", {"print_time": 149.5})

    def answer(printer, when):
        def reply(command, task):
            log = (entry._replace(time=when, task=task),) if task == "rods" else ()
            printer.result(Result(command.transaction, task, seq=99, log=log))

        return reply

    with (
        ScriptedPrinter(broker.port, "ender") as ender,
        ScriptedPrinter(broker.port, "mute") as mute,
    ):
        voron.answer, ender.answer = answer(voron, 1000), answer(ender, 2000)
        mute.answer = lambda command, task: mute.refuse(
            command, task, contract.INTERNAL, "no"
        )
        web = serve("web.open=true")
        status, log = web.ask("api/log?limit=50")
    assert status == 200
    assert [(each["time"], each["by"]) for each in log["log"]] == [
        (2000, "anna"), (1000, "anna"),
    ]  # fmt: skip


def test_a_form_of_another_web_site_is_refused(serve, voron):
    """A form can send to any address, but not with this content type."""
    web = serve("web.open=true")
    body = {"printer": "voron", "task": "rods", "command": {"command": "done"}}
    assert web.ask("api/command", body, **{"Content-Type": "text/plain"})[0] == 415
    assert web.ask("api/printers", Host="evil.example")[0] == 403
    assert voron.commands == []


def test_a_page_that_only_shows_changes_nothing(serve, voron):
    web = serve("web.open=true", "web.read_only=true")
    body = {"printer": "voron", "task": "rods", "command": {"command": "done"}}
    assert web.ask("api/command", body)[0] == 403
    assert web.ask("page.json")[1]["read_only"] is True
    assert voron.commands == []


@needs_chromium
@needs_axe
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_somebody_marks_a_task_done_in_a_browser(serve, voron, tmp_path, size):
    web = serve("web.open=true")
    with Tab() as tab:
        tab.resize(*size)
        tab.open(web.url)
        tab.wait_for("Oil the rods", "Check the belts", "Due 1")
        assert complaints(tab) == []
        keep_picture(tab, f"page-fleet-{size[0]}", tmp_path)
        for scheme in ("dark", "light"):
            tab.prefer(scheme)
            for view in ("log", "meters", "tasks"):
                tab.run(f"location.hash = '#/{view}'")
                shown = (
                    f"document.querySelector('nav [aria-current]').hash == '#/{view}'"
                )
                until(lambda shown=shown: tab.run(shown), view)
                assert complaints(tab) == []

        tab.click("Oil the rods")
        tab.wait_for("One drop each.", "Mark as done")
        assert complaints(tab) == []
        keep_picture(tab, f"page-task-{size[0]}", tmp_path)
        tab.fill("input[name=note]", "two drops")
        tab.click("Mark as done")

        tab.wait_for("The printer has carried it out.")
        done = [each for each in voron.commands if each.command == "done"]
        assert [(each.note, each.by) for each in done] == [("two drops", "web")]


@needs_chromium
@needs_axe
def test_somebody_fits_a_part_in_a_browser(serve, voron):
    part = m.state("n4", label="Nozzle 0.4")
    places = ("extruder", "extruder1")
    voron.states["n4"] = part._replace(kind="nozzle", places=places)
    voron.say_everything()
    web = serve("web.open=true")
    with Tab() as tab:
        tab.open(web.url)
        tab.wait_for("Nozzle 0.4")
        tab.click("Nozzle 0.4")
        tab.wait_for("Place", "On the shelf")
        assert complaints(tab) == []
        tab.run(
            "const place = document.querySelector('select[name=place]');"
            "place.value = 'extruder1';"
            "place.form.requestSubmit();"
        )
        tab.wait_for("The printer has carried it out.")

        fitted = [each for each in voron.commands if each.command == "fit"]
        assert [each.place for each in fitted] == ["extruder1"]


@needs_chromium
def test_the_page_shows_changes_of_the_printer_and_the_loss_of_the_bridge(
    serve, community, voron, broker
):
    web = serve("web.open=true")
    with Tab() as tab:
        tab.resize(*DESK)
        tab.open(web.url)
        tab.wait_for("Due 1")
        due = m.state("belts", seq=50, status="due", label="Check the belts")
        voron.say("tasks/belts", due.encode())
        tab.wait_for("Due 2")

        bridge = community.processes[-1]
        bridge.stop()
        tab.wait_for("The connection is lost.")
        voron.say("tasks/belts", m.state("belts", seq=60, label="Done").encode())
        community.bridge(
            broker.port,
            f"web.listen={web.url.split('/')[2]}",
            "web.open=true",
            name="second",
        )
        tab.wait_for("Due 1")
        until(lambda: "The connection is lost." not in tab.text(), "the bridge is back")


@needs_chromium
@needs_axe
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_a_part_moves_from_one_printer_to_another_on_the_page(
    serve, voron, broker, tmp_path, size
):
    state = m.state("n4", label="Nozzle 0.4")._replace(
        kind="nozzle", places=("extruder",), place=""
    )
    part = {"id": "7", "part": "n4", "to": "ender"}

    def give(command, task):
        if command.command != "export":
            voron.carry_out(command, task)
            return
        seq = voron.change(task).seq
        voron.result(Result(command.transaction, task, seq, part=part))

    voron.states["n4"], voron.answer = state, give
    voron.say_everything()
    with ScriptedPrinter(broker.port, "ender", state) as ender, Tab() as tab:
        imported = []

        def take(command, task):
            imported.append(command)
            seq = ender.change(task).seq
            ender.result(Result(command.transaction, task, seq))

        ender.answer = take
        ender.say_everything()
        web = serve("web.open=true")
        tab.resize(*size)
        tab.open(web.url)
        tab.wait_for("2 printers", "Nozzle 0.4")
        tab.click("Parts")
        tab.wait_for("nozzle · On the shelf")
        assert complaints(tab) == []
        keep_picture(tab, f"page-fleet-parts-{size[0]}", tmp_path)

        tab.run("location.hash = '#/task/voron/n4'")
        tab.click("Move to or from another printer")
        tab.fill("input[name=to]", "ender")
        tab.click("Export to that printer")
        until(lambda: imported, "the import")
        assert (imported[0].command, imported[0].part) == ("import", part)
        tab.wait_for("The printer has carried it out.")
        assert "IMPORT_PART" not in tab.text(), (
            "nobody has to copy the line to the other printer"
        )


@needs_chromium
def test_a_suggested_interval_is_set_and_a_condition_is_given_on_the_page(serve, voron):
    text = "You do this at 240 h, not at 200 h. Set 240 h?"
    better = contract.Suggestion("print_time", 240.0, "h", "habit", text)
    habit = contract.Habit("print_time", 3, 238.0, 240.0, 245.0, 0.2, agree=True)
    voron.change("rods", suggestion=better, habit=habit)
    web = serve("web.open=true")
    with Tab() as tab:
        tab.resize(*DESK)
        tab.open(web.url + "#/task/voron/rods")
        tab.wait_for(text)
        tab.click("Set the suggested threshold")
        tab.wait_for("not in the script")  # The printer answers with a suggestion.
        assert "learn" in [each.command for each in voron.commands]

        tab.click("Who, when, earlier use")
        tab.run("document.querySelector('select[name=condition]').value = 'worn'")
        tab.click("Mark as done")
        tab.wait_for("The printer has carried it out.")
        done = [each for each in voron.commands if each.command == "done"]
        assert [each.condition for each in done] == ["worn"]


def test_an_export_on_the_page_gives_a_command_that_imports_the_part(serve, voron):
    web = serve("web.open=true")
    part = {"id": "7", "part": "rods", "to": "ender"}

    def give(command, task):
        seq = voron.change(task).seq
        voron.result(Result(command.transaction, task, seq, part=part))

    voron.answer = give
    body = {
        "printer": "voron",
        "task": "rods",
        "command": {"command": "export", "to": "ender"},
    }
    assert web.ask("api/command", body) == (200, {"text": "", "part": part})


def test_a_qr_code_is_made_only_of_an_address(serve):
    web = serve("web.open=true")
    status, answer = web.ask("api/code?address=https://farm/%23/task/voron/rods")
    assert (status, answer["image"][:18]) == (200, "data:image/svg+xml")
    for address in ("javascript:alert(1)", "", "https://x/" + 1000 * "y"):
        status, answer = web.ask(f"api/code?address={address}")
        assert (status, "needs an address" in answer["error"]) == (400, True)
