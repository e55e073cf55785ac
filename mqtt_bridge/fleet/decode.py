"""Reads a task's state many times as fast as the contract's own decoder. Pure.

It refuses more: a state that it refuses may still be right. The caller then uses the
contract's decoder, whose error tells what is wrong.
"""

from __future__ import annotations

import functools
import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from mqtt_bridge import contract
from mqtt_bridge.contract import ContractError, Limit, State

_Count = Annotated[int, Meta(ge=0, le=contract.MAX_COUNT)]
_Text = Annotated[str, Meta(max_length=contract.MAX_LONG)]
_C1 = re.compile(rb"\xc2[\x80-\x9f]")  # control characters in UTF-8


class _Limit(Struct, gc=False):
    meter: str
    unit: str
    threshold: float
    used: float
    remaining: float
    percent: float
    warn_at: float = 0.0


class _State(Struct, gc=False):
    schema: Annotated[int, Meta(ge=0, le=contract.SCHEMA)]
    seq: _Count
    time: float
    task: str
    label: _Text
    limits: Annotated[list[_Limit], Meta(max_length=contract.MAX_LIMITS)]
    trigger: str
    status: str
    match: str
    enabled: bool
    done_count: _Count
    message: _Text = ""
    guide: _Text = ""
    parts: _Text = ""
    snoozed_until: str | None = None
    last_done: str | None = None
    last_by: _Text = ""
    due_at: str | None = None
    problem: str | None = None
    # Fields of the few tasks that learn, and of parts: the contract reads them.
    due_from: Raw | UnsetType = UNSET
    due_to: Raw | UnsetType = UNSET
    habit: Raw | UnsetType = UNSET
    suggestion: Raw | UnsetType = UNSET
    kind: Raw | UnsetType = UNSET
    place: Raw | UnsetType = UNSET
    places: Raw | UnsetType = UNSET

    @property
    def is_common(self) -> bool:
        return (
            self.due_from is UNSET
            and self.due_to is UNSET
            and self.habit is UNSET
            and self.suggestion is UNSET
            and self.kind is UNSET
            and self.place is UNSET
            and self.places is UNSET
        )


_decoder = msgspec.json.Decoder(_State)
_moment = functools.lru_cache(maxsize=65536)(contract.moment)


def state(payload: bytes, task: str) -> State | None:
    """Return *task*'s state, or None: ask the contract."""
    if _may_hold_controls(payload):
        return None  # the contract cleans texts
    try:
        payload.decode()  # msgspec does not look into fields that it skips
        fields = _decoder.decode(payload)
        if not fields.is_common:
            return None
        limits = tuple(
            [
                Limit(
                    each.meter, each.unit, each.threshold, each.used,
                    each.remaining, each.percent, each.warn_at,
                )
                for each in fields.limits
            ]
        )  # fmt: skip
        made = State(
            fields.seq, fields.time, task, fields.label, limits, fields.trigger,
            fields.status, fields.message, fields.guide, fields.parts, fields.match,
            fields.enabled,
            _optional(fields.snoozed_until),
            _optional(fields.last_done),
            fields.last_by, fields.done_count,
            _optional(fields.due_at), fields.problem,
        )  # fmt: skip
    # A deeply nested text is a RecursionError.
    except (ValueError, RecursionError):
        return None
    fits = (
        fields.task == task
        and fields.status in contract.STATUSES
        and fields.match in contract.MATCHES
        and fields.trigger in [each.meter for each in limits]
        and len(payload) <= contract.MAX_PAYLOAD
    )
    return made if fits else None


def _may_hold_controls(payload: bytes) -> bool:
    """Whether there is an escape, DEL, or C1. To look for a byte costs little."""
    if b"\\" in payload or b"\x7f" in payload:
        return True
    return b"\xc2" in payload and _C1.search(payload) is not None


def _optional(text: str | None) -> int | None:
    return None if text is None else _moment(text)


def parse(payload: bytes) -> dict[str, Any]:
    """Do as contract.parse, several times as fast. ContractError."""
    if len(payload) > contract.MAX_PAYLOAD:
        raise ContractError(f"more than {contract.MAX_PAYLOAD} bytes")
    try:
        fields = msgspec.json.decode(payload)
    # A deeply nested text is a RecursionError.
    except (ValueError, RecursionError) as error:
        raise ContractError(f"not JSON: {error}"[:200]) from None
    if not isinstance(fields, dict):
        raise ContractError("not a JSON object")
    return fields
