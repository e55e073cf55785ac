"""What every test lives under: no thread stays, no skip goes unnoticed."""

from __future__ import annotations

import importlib.util
import os
import threading

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# A client's one loop lives as long as its process, by design.
LASTING = ("mktl-client",)
# pyzmq's, which frees what was sent without a copy.
LASTING_KINDS = ("GarbageCollectorThread",)

HOME_ASSISTANT = importlib.util.find_spec("homeassistant") is not None
collect_ignore = [] if HOME_ASSISTANT else ["integration"]


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips", action="store_true", help="fail where a test would be skipped"
    )


def pytest_report_header(config):
    if not HOME_ASSISTANT:
        return "no Home Assistant here: 'make test-integration' brings one"
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    strict = item.config.getoption("--no-skips")
    if strict and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and --no-skips was given: {report.longrepr[2]}"


@pytest.fixture(autouse=True)
def no_thread_stays_behind():
    """Fail a test that leaves a thread."""
    before = set(threading.enumerate())
    yield
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in before
        and not thread.name.startswith(LASTING)
        and type(thread).__name__ not in LASTING_KINDS
    ]
    for thread in left:
        thread.join(2)
    assert [thread.name for thread in left if thread.is_alive()] == []
