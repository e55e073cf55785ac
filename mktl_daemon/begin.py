"""`get` and `discover`, where programs written for the reference look for them."""

from .find import discover, get

__all__ = ["discover", "get"]
