"""Checks the documents of a store. One that is not valid gets another name. Pure.

An unknown document, which a newer version has written, is accepted.
"""

from __future__ import annotations

import json
import math
from typing import Any, Callable, Sequence

from ..contract import CONDITIONS, Entry
from ..language import tr

Check = Callable[[Any], bool]


def checked(name: str, body: Any) -> Any:
    """Return the value of a document. ValueError: it is not valid."""
    if not isinstance(body, str):
        raise ValueError(tr("the document '{name}' is no text", name=name))  # noqa: TRY004
    try:
        value = json.loads(body)
    except RecursionError:
        raise ValueError(
            tr("the document '{name}' is nested too deeply", name=name)
        ) from None
    check = _record if name.startswith("task/") else CHECKS.get(name)
    if check is not None and not check(value):
        raise ValueError(tr("the document '{name}' is not valid", name=name))
    return value


def entry(row: Sequence[Any]) -> Entry | None:
    """Return an entry of the log. None: the row is not valid."""
    try:
        used = json.loads(row[5])
    except (ValueError, RecursionError, TypeError):
        used = None
    if not (_whole(row[0]) and all(map(_text, row[1:5]))):
        return None
    when, task, event, who, note = row[:5]
    condition = row[6] if row[6] in CONDITIONS else ""
    used = used if _numbers(used) else {}
    return Entry(when, task, event, who, note, used, condition)


def _number(value: Any) -> bool:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return plain and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _object_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _row(*checks: Check) -> Check:
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(checks)
        and all(check(each) for check, each in zip(checks, value))
    )


def _fields(**checks: Check) -> Check:
    """Return a check of an object. Those of its fields that have a check must pass."""
    return lambda value: (
        isinstance(value, dict)
        and all(check(value[name]) for name, check in checks.items() if name in value)
    )


_numbers = _object_of(_number)
_pairs = _object_of(_row(_number, _number))
_moment = _or_none(_number)

_record = _fields(
    start=_numbers,
    counters=_object_of(_text),
    held=_numbers,
    enabled=_flag,
    configured_disabled=_flag,
    thresholds=_pairs,
    warns=_pairs,
    snoozed_until=_moment,
    snoozed_to=_moment,
    last_done=_moment,
    last_by=_text,
    done_count=_whole,
    announced=lambda value: value in ("ok", "soon", "due"),
    due_since=_moment,
    reminded=_moment,
    ran=_moment,
    imported=_flag,
    place=_or_none(_text),
    export=_object,
    imports=_list_of(_text),
)

CHECKS: dict[str, Check] = {
    "meters": _fields(readings=_numbers, rates=_pairs),
    "memory": _object_of(_object),
    "marks": _list_of(_row(_number, _numbers)),
    # transaction, task, seq, code, text
    "answers": _list_of(_row(_text, _text, _or_none(_whole), _or_none(_text), _text)),
    "printer": _fields(uuid=_text, seq=_whole),
    "moonraker": lambda value: (
        isinstance(value, list) and 2 <= len(value) <= 3 and all(map(_number, value))
    ),
    "clock": _fields(
        boot=_text,
        offset=_moment,
        at=_moment,
        records=_object_of(_numbers),
        rows=_list_of(_row(_number, _text, _text)),
        marks=_list_of(_number),
    ),
    "history": _text,
    "material": _text,
    "published": _fields(
        base=_text,
        printer=_text,
        tasks=_list_of(_text),
        discovery=_text,
        components=_object_of(_text),
    ),
    "unpublish": _list_of(_text),
}
