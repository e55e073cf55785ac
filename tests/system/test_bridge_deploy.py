"""The files for deployment agree with the program: the unit and the dashboard."""

from __future__ import annotations

import configparser
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from mqtt_bridge import settings
from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.cli import main
from mqtt_bridge.metrics import Exporter
from mqtt_bridge.push.sender import PushSender
from mqtt_bridge.settings import Broker, Settings
from tests import programs
from tests.mqtt_bridge.processes import ROOT, Community
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Items
from tests.waiting import until

pytestmark = pytest.mark.system

DEPLOY = ROOT / "mqtt_bridge" / "deploy"
UNIT = DEPLOY / "upkeep-bridge.service"


@pytest.fixture
def service():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(UNIT)
    return parser["Service"]


def test_the_options_in_the_unit_are_options_of_the_program(service):
    _, *arguments = shlex.split(service["ExecStart"])
    options = main.parser().parse_args(arguments)

    assert options.command is None
    assert options.config == "/etc/upkeep-bridge/bridge.toml"


def test_copies_of_the_unit_have_different_state_files(service):
    """Each file is named after the alias, since no variable names one file for all."""
    assert not [line for line in UNIT.read_text().splitlines() if "UPKEEP_" in line]
    environ = {"STATE_DIRECTORY": f"/var/lib/{service['StateDirectory']}"}
    one, two = (
        settings.load(None, environ, [f"store.alias={alias}"]).push.state
        for alias in ("one", "two")
    )
    assert Path(one).parent == Path("/var/lib/upkeep-bridge")
    assert one != two


def test_the_text_in_place_of_missing_credentials_is_refused(service, tmp_path):
    name, _, text = service["SetCredential"].partition(":")
    assert service["LoadCredential"].startswith(f"{name}:")
    (tmp_path / name).write_text(text)
    with pytest.raises(settings.SettingsError, match="has no line 'username: NAME'"):
        settings.credentials(f"$DIR/{name}", {"DIR": str(tmp_path)})


def test_wrong_settings_end_the_bridge_with_the_code_that_prevents_a_restart(
    service, broker, tmp_path
):
    """A port in use may become free later, so this error does not prevent a restart."""
    assert service["RestartPreventExitStatus"] == "2"
    rule = tmp_path / "rule.toml"
    rule.write_text("[[push.rule]]\nto = 'nobody://token'")
    with Community(tmp_path) as community, socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        for name, arguments, code in (
            ("rule", ["--config", str(rule)], 2),
            ("port", ["--set", f"metrics.listen=127.0.0.1:{port}"], 1),
        ):
            process = community.start(
                name,
                ["mqtt_bridge", "--set", "broker.host=127.0.0.1", "--set",
                 f"broker.port={broker.port}", *arguments],
            )  # fmt: skip
            until(lambda process=process: process.ended is not None, process.log)
            assert process.ended == code, process.log
            assert "Traceback" not in process.log


def test_a_reload_of_the_unit_reads_the_new_settings(service, broker, tmp_path):
    """Its command ends the bridge cleanly, and systemd starts it again.

    Here the bridge is a plain process with the command line and the reload of the unit.
    """
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == "2"
    file = tmp_path / "bridge.toml"
    _, *arguments = shlex.split(service["ExecStart"])
    command = ["mqtt_bridge", *arguments[:-1], str(file)]
    where = f"[broker]\nhost = '127.0.0.1'\nport = {broker.port}\n"
    with Community(tmp_path) as community, ScriptedPrinter(broker.port):
        file.write_text(where)
        bridge = community.start("first", command)
        bridge.wait_for("on the air")
        assert community.set("voron.rods.threshold=120") == ""

        file.write_text(f"{where}[store]\nread_only = true\n")
        reload = service["ExecReload"].replace("$MAINPID", str(bridge.pid))
        subprocess.run(shlex.split(reload), check=True)
        until(lambda: bridge.ended is not None, bridge.log)
        assert bridge.ended == 0
        assert "Traceback" not in bridge.log

        community.start("second", command).wait_for("on the air")
        assert community.get("voron.rods.threshold") == 120.0
        assert community.set("voron.rods.threshold=130") != ""


@pytest.mark.parametrize("name", [UNIT.name, "mkregistryd.service"])
def test_systemd_accepts_the_unit(tmp_path, name):
    programs.require("systemd-analyze")
    unit = tmp_path / name
    unit.write_text(
        re.sub(r"/opt/upkeep/bin/\S+", "/bin/true", UNIT.with_name(name).read_text())
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_metric_in_the_dashboard_exists(broker):
    """A counter ends in _total in a query, but not in the name of its family."""
    given = Settings(broker=Broker(host="127.0.0.1", port=broker.port))
    bridge = make_bridge(given, Items())
    bridge.start()
    try:
        with ScriptedPrinter(broker.port):
            until(lambda: bridge.fleet.printers, "the printer")
            text = Exporter(bridge, PushSender(given), lambda: True).text().decode()
            served = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    finally:
        bridge.close()
    shown = set(re.findall(r"upkeep_\w+", (DEPLOY / "grafana.json").read_text()))

    assert shown
    assert shown <= served
