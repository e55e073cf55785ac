"""The programs that tests start, and the one place that skips where one is missing."""

from __future__ import annotations

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
