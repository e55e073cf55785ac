"""Changed values are written to the disk, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from mktl_daemon.server.saver import Saver


class Thing:
    def __init__(self, key):
        self.key = self.full_key = key

    def cached_answer(self):
        return b"", None


class Disk:
    """Keeps what is written. It calls *meanwhile* during a write."""

    def __init__(self):
        self.written = []
        self.meanwhile = lambda: None

    def save(self, key, payload, bulk):
        self.meanwhile()
        self.written.append(key)

    def save_together(self, payloads):
        for key in payloads:
            self.save(key, b"", None)

    def settle(self):
        pass


class Clock:
    """A loop whose time passes when a test says so."""

    def __init__(self):
        self.planned = []

    def later(self, delay, job):
        self.planned.append((delay, job))

    def pass_time(self):
        planned, self.planned = self.planned, []
        for _, job in planned:
            job()


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def saver(disk, clock):
    return Saver(disk, clock, lambda job: job())


def test_a_change_before_the_start_is_written_after_it(saver, disk, clock):
    saver.changed(Thing("a"))
    saver.changed(Thing("b"))
    saver.forget("b")
    assert clock.planned == []
    saver.begin()
    clock.pass_time()
    assert disk.written == ["a"]


def test_many_changes_are_written_at_once(saver, disk, clock):
    saver.begin()
    for _ in range(3):
        saver.changed(Thing("a"))
    assert len(clock.planned) == 1
    clock.pass_time()
    assert disk.written == ["a"]


def test_a_change_during_a_write_is_written_next(saver, disk, clock):
    saver.begin()
    saver.changed(Thing("a"))
    disk.meanwhile = lambda: disk.written or saver.changed(Thing("b"))
    clock.pass_time()
    clock.pass_time()
    assert disk.written == ["a", "b"]


def test_a_value_that_cannot_be_written_is_tried_again_and_reported_once(
    saver, disk, clock, caplog
):
    def fail():
        raise OSError("full")

    saver.begin()
    saver.changed(Thing("a"))
    disk.meanwhile = fail
    clock.pass_time()
    clock.pass_time()
    assert caplog.text.count("full") == 1
    assert clock.planned[0][0] >= 1
    disk.meanwhile = lambda: None
    clock.pass_time()
    assert disk.written == ["a"]
    assert clock.planned == []


def test_the_end_writes_all_changes_and_nothing_is_written_later(saver, disk, clock):
    saver.begin()
    saver.changed(Thing("a"))
    clock.planned.clear()
    saver.close()
    assert disk.written == ["a"]
    saver.changed(Thing("b"))
    assert clock.planned == []


def test_a_saved_value_is_not_overwritten_before_it_was_read(saver, disk):
    saver.changed(Thing("a"))
    saver.save()
    saver.close()
    assert disk.written == []
