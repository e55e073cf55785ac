"""What every test lives under: no thread stays, no error and no skip goes unnoticed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import importlib.util
import logging
import os
import socket
import struct
import subprocess
import threading

import pytest
from hypothesis import HealthCheck, settings

from klippy_extra import language as extra
from mqtt_bridge import language as bridge
from tests import programs

settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# On a further Python, where what is computed is the same.
settings.register_profile("few", settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# A client's one loop lives as long as its process, by design.
LASTING = ("mktl-client",)
# pyzmq's, which frees what was sent without a copy; the runner's own.
LASTING_KINDS = ("GarbageCollectorThread",)

HOME_ASSISTANT = importlib.util.find_spec("homeassistant") is not None
collect_ignore = [] if HOME_ASSISTANT else ["integration"]
SOAK_SECONDS = 1800
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips", action="store_true", help="fail where a test would be skipped"
    )
    parser.addoption(
        "--soak", action="store_true", help="run what is repeated as often as it can be"
    )


def pytest_report_header(config):
    if not HOME_ASSISTANT:
        return "no Home Assistant here: 'make test-integration' brings one"
    return None


def pytest_configure(config):
    """Give each of the processes that share the tests a loopback of its own.

    Daemons take the first free port of the protocol's range, so two processes on one
    loopback would trade ports.
    """
    if hasattr(config, "workerinput"):
        own_loopback()


def own_loopback():
    """Move to a new network namespace in which nothing but loopback is up.

    OSError: this user may not.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unable to make a network namespace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def pytest_xdist_auto_num_workers(config):
    """Three for each processor: most of a test's time is waiting.

    With ``-n logical`` one for each, for tests that mostly compute: each process takes
    seconds to begin. None, so that this process alone runs the tests, where no loopback
    can be made.
    """
    each = 1 if config.option.numprocesses == "logical" else 3
    with contextlib.suppress(OSError):
        if subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0:
            return each * (os.cpu_count() or 1)
    return 0


def pytest_collection_modifyitems(config, items):
    """Give what is repeated time enough, and begin each share with what waits.

    A process's share is a run of neighbours in this list. What ends last would keep
    one process busy while the others have nothing left.
    """
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(SOAK_SECONDS))
    kinds = ([], [], [])
    for item in items:
        kinds[_haste(item)].append(item)
    shares = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [
        item for n in range(shares) for kind in kinds for item in kind[n::shares]
    ]


def pytest_collection_finish(session):
    """Keep thousands of tests out of each collection of garbage.

    A virtual printer begins with one, as Klippy does; it took longer than most tests.
    """
    # Hypothesis looks who refers to a generator of random numbers, and does not see
    # what is kept out.
    unseen = "ignore:It looks like `register_random` was passed an object"
    session.config.addinivalue_line("filterwarnings", unseen)
    gc.collect()
    gc.freeze()


def _haste(item):
    """0 for what takes long, 1 for what waits for other programs, 2 for the rest."""
    if item.get_closest_marker("soak") or item.get_closest_marker("pace"):
        return 0
    return 1 if item.get_closest_marker("system") else 2


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    strict = item.config.getoption("--no-skips")
    if strict and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and --no-skips was given: {report.longrepr[2]}"


def pytest_terminal_summary(terminalreporter):
    """Name once what is missing, with the number of tests that want it."""
    reasons = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]) if report.longrepr else ""
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} not run: {reason[len('Skipped: ') :]}")


@pytest.fixture
def rounds(request):
    """``rounds(few, many)``: how often to repeat, *many* with ``--soak``."""
    soak = request.config.getoption("--soak")
    return lambda few, many: many if soak else few


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
        thread.join(10)  # a busy machine may let it wait
    assert [thread.name for thread in left if thread.is_alive()] == []


class ErrorLog(logging.Handler):
    """Keeps what is logged as an error or worse."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        if "/fakes/klippy/" in record.pathname:
            return  # what a Klippy writes of a bad configuration, or of a shutdown
        self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_error_is_logged_unasked(request):
    """Fail a test in which an error is logged, unless it reads the log (``caplog``).

    A test that only makes the error happen on the way says so: ``logs_errors``. So
    does one in which a program that it started logs an error.
    """
    handler = ErrorLog()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    of_programs = programs.errors_logged()
    if request.node.get_closest_marker("logs_errors") is None:
        assert "caplog" in request.fixturenames or handler.lines == [], (
            "errors were logged"
        )
        assert of_programs == [], "programs logged errors"


@pytest.fixture(autouse=True)
def english():
    """Let each test begin in English: the language is one of the whole process."""
    yield
    extra.current.use(extra.ENGLISH)
    bridge.current.use(bridge.ENGLISH)
