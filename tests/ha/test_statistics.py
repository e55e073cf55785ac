"""Long-term statistics still have next year what a meter counted last month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.ha.conftest import BACKUP, FILAMENT, RESTORED
from tests.ha.home_assistant import until

PERIOD = 310.0  # Home Assistant makes statistics every five minutes (seconds).


def rows(home, meter: str = FILAMENT) -> list[dict[str, float]]:
    start = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    rows: dict[str, list[dict[str, float]]] = home.ask(
        "recorder/statistics_during_period",
        start_time=start,
        statistic_ids=[meter],
        period="5minute",
    )
    return rows.get(meter, [])


def test_printed_filament_is_in_the_sum_of_the_statistics(home, printed):
    def compiled():
        kept = rows(home)
        return kept and kept[-1]["state"] == printed and kept

    kept = until(compiled, "statistics", PERIOD)

    assert printed > 0
    assert kept[-1]["sum"] == pytest.approx(printed)
    assert [row["sum"] for row in kept] == sorted(row["sum"] for row in kept)


def test_a_meter_from_a_backup_does_not_increase_the_sum(home):
    """1500 hours become 1300 and then 1310: the loss is subtracted and not added."""
    first, *_, last = RESTORED

    def compiled():
        kept = rows(home, BACKUP)
        return kept and kept[-1]["state"] == last and kept

    kept = until(compiled, "statistics", PERIOD)

    assert kept[-1]["sum"] == pytest.approx(last - first)


def test_no_statistic_of_the_printer_has_a_fault(home, printed):
    """Faults of other printers that were deleted do not count."""
    known = {each["statistic_id"]: each for each in home.statistics()}

    assert known["sensor.voron_print_time"]["statistics_unit_of_measurement"] == "h"
    assert known["sensor.voron_print_time"]["has_sum"]
    wrong = home.ask("recorder/validate_statistics")
    assert {each: wrong[each] for each in wrong if ".voron_" in each} == {}
