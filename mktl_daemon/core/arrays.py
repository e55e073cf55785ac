"""Values that are arrays: bytes, with their shape and their dtype beside them."""

from __future__ import annotations

import math
from typing import Any

from .wire import Buffer

_KINDS = "biufc"  # numpy's letters for the kinds of plain numbers

_PART = 2**18  # bytes that are compared at a time

Parts = tuple[Buffer, list[int], str]


def is_array(value: Any) -> bool:
    """Tell whether *value* travels as bulk: arrays do, and plain bytes."""
    if isinstance(value, bytes | bytearray | memoryview):
        return True
    return hasattr(value, "dtype") and bool(getattr(value, "shape", ()))


def take_apart(value: Any, copy: bool = True) -> Parts:
    """Return a copy of an array's bytes, its shape and its dtype.

    Without *copy* they are its own, where they lie in order. TypeError: its elements
    are not plain numbers.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value) if copy else memoryview(value).cast("B")
        return data, [len(data)], "uint8"
    if value.dtype.kind not in _KINDS:
        raise TypeError(f"an array of {value.dtype} cannot be sent")
    native = value.astype(value.dtype.newbyteorder("="), copy=False)
    shape, dtype = list(native.shape), str(native.dtype)
    if copy or not native.flags.c_contiguous:
        return native.tobytes(), shape, dtype
    return memoryview(native.reshape(-1).view("uint8")), shape, dtype


def put_together(data: Buffer, shape: Any, dtype: Any) -> Any:
    """Return the numpy array, read-only, that `take_apart` took apart.

    ValueError: the bytes do not make an array of that shape and dtype. ImportError:
    numpy is not installed.
    """
    try:
        import numpy as np  # noqa: PLC0415 - slow to import, and may be missing
    except ImportError:
        raise ImportError(
            "arrays need numpy: install it, or this package's extra 'arrays'"
        ) from None
    try:
        kind = np.dtype(str(dtype))
        sides = [int(side) for side in shape]
    except TypeError as error:
        raise ValueError(
            f"{dtype!r} of shape {shape!r} is no array: {error}"
        ) from error
    size = math.prod(sides) * kind.itemsize
    if kind.kind not in _KINDS or min(sides, default=0) < 0 or size != len(data):
        raise ValueError(f"{len(data)} bytes are no array of {dtype} {sides}")
    made = np.frombuffer(data, dtype=kind).reshape(sides)
    made.flags.writeable = False
    return made


def are_same_bytes(one: Buffer, other: Buffer) -> bool:
    """Compare bytes; the first part of them that differs is enough."""
    if isinstance(one, bytes) and isinstance(other, bytes):
        return one == other
    if len(one) != len(other):
        return False
    # Python compares a memoryview a hundred times as slowly.
    steps = range(0, len(one), _PART)
    return all(bytes(one[i : i + _PART]) == bytes(other[i : i + _PART]) for i in steps)


def is_same(one: Any, other: Any) -> bool:
    """Compare arrays: shape, dtype and every element."""
    try:
        return bool(
            one.shape == other.shape
            and one.dtype == other.dtype
            and one.tobytes() == other.tobytes()
        )
    except AttributeError:
        return False
