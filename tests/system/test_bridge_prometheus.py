"""A real Prometheus scrapes a bridge and runs the alert rules."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from mqtt_bridge.assembly import make_bridge
from mqtt_bridge.exposition import METRICS
from mqtt_bridge.http_server import HttpServer
from mqtt_bridge.metrics import Exporter
from mqtt_bridge.settings import Broker, Settings
from tests import programs
from tests.fakes.mosquitto import free_port
from tests.mqtt_bridge.processes import ROOT
from tests.mqtt_bridge.scripted import ScriptedPrinter
from tests.system.test_bridge_broker import Items
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

RULES = ROOT / "mqtt_bridge" / "deploy" / "alerts.yml"


def test_promtool_accepts_the_rules():
    done = subprocess.run(
        [programs.require("promtool"), "check", "rules", str(RULES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def metrics(broker):
    """The metrics of a bridge with a printer that has a due task."""
    settings = Settings(broker=Broker(host="127.0.0.1", port=broker.port))
    bridge = make_bridge(settings, Items())
    bridge.start()
    web = HttpServer(("127.0.0.1", 0), Exporter(bridge, None).routes, "metrics")
    with ScriptedPrinter(broker.port) as printer:
        printer.change(status="due")
        until(lambda: bridge.fleet.printers, "the printer")
        yield web
    web.close()
    bridge.close()


def get(port, path):
    address = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(address, timeout=5) as answer:
        return answer.read()


def query(port, text):
    quoted = urllib.request.quote(text)
    result = json.loads(get(port, f"/api/v1/query?query={quoted}"))
    return result["data"]["result"]


def test_a_prometheus_runs_the_rules(metrics, tmp_path):
    prometheus = programs.require("prometheus")
    # The rules wait five minutes before they alert people.
    rules = tmp_path / "alerts.yml"
    rules.write_text(RULES.read_text().replace("for: 5m", "for: 0s"))
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{
            "job_name": "upkeep-bridge",
            "static_configs": [{"targets": [f"127.0.0.1:{metrics.port}"]}],
        }],
    }))  # fmt: skip
    port = free_port()
    process = subprocess.Popen(
        [prometheus, f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
    )  # fmt: skip

    def firing():
        try:
            return {
                each["metric"]["alertname"]: each["metric"].get("task")
                for each in query(port, 'ALERTS{alertstate="firing"}')
            }
        except (urllib.error.URLError, ConnectionError):
            return {}  # Prometheus is not ready yet.

    try:
        until(lambda: firing().get("UpkeepTaskDue") == "rods", "the alert", 60)
        assert query(port, 'up{job="upkeep-bridge"}')[0]["value"][1] == "1"
    finally:
        process.kill()
        process.wait()


def test_the_rules_use_only_metrics_that_exist():
    names = set(re.findall(r"upkeep_\w+", RULES.read_text()))
    assert names
    assert names <= METRICS.keys()


def test_the_health_address_answers_while_the_bridge_starts(broker):
    settings = Settings(broker=Broker(host="127.0.0.1", port=1))
    bridge = make_bridge(settings, Items())
    bridge.start()
    web = HttpServer(("127.0.0.1", 0), Exporter(bridge, None).routes, "metrics")
    try:
        assert get(web.port, "/health") == b"starting\n"
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(web.port, "/ready")
    finally:
        web.close()
        bridge.close()


def test_a_bridge_that_works_is_reported_ready(metrics):
    until(lambda: get(metrics.port, "/health") == b"ok\n", "it is ready")
    assert get(metrics.port, "/ready") == b"ok\n"
