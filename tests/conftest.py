"""Rules for every test: no thread stays, and no error and no skip goes unnoticed."""

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
import tempfile
import threading
from pathlib import Path

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
# On an additional Python, on which the results are the same.
settings.register_profile("few", settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# The only loop of a client lives as long as its process, by design.
LASTING = ("mktl-client",)
# pyzmq's thread, which frees what was sent without a copy, and the runner's own.
LASTING_KINDS = ("GarbageCollectorThread",)

HOME_ASSISTANT = importlib.util.find_spec("homeassistant") is not None
collect_ignore = [] if HOME_ASSISTANT else ["integration"]
SOAK_SECONDS = 1800
LONG = 300  # seconds: a test that may take so long begins early
# Fixtures of tests that share programs, or what they have read.
SHARED = {"shop", "forget_the_trees"}
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 1024**3
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
    """Give each of the processes that share the tests its own loopback.

    Daemons take the first free port of the protocol's range, so two processes on one
    loopback would exchange their ports.
    """
    if "TMPDIR" not in os.environ and memory_is_enough():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    if hasattr(config, "workerinput"):
        own_loopback()


def memory_is_enough():
    """Return whether the files of tests can be in memory, where no write waits.

    Each store waits for the disk several times, and the disk has thousands of stores to
    write. That they do wait is a test of its own: it watches the calls.
    """
    with contextlib.suppress(OSError):
        place = os.statvfs(MEMORY)
        rows = Path("/proc/meminfo").read_text().splitlines()
        (free,) = (int(row.split()[1]) for row in rows if row.startswith("MemAvail"))
        may_run = not place.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)
        room = min(free * 1024, place.f_bavail * place.f_frsize)
        return may_run and room >= MEMORY_NEEDED
    return False


def own_loopback():
    """Move to a new network namespace that has only loopback.

    Raises OSError if this user may not do so.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unable to make a network namespace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def pytest_xdist_auto_num_workers(config):
    """Use three processes for each processor and four more: tests mostly wait.

    In CI the four are left out, because other parts run beside the tests, and each
    process takes seconds of a processor to start. With ``-n logical`` there is one for
    each processor, for tests that mostly compute. If no loopback can be made, this
    process runs the tests alone.
    """
    processors = os.cpu_count() or 1
    count = 3 * processors + (0 if os.environ.get("CI") else 4)
    if config.option.numprocesses == "logical":
        count = processors
    with contextlib.suppress(OSError):
        if subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0:
            return count
    return 0


def pytest_collection():
    """Make the tests without a search for garbage: all that is made now stays."""
    gc.disable()


def pytest_collection_modifyitems(config, items):
    """Give repeated tests enough time, and start each share with tests that wait.

    The share of a process is a run of neighbours in this list. Tests that end last
    would keep one process busy while the others have nothing left. The tests that use
    the same running programs are in one share, so that few processes start RabbitMQ.
    """
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(SOAK_SECONDS))
    kinds = ({}, {}, {})
    for item in items:
        kinds[_haste(item)].setdefault(_shares(item) or item, []).append(item)
    shares = [[] for _ in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]
    for kind in kinds:
        for together in sorted(kind.values(), key=len, reverse=True):
            min(shares, key=len).extend(together)
    items[:] = [item for share in shares for item in share]


def pytest_collection_finish(session):
    """Keep thousands of tests out of each collection of garbage.

    A virtual printer starts with a collection, as Klippy does. It took longer than most
    tests.
    """
    # Hypothesis checks the references to a generator of random numbers, and does not
    # see objects that are kept out.
    unseen = "ignore:It looks like `register_random` was passed an object"
    session.config.addinivalue_line("filterwarnings", unseen)
    gc.collect()
    gc.freeze()
    gc.enable()


def _shares(item):
    """Return a name for what a test shares with others, or None."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    shared = SHARED.intersection(item.fixturenames)
    return parameters.get("any_broker") or next(iter(shared), None)


def _haste(item):
    """Return 0 for slow tests, 1 for tests that wait for programs, 2 for others."""
    patience = item.get_closest_marker("timeout")
    if item.get_closest_marker("pace") or (patience and patience.args[0] >= LONG):
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
    """Name each missing program once, with the number of tests that need it."""
    reasons = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]) if report.longrepr else ""
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} not run: {reason[len('Skipped: ') :]}")


@pytest.fixture
def rounds(request):
    """``rounds(few, many)``: how often to repeat. It is *many* with ``--soak``."""
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
        thread.join(10)  # A busy machine may let it wait.
    assert [thread.name for thread in left if thread.is_alive()] == []


class ErrorLog(logging.Handler):
    """Keeps records of errors and worse."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        if "/fakes/klippy/" in record.pathname:
            return  # Klippy logs this for a bad configuration, or for a shutdown.
        self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(autouse=True)
def no_error_is_logged_unasked(request):
    """Fail a test in which an error is logged, unless it reads the log (``caplog``).

    A test that makes the error happen only on the way has the mark ``logs_errors``. So
    has a test in which a program that it started logs an error.
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
    """Let each test start in English: the language belongs to the whole process."""
    yield
    for language in (extra, bridge):
        if language.current.catalogue is not language.current.english:
            language.current.use(language.ENGLISH)
