"""The helper for users' tests: a daemon in the process, with its own home."""

from __future__ import annotations

import os
import socket

import pytest

import mktl_daemon as mktl
from mktl_daemon import testing


class Oven(mktl.Daemon):
    def describe_items(self):
        return {"setpoint": {"type": "numeric", "initial": 20}}


def test_a_daemon_runs_in_its_own_home_and_is_gone_afterwards(monkeypatch):
    monkeypatch.setenv("MKTL_HOME", "/nowhere")
    monkeypatch.setenv("MKTL_DISCOVERY", "1,2")
    with testing.running(Oven, store="kitchen") as daemon:
        assert mktl.home() == os.environ["MKTL_HOME"] != "/nowhere"
        item = mktl.get("kitchen.setpoint")
        item.set(180)
        assert daemon.store["setpoint"].value == 180
    assert daemon.shutdown.is_set()
    assert os.environ["MKTL_HOME"] == mktl.home() == "/nowhere"
    testing.forget()
    monkeypatch.undo()


def test_no_other_program_notices_the_daemon(monkeypatch):
    """It sends no call by UDP, and answers none."""
    bind = socket.socket.bind
    bound = []
    monkeypatch.setattr(
        socket.socket,
        "bind",
        lambda self, where: (bound.append(where), bind(self, where)),
    )
    with testing.running(items={"x": {}}) as daemon:
        assert daemon.store["x"].value is None
        with pytest.raises(RuntimeError, match="no registry"):
            mktl.discover()
        assert bound == []
