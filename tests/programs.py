"""The programs that tests start. This is the only place that skips if one is missing.

Their logs are read after each test: an error that no test expects fails it.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# The Debian package that has the program.
PACKAGES = {
    "busybox": "busybox",
    "chromium": "chromium",
    "dash": "dash",
    "gcc": "gcc",
    "git": "git",
    "ip": "iproute2",
    "mosquitto": "mosquitto",
    "mosquitto_passwd": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
    "nats-server": "nats-server",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "rabbitmq-server": "rabbitmq-server",
    "script": "bsdutils",
    "setpriv": "util-linux",
    "shellcheck": "shellcheck",
    "unshare": "util-linux",
    "systemd-analyze": "systemd",
}


def find(name: str) -> str | None:
    """Return the path of a program. Only administrators may have it on their path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def require(name: str) -> str:
    """Return the path of a program. If it is missing, the test is skipped."""
    path = find(name)
    if path is None:
        pytest.skip(missing(name))
    return path


def require_node_package(name: str, folder: Path) -> Path:
    """Return the node_modules of *folder* that have a package, or skip the test."""
    modules = folder / "node_modules"
    if not (modules / name).is_dir():
        pytest.skip(f"no {name} here (npm install --prefix {folder})")
    return modules


def missing(name: str) -> str:
    return f"no {name} here (Debian: apt-get install {PACKAGES[name]})"


def pause(begin: float, longest: float = 0.3) -> None:
    """Sleep before the next question to another process; both need a processor for it.

    The longer ago the first one was, at *begin* (`time.monotonic`), the longer.
    """
    time.sleep(min(max(0.02, (time.monotonic() - begin) / 10), longest))


class _Log(NamedTuple):
    errors_in: Callable[[str], list[str]]  # returns the errors in a piece of the log
    begin: int  # the number of bytes that have been read


_logs: dict[Path, _Log] = {}  # the logs of programs that run
_errors: list[str] = []  # the errors in logs that are closed

_ERROR = re.compile(r"^[-\d]+ [\d:,]+ (ERROR|CRITICAL) ")
_TRACE = "Traceback (most recent call last)"
_OF_THE_EXTRA = re.compile(r'^  File ".*/(maintain|klippy_extra)/')
# What brokers log about themselves or about a client that breaks the protocol. A client
# that was killed, refused or too slow does not count.
_OF_BROKERS = {
    "mosquitto": re.compile(
        "protocol error|[Mm]alformed|unknown packet identifier|Invalid subscription"
        "|multiple CONNECT|too large|oversize|QoS too high"
    ),
    "nats": re.compile(r"^\[\d+\] \S+ \S+ \[(ERR|FTL)\]"),
    # The reports of its supervisors are indented, also for channels whose client left.
    # It may write to that client once more.
    "rabbitmq": re.compile(
        r"^\S+ \S+ \[(error|critical)\] <[\d.]+> (?!MQTT: a socket write failed)\S"
    ),
    "aedes": re.compile("Error:"),
    "amqtt": re.compile("^(ERROR|CRITICAL|Traceback)"),
}


def watch_log(path: Path, reader: Callable[[str], list[str]] | None = None) -> None:
    """Read this log after each test, from its present end on.

    *reader* finds the errors in it.
    """
    size = path.stat().st_size if path.exists() else 0
    _logs.setdefault(path, _Log(reader or errors_in, size))


def close_log(path: Path) -> None:
    """Read the end of a log that is deleted before its test is over."""
    if path in _logs:
        _errors.extend(_read(path))
        _logs.pop(path, None)


def errors_logged() -> list[str]:
    """Return the errors that programs have logged since the last call."""
    errors = [*_errors]
    _errors.clear()
    for path in list(_logs):
        errors += _read(path)
    return errors


def _read(path: Path) -> list[str]:
    """Return the errors in the part of a log that is new since the last call."""
    log = _logs[path]
    if not path.exists():
        del _logs[path]
        return []
    with path.open("rb") as file:
        file.seek(log.begin)
        text = file.read()
    _logs[path] = log._replace(begin=log.begin + len(text))
    lines = log.errors_in(text.decode(errors="replace"))
    return [f"{path.name}: {line}" for line in lines]


def errors_in(log: str) -> list[str]:
    """Return the lines of a log that report an error.

    A traceback below a line with the level DEBUG belongs to a refused request.
    """
    errors = []
    before = ""
    for line in log.splitlines():
        is_trace = line.startswith(_TRACE)
        if _ERROR.match(line) or (is_trace and " DEBUG " not in before):
            errors.append(f"{before} / {line}" if is_trace else line)
        before = line
    return errors


def errors_of_the_extra(log: str) -> list[str]:
    """Return the tracebacks in a `klippy.log` that lead through the extra.

    Klippy has no levels there, and the extra logs each error with its traceback. A
    traceback that ends in an error of the configuration is Klippy's way to tell a user
    what to correct.
    """
    errors = []
    before, is_ours, within = "", False, False
    for line in log.splitlines():
        if line.startswith(_TRACE):
            within, is_ours = True, False
        elif within and line.startswith(" "):
            is_ours = is_ours or _OF_THE_EXTRA.match(line) is not None
        elif within and line:
            within = False
            if is_ours and not line.startswith("configparser.Error"):
                errors.append(f"{before} / {line}")
        if not within:
            before = line
    return errors


def errors_of_broker(name: str) -> Callable[[str], list[str]]:
    """Return a function that finds the broker's complaints in its log."""
    pattern = _OF_BROKERS[name]
    return lambda log: [line for line in log.splitlines() if pattern.search(line)]
