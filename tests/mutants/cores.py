"""The cores: files that only compute, and the fast tests near each of them."""

from __future__ import annotations

from typing import NamedTuple


class Core(NamedTuple):
    """A core. Paths are relative to the repository."""

    files: tuple[str, ...]
    tests: tuple[str, ...]  # arguments of pytest


_LEDGER = "klippy_extra/ledger"
_FLEET = "mqtt_bridge/fleet"
_EXTRA = "tests/klippy_extra"
_COUNTED = (
    f"{_EXTRA}/test_ledger.py",
    f"{_EXTRA}/test_ledger_edges.py",
    f"{_EXTRA}/test_conditions.py",
    f"{_EXTRA}/test_records.py",
    f"{_EXTRA}/test_carry_out.py",
    f"{_EXTRA}/test_carry_out_edges.py",
    f"{_EXTRA}/test_policies.py",
    f"{_EXTRA}/test_parts_edges.py",
    f"{_EXTRA}/test_precision.py",
    f"{_EXTRA}/storage/test_joining.py",
    f"{_EXTRA}/storage/test_stamps.py",
)

CORES = {
    "ledger": Core((f"{_LEDGER}/ledger.py", f"{_LEDGER}/inventory.py"), _COUNTED),
    "counters": Core(
        (
            f"{_LEDGER}/records.py",
            f"{_LEDGER}/conditions.py",
            f"{_LEDGER}/precision.py",
            f"{_LEDGER}/stamps.py",
        ),
        _COUNTED,
    ),
    "commands": Core(
        (
            "klippy_extra/upkeep/carry_out.py",
            "klippy_extra/upkeep/parts.py",
        ),
        _COUNTED,
    ),
    "contract": Core(("klippy_extra/contract.py",), ("tests/contract",)),
    "exchange": Core(
        ("mktl_daemon/core/exchange.py",),
        ("tests/mktl_daemon/unit/core/test_exchange.py",),
    ),
    "transactions": Core(
        (f"{_FLEET}/transactions.py",),
        ("tests/mqtt_bridge/fleet/test_transactions.py",),
    ),
    "catalog": Core(
        ("mktl_daemon/core/catalog.py",),
        (
            "tests/mktl_daemon/unit/core/test_catalog.py",
            "tests/mktl_daemon/unit/core/test_formats.py",
            "tests/mktl_daemon/unit/core/test_nonfinite.py",
        ),
    ),
    "fleet": Core(
        (
            f"{_FLEET}/fleet.py",
            f"{_FLEET}/items.py",
            f"{_FLEET}/decode.py",
            f"{_FLEET}/records.py",
            f"{_FLEET}/sharding.py",
        ),
        ("tests/mqtt_bridge/fleet",),
    ),
}
