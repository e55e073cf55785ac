"""Only one Klippy uses a store."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from klippy_extra.storage.owner import OccupiedError, Owner

ROOT = Path(__file__).parents[3]
HOLDER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from klippy_extra.storage.owner import Owner
Owner(Path(sys.argv[1]), "which runs /home/pi/a/printer.cfg").take()
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "upkeep.sqlite"


@pytest.fixture
def holder(path):
    """Another process that uses the store."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"taken\n"
        yield process
        process.kill()


def test_a_second_process_is_told_which_process_uses_the_store(path, holder):
    with pytest.raises(OccupiedError) as refusal:
        Owner(path, "which runs b.cfg").take()
    text = f"process {holder.pid}, which runs /home/pi/a/printer.cfg"
    assert text in str(refusal.value)


def test_a_killed_process_releases_the_store(path, holder):
    holder.kill()
    holder.wait()
    owner = Owner(path, "which runs b.cfg")
    owner.take()
    owner.take()  # The next Klippy can take the store and keep it.
    owner.leave()


def test_a_thread_from_before_a_restart_is_not_another_klippy(path):
    earlier = Owner(path, "which runs a.cfg")
    earlier.take()
    now = Owner(path, "which runs a.cfg")
    with pytest.raises(OSError, match="the last save of this process"):
        now.take()
    earlier.leave()
    now.take()
    now.leave()


def test_a_file_system_without_locks_lets_every_process_use_the_store(
    path, monkeypatch
):
    def flock(file, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    Owner(path, "").take()
    Owner(path, "").take()


def test_an_owner_whose_name_was_not_written_is_called_unknown(path, holder):
    Path(f"{path}.lock").write_text("")
    with pytest.raises(OccupiedError, match="its name is not known"):
        Owner(path, "").take()
