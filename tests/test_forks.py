"""A forked program behaves like one that Python starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests import forks


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("mktl_daemon.cli.mk", ["--help"]),
        ("mktl_daemon.cli.mk", ["get"]),
        ("mqtt_bridge", ["--version"]),
        ("mqtt_bridge", ["--set", "broker.port=no"]),
        ("json.tool", []),  # It reads its input, which is empty.
    ],
)
def test_it_prints_and_ends_in_the_same_way(program, arguments):
    plain = subprocess.run(
        [sys.executable, "-m", program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=forks.ROOT,
    )
    forked = forks.run(program, *arguments, env=os.environ)

    for name in ("returncode", "stdout", "stderr"):
        assert getattr(forked, name) == getattr(plain, name)


SHOW = """
import os, sys
files = sorted(os.listdir("/proc/self/fd"))
print(os.getcwd(), sys.argv[1:], os.environ.get("MARK"), files)
"""


def test_it_has_its_own_environment_folder_and_files(tmp_path):
    (tmp_path / "show.py").write_text(SHOW)
    variables = {**os.environ, "MARK": "1", "PYTHONPATH": str(tmp_path)}
    with (tmp_path / "out").open("w") as out:
        show = forks.start(
            "show", "a", "b", env=variables, cwd=tmp_path, stdout=out, stderr=out
        )
        assert show.wait(20) == 0
    # The last descriptor is that of the folder which is listed.
    seen = f"{tmp_path} ['a', 'b'] 1 ['0', '1', '2', '3']\n"
    assert (tmp_path / "out").read_text() == seen


def test_it_gets_signals_and_its_end_is_reported(tmp_path):
    (tmp_path / "sleep.py").write_text("import time\ntime.sleep(99)")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for number in (signal.SIGTERM, signal.SIGKILL):
        with (tmp_path / "out").open("w") as out:
            sleep = forks.start("sleep", env=variables, stdout=out, stderr=out)
        assert sleep.poll() is None
        sleep.send_signal(number)
        assert sleep.wait(20) == sleep.poll() == -number


def test_what_python_reads_at_its_start_needs_a_process_that_is_not_forked():
    assert not forks.is_usual({**os.environ, "PYTHONUTF8": "0"})
    assert not forks.is_usual({**os.environ, "LC_ALL": "xx"})
    assert forks.is_usual({**os.environ, "MKTL_HOME": "xx", "PYTHONPATH": "xx"})
