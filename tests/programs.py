"""The programs that tests start, and the one place that skips where one is missing.

What they log is read after each test: an error that no test asked for fails it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# What Debian calls the package that has the program.
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
    """The path of a program; also of one that only an administrator has on the path."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def require(name: str) -> str:
    """The path of a program; where it is missing, the test is skipped."""
    path = find(name)
    if path is None:
        pytest.skip(missing(name))
    return path


def require_node_package(name: str, folder: Path) -> Path:
    """The node_modules of *folder* that have a package, or the test is skipped."""
    modules = folder / "node_modules"
    if not (modules / name).is_dir():
        pytest.skip(f"no {name} here (npm install --prefix {folder})")
    return modules


def missing(name: str) -> str:
    return f"no {name} here (Debian: apt-get install {PACKAGES[name]})"


class _Log(NamedTuple):
    errors_in: Callable[[str], list[str]]  # the errors in a piece of it
    begin: int  # the bytes that have been read


_logs: dict[Path, _Log] = {}  # of the programs that run
_errors: list[str] = []  # of the logs that are closed

_ERROR = re.compile(r"^[-\d]+ [\d:,]+ (ERROR|CRITICAL) ")
_TRACE = "Traceback (most recent call last)"
_OF_THE_EXTRA = re.compile(r'^  File ".*/(maintain|klippy_extra)/')
# What brokers write of a client that breaks the protocol, or of themselves. A client
# that was killed, refused or too slow is none of it.
_OF_BROKERS = {
    "mosquitto": re.compile(
        "protocol error|[Mm]alformed|unknown packet identifier|Invalid subscription"
        "|multiple CONNECT|too large|oversize|QoS too high"
    ),
    "nats": re.compile(r"^\[\d+\] \S+ \S+ \[(ERR|FTL)\]"),
    # Indented are the reports of its supervisors, also of channels whose client left.
    "rabbitmq": re.compile(r"^\S+ \S+ \[(error|critical)\] <[\d.]+> \S"),
    "aedes": re.compile("Error:"),
    "amqtt": re.compile("^(ERROR|CRITICAL|Traceback)"),
}


def watch_log(path: Path, reader: Callable[[str], list[str]] | None = None) -> None:
    """Read this log after each test, from where it ends now; by *reader*, if given."""
    size = path.stat().st_size if path.exists() else 0
    _logs.setdefault(path, _Log(reader or errors_in, size))


def close_log(path: Path) -> None:
    """Read the end of a log that is deleted before its test is over."""
    if path in _logs:
        _errors.extend(_read(path))
        _logs.pop(path, None)


def errors_logged() -> list[str]:
    """The errors that programs have logged since the last call."""
    errors = [*_errors]
    _errors.clear()
    for path in list(_logs):
        errors += _read(path)
    return errors


def _read(path: Path) -> list[str]:
    """The errors in what a log has more than at the last call."""
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
    """The lines of a log that tell of an error.

    A traceback below a line of the level DEBUG tells of a request that was refused.
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
    """The tracebacks in a `klippy.log` that lead through the extra.

    Klippy has no levels there, and the extra logs each error with its traceback. One
    that ends in an error of the configuration is how Klippy tells a user what to mend.
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
    """Finds what the broker *name* has to complain of in its log."""
    pattern = _OF_BROKERS[name]
    return lambda log: [line for line in log.splitlines() if pattern.search(line)]
