"""Long-term statistics: what a meter counted last month is there next year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.ha.conftest import BACKUP, FILAMENT, RESTORED
from tests.ha.home_assistant import until

PERIOD = 310.0  # seconds: Home Assistant compiles statistics each five minutes


def rows(home, meter: str = FILAMENT) -> list[dict[str, float]]:
    start = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    found: dict[str, list[dict[str, float]]] = home.ask(
        "recorder/statistics_during_period",
        start_time=start,
        statistic_ids=[meter],
        period="5minute",
    )
    return found.get(meter, [])


def test_what_is_printed_is_in_the_sum_that_statistics_keep(home, printed):
    def compiled():
        kept = rows(home)
        return kept and kept[-1]["state"] == printed and kept

    kept = until(compiled, "statistics", PERIOD)

    assert printed > 0
    assert kept[-1]["sum"] == pytest.approx(printed)
    assert [row["sum"] for row in kept] == sorted(row["sum"] for row in kept)


def test_a_meter_that_comes_from_a_backup_bends_no_sum(home):
    """1500 hours that become 1300 and 1310: what fell is taken off, and not added."""
    first, *_, last = RESTORED

    def compiled():
        kept = rows(home, BACKUP)
        return kept and kept[-1]["state"] == last and kept

    kept = until(compiled, "statistics", PERIOD)

    assert kept[-1]["sum"] == pytest.approx(last - first)


def test_nothing_is_wrong_with_any_statistic_of_the_printer(home, printed):
    """What other printers left when they were deleted is Home Assistant's to tell."""
    known = {each["statistic_id"]: each for each in home.statistics()}

    assert known["sensor.voron_print_time"]["statistics_unit_of_measurement"] == "h"
    assert known["sensor.voron_print_time"]["has_sum"]
    wrong = home.ask("recorder/validate_statistics")
    assert {each: wrong[each] for each in wrong if ".voron_" in each} == {}
