"""What Klippy sends to the clients of its API socket: plain values alone."""

import json

PLAIN = (str, int, float, bool, type(None))


def encode(data: object) -> bytes:
    """Return *data* as JSON, or raise what msgspec raises, which newer Klippers use.

    msgspec refuses subclasses of `str` and of numbers, and halves of surrogate pairs.
    """
    require_plain(data)
    return json.dumps(data, ensure_ascii=False).encode()


def require_plain(value: object) -> None:
    if type(value) is dict:
        for key, each in value.items():
            if type(key) is not str:
                raise TypeError(f"{key!r} is no name in JSON")
            require_plain(each)
    elif type(value) in (list, tuple):
        for each in value:
            require_plain(each)
    elif type(value) not in PLAIN:
        raise TypeError(
            f"Encoding objects of type {type(value).__name__} is unsupported"
        )
