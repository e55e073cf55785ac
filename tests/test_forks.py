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


LAST = """
import atexit, sys, threading, time
atexit.register(print, "the end")
threading.Timer(0.2, print, ["the thread"]).start()
sys.stdout.write("begun\\n")
sys.exit({code})
"""


@pytest.mark.parametrize("code", ["", "0", "3", "300", "-1", "True", "'wrong'"])
def test_it_ends_after_its_threads_and_all_that_is_registered(tmp_path, code):
    (tmp_path / "last.py").write_text(LAST.format(code=code))
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    plain = subprocess.run(
        [sys.executable, "-m", "last"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    forked = forks.run("last", env=variables)

    assert forked.stdout == plain.stdout == "begun\nthe thread\nthe end\n"
    assert forked.stderr == plain.stderr
    assert forked.returncode == plain.returncode


def test_output_that_cannot_be_written_is_reported_at_the_end(tmp_path):
    (tmp_path / "last.py").write_text("print('lost')")
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with open("/dev/full", "w") as full, (tmp_path / "err").open("w+") as err:  # noqa: PTH123
        last = forks.start("last", env=variables, stdout=full, stderr=err)
        assert last.wait(20) == 120
        err.seek(0)
        assert "No space left on device" in err.read()


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
