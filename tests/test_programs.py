"""What counts as an error in the log of a program that a test started."""

from __future__ import annotations

import pytest

from tests import programs

TRACE = "Traceback (most recent call last):\n  File\nValueError: no\n"


@pytest.mark.parametrize(
    ("log", "errors"),
    [
        ("2026-11-27 04:20:39,518 WARNING no connection\n", 0),
        ("2026-11-27 04:20:39,518 ERROR push: an event was dropped\n", 1),
        ("2026-11-27 04:20:39,518 DEBUG upkeep.done is refused\n" + TRACE, 0),
        ("2026-11-27 04:20:39,518 a callback of pie.fruit failed\n" + TRACE, 1),
        (TRACE, 1),
    ],
)
def test_a_log_tells_of_errors_and_of_refusals(log, errors):
    assert len(programs.errors_in(log)) == errors


def test_each_error_is_told_once(tmp_path):
    log = tmp_path / "log"
    log.write_text("from before\n" + TRACE)
    programs.watch_log(log)
    with log.open("a") as more:
        more.write(TRACE)

    assert len(programs.errors_logged()) == 1
    assert programs.errors_logged() == []
