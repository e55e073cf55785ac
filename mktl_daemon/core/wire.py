"""Converts frames to messages and back, without sockets, threads or a clock."""

from __future__ import annotations

import contextlib
import getpass
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from mktl_daemon.errors import MalformedError

VERSION = b"a"
GET, SET, ACK, REP = b"GET", b"SET", b"ACK", b"REP"
HASH, CONFIG = b"HASH", b"CONFIG"  # request types from before these were items

# Bits of the flags frame.
NO_ACK = 1
NO_REP = 2

Buffer = bytes | memoryview

_MAX_FLAGS = 8  # bytes; the protocol defines two bits


class Request(NamedTuple):
    """A client's request. *bulk* is None if the frame is absent.

    An *early* one has no frame for flags, and neither have the answers to it.
    """

    ident: bytes
    kind: bytes
    target: str
    flags: int = 0
    payload: bytes = b""
    bulk: Buffer | None = None
    early: bool = False

    def encode(self) -> list[Buffer]:
        frames: list[Buffer] = [VERSION, self.ident, self.kind, self.target.encode()]
        if not self.early:
            frames.append(bytes([self.flags]) if self.flags else b"")
        frames.append(self.payload)
        if self.bulk is not None:
            frames.append(self.bulk)
        return frames

    @classmethod
    def decode(cls, frames: Sequence[Buffer]) -> Request:
        early, ident, kind, target, flags, payload, bulk = _parts(frames)
        name = _text(target)
        if kind in (HASH, CONFIG):
            kind, name = _modern(kind, name, payload)
        if kind not in (GET, SET):
            raise MalformedError(f"a request must be GET or SET, not {kind!r}")
        return cls(ident, kind, name, _flags(flags), payload, bulk, early)


class Answer(NamedTuple):
    """A daemon's message for a request: the ACK at once, the REP when it is done."""

    ident: bytes
    kind: bytes
    payload: bytes = b""
    bulk: Buffer | None = None
    early: bool = False

    @classmethod
    def decode(cls, frames: Sequence[Buffer]) -> Answer:
        early, ident, kind, _, _, payload, bulk = _parts(frames)
        if kind not in (ACK, REP):
            raise MalformedError(f"an answer must be ACK or REP, not {kind!r}")
        return cls(ident, kind, payload, bulk, early)


class Publication(NamedTuple):
    """A new value for the subscribers; *topic* ends with a dot."""

    topic: bytes
    payload: bytes
    bulk: Buffer | None = None

    @classmethod
    def decode(cls, frames: Sequence[Buffer]) -> Publication:
        if not 3 <= len(frames) <= 4:
            raise MalformedError(f"a message has 3 or 4 frames, not {len(frames)}")
        _check_version(bytes(frames[1]))
        bulk = frames[3] if len(frames) == 4 else None
        return cls(bytes(frames[0]), bytes(frames[2]), bulk)


def topic(full_key: str) -> bytes:
    """Return a key's topic. Topics match by prefix; the dot keeps ``a.bc`` apart."""
    return full_key.encode() + b"."


def _plain(value: Any) -> Any:
    """Numpy's scalars and arrays of a few numbers, for JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON has no {type(value).__name__}")


# Python to JSON. TypeError: JSON has no such value. NaN becomes null.
dumps: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_plain).encode


# The field that says which number a null in `value` stands for.
REFRESH = dumps({"refresh": True})  # the payload of a GET that looks the value up
NONFINITE = "nonfinite"


def nonfinite(value: Any) -> str | dict[str, str] | None:
    """Return the field beside *value* for numbers that JSON lacks, or None.

    It is the number's text (``nan``, ``inf``, ``-inf``), or for a list the texts by
    index.
    """
    if isinstance(value, float):
        return None if math.isfinite(value) else str(value)
    if hasattr(value, "tolist"):
        value = value.tolist()
        if isinstance(value, float):
            return nonfinite(value)
    if not isinstance(value, list | tuple):
        return None
    marks = {
        str(index): str(float(each))
        for index, each in enumerate(value)
        if isinstance(each, float) and not math.isfinite(each)
    }
    return marks or None


def restore(value: Any, marks: Any) -> Any:
    """Return *value* with the numbers of `nonfinite` in their places."""
    if value is None and isinstance(marks, str):
        return _number(marks)
    if not isinstance(value, list) or not isinstance(marks, dict):
        return value
    return [
        _number(marks[str(index)]) if each is None and str(index) in marks else each
        for index, each in enumerate(value)
    ]


def _number(mark: Any) -> float | None:
    return float(mark) if mark in ("nan", "inf", "-inf") else None


def loads(data: bytes) -> Any:
    """JSON to Python; MalformedError for what is not JSON.

    ``NaN`` and ``Infinity`` are read as well: Python's own json writes them.
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        with contextlib.suppress(ValueError, RecursionError):
            if b"NaN" in data or b"Infinity" in data:
                return json.loads(data)
        raise MalformedError(f"not JSON: {error}") from error


