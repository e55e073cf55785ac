"""Catalogs in few bytes, for clients that are far away.

A catalog is mostly the same words again and again. In a tenth of its bytes it needs one
way there and back instead of two or more, and fewer packets that may be lost.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

from . import wire
from .errors import MalformedError

# The payload of a GET that takes its answer packed. Who does not know it ignores it.
WANTED = b'{"packed":"zlib"}'

_MOST = 2**28  # bytes of a catalog


def is_wanted(payload: bytes) -> bool:
    """Tell whether a GET with *payload* takes its answer packed."""
    return bool(payload) and wire.fields(payload).get("packed") == "zlib"


def pack(encoded: bytes) -> bytes:
    """Return the payload of an answer whose value is the JSON *encoded*."""
    return wire.dumps({"packed": base64.b64encode(zlib.compress(encoded)).decode()})


def value_of(fields: dict[str, Any]) -> Any:
    """Return the value of an answer with *fields*, packed or not.

    MalformedError: it cannot be unpacked.
    """
    packed = fields.get("packed")
    if packed is None:
        return fields.get("value")
    unpacker = zlib.decompressobj()
    try:
        encoded = unpacker.decompress(base64.b64decode(packed, validate=True), _MOST)
    except (zlib.error, TypeError, ValueError) as error:
        raise MalformedError(f"what is packed cannot be read: {error}") from error
    if not unpacker.eof:
        raise MalformedError(f"what is packed has no end, or over {_MOST} bytes")
    return wire.loads(encoded)
