"""The programs that tests start, and the one place that skips where one is missing.

What they log is read after each test: an error that no test asked for fails it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

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


# The logs of the programs that run, and how much of each has been read.
_logs: dict[Path, int] = {}
_ERROR = re.compile(r"^[-\d]+ [\d:,]+ (ERROR|CRITICAL) ")


def watch_log(path: Path) -> None:
    """Read this log after each test, from where it ends now."""
    _logs.setdefault(path, path.stat().st_size if path.exists() else 0)


def errors_logged() -> list[str]:
    """The errors that programs have logged since the last call."""
    errors = []
    for path, begin in list(_logs.items()):
        if not path.exists():
            del _logs[path]
            continue
        with path.open("rb") as log:
            log.seek(begin)
            text = log.read()
        _logs[path] = begin + len(text)
        lines = errors_in(text.decode(errors="replace"))
        errors += [f"{path.name}: {line}" for line in lines]
    return errors


def errors_in(log: str) -> list[str]:
    """The lines of a log that tell of an error.

    A traceback below a line of the level DEBUG tells of a request that was refused.
    """
    errors = []
    before = ""
    for line in log.splitlines():
        is_trace = line.startswith("Traceback (most recent call last)")
        if _ERROR.match(line) or (is_trace and " DEBUG " not in before):
            errors.append(f"{before} / {line}" if is_trace else line)
        before = line
    return errors