def fields(payload: bytes) -> dict[str, Any]:
    """Return a payload's fields; an empty payload has none."""
    if not payload:
        return {}
    decoded = loads(payload)
    if not isinstance(decoded, dict):
        raise MalformedError("a payload must be a JSON object")
    return decoded


def error_fields(kind: str, text: str, debug: str = "") -> bytes:
    error = {"type": kind, "text": text}
    if debug:
        error["debug"] = debug
    return dumps({"value": None, "error": error})


# Of a payload's fields, where they are given without their names.
_IN_ORDER = ("value", "time", "error", "bulk", "shape", "dtype", "refresh")


class Payload:
    """A message's fields as attributes; one that is not there raises AttributeError.

    Everything but *bulk* is sent as JSON. Fields that are None are not sent,
    *value* excepted.
    """

    omit: set[str]  # names of attributes that are not sent
    value: Any

    # What comes from a peer may have a field of any name, "self" too.
    def __init__(self, /, *in_order: Any, **fields: Any) -> None:
        """Fields may come in the order that they had before July 2026."""
        if "omit" in fields:
            raise ValueError("'omit' is not a field of a payload")
        if len(in_order) > len(_IN_ORDER):
            raise TypeError(f"fields without a name are at most: {_IN_ORDER}")
        fields |= dict(zip(_IN_ORDER, in_order, strict=False))
        self.omit = {"bulk", "omit"}
        vars(self).update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this payload has no {name!r}")

    def __repr__(self) -> str:
        return self.encapsulate().decode()

    def add_origin(self) -> None:
        """Add the sender: user, host, process and command line."""
        vars(self).update(origin())

    def encapsulate(self) -> bytes:
        """Return the JSON that is sent."""
        fields = {
            name: value
            for name, value in vars(self).items()
            if name not in self.omit and (value is not None or name == "value")
        }
        marks = nonfinite(fields.get("value"))
        return dumps(fields if marks is None else {**fields, NONFINITE: marks})


def origin() -> Mapping[str, Any]:
    """Return the fields of a SET that name this process."""
    return _origin(os.getpid())


def encoded_origin() -> bytes:
    """Return the JSON of `origin` without its opening brace."""
    return _encoded_origin(os.getpid())


# A process that is forked has another number, so it does not find its parent's.
@cache
def _origin(pid: int) -> Mapping[str, Any]:
    return {
        "_user": _user(),
        "_hostname": platform.node(),
        "_pid": pid,
        "_ppid": os.getppid(),
        "_executable": sys.executable,
        "_argv": list(sys.argv),
    }


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user has no name
        return None


@cache
def _encoded_origin(pid: int) -> bytes:
    return dumps(_origin(pid))[1:]


def _parts(
    frames: Sequence[Buffer],
) -> tuple[bool, bytes, bytes, bytes, bytes, bytes, Buffer | None]:
    """Return whether a message is early, and all behind its version."""
    early = _is_early(frames)
    count = 5 if early else 6
    if not count <= len(frames) <= count + 1:
        raise MalformedError(f"a message has 6 or 7 frames, not {len(frames)}")
    version, ident, kind, target, *rest = map(bytes, frames[:count])
    _check_version(version)
    flags, payload = (b"", *rest) if early else rest
    bulk = frames[count] if len(frames) > count else None
    return early, ident, kind, target, flags, payload, bulk


def _is_early(frames: Sequence[Buffer]) -> bool:
    """Tell whether a message has no flags, as none had before June 2026.

    Only what cannot be anything else is taken for one: a message that lost a frame
    is an error.
    """
    if not 5 <= len(frames) <= 6:
        return False
    if len(frames[4]) > 1 and bytes(frames[4][:1]) == b"{":
        return True
    return len(frames) == 5 and bytes(frames[2]) in (HASH, CONFIG, ACK, REP)


def _modern(kind: bytes, store: str, payload: bytes) -> tuple[bytes, str]:
    """Return the request that took the place of HASH or CONFIG of a store."""
    if kind == HASH:
        return GET, f"{store}._hash" if store else "_hash"
    announced = payload and fields(payload).get("value")
    return (SET, "_config") if announced else (GET, f"{store}._config")


def _check_version(version: bytes) -> None:
    if version != VERSION:
        raise MalformedError(f"version {VERSION!r} is spoken here, not {version!r}")


def _text(target: bytes) -> str:
    try:
        return target.decode().lower()
    except UnicodeDecodeError as error:
        raise MalformedError("the target is not UTF-8") from error


def _flags(flags: bytes) -> int:
    if len(flags) > _MAX_FLAGS:
        raise MalformedError(f"flags of {len(flags)} bytes")
    return int.from_bytes(flags, "big")


Raw = msgspec.Raw  # JSON in what is to become JSON

_decode = msgspec.json.Decoder().decode
