"""Methods of an item that user code may replace, also on a single item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Hook:
    """A method that an assignment to the item may replace.

    An assignment to ``item.perform_set`` and the like is noted at the item, so that
    requests are not answered past it. Subclasses that override the method are noted
    when they are made.
    """

    def __init__(self, method: Callable[..., Any], mark: str) -> None:
        self.__doc__ = method.__doc__
        self._method = method
        self._mark = mark  # the attribute that marks an item with its own method
        self._own = f"_own_{method.__name__}"

    def __get__(self, item: Any, kind: type) -> Any:
        if item is None:
            return self._method
        own = item.__dict__.get(self._own)
        return MethodType(self._method, item) if own is None else own

    def __set__(self, item: Any, method: Callable[..., Any]) -> None:
        item.__dict__[self._own] = method
        item.__dict__[self._mark] = True


def get_hook(method: F) -> F:
    """Let user code take part in a GET with refresh by replacing *method*."""
    return cast("F", Hook(method, "uses_get_code"))


def set_hook(method: F) -> F:
    """Let user code take part in a SET by replacing *method*."""
    return cast("F", Hook(method, "uses_set_code"))


def overrides(cls: type, base: type, names: Iterable[str]) -> bool:
    """Tell whether *cls* has one of the methods *names* from elsewhere than *base*."""
    return any(getattr(cls, name) is not getattr(base, name) for name in names)
