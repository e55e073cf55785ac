"""What the demo's table shows of mKTL."""

from __future__ import annotations

import dataclasses

from demo.mirror import shown


@dataclasses.dataclass
class Zero:
    """An item whose value is 0. Such an item is false."""

    value: int = 0
    formatted: str = "ok"

    def __bool__(self):
        return False


def test_a_status_is_shown_as_a_word_also_if_its_number_is_zero():
    assert shown(Zero(), "status") == "ok"
    assert shown(Zero(), "used") == 0
    assert shown(None, "remaining") is None
