"""Operators by which an item stands for its value in an expression."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

# Texts that `bool` takes for False, in any case.
UNTRUE = frozenset({"false", "f", "no", "n", "off", "disable", ""})


class Operators:
    """The operators of `ByValue`, for type checkers; a loop below defines them."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __iadd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __isub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __imul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __itruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __ifloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __imod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __ipow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __imatmul__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __iand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __ior__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __ixor__(self, other: Any) -> Any: ...
        def __lshift__(self, other: Any) -> Any: ...
        def __rlshift__(self, other: Any) -> Any: ...
        def __ilshift__(self, other: Any) -> Any: ...
        def __rshift__(self, other: Any) -> Any: ...
        def __rrshift__(self, other: Any) -> Any: ...
        def __irshift__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __pos__(self) -> Any: ...
        def __abs__(self) -> Any: ...
        def __invert__(self) -> Any: ...


class ByValue(Operators):
    """Compares and calculates by `value`; in-place operators `set` the result."""

    __slots__ = ()

    value: Any

    def set(self, new_value: Any) -> Any:
        raise NotImplementedError

    # Two items with equal values stay two items in sets and dictionaries.
    def __hash__(self) -> int:
        return id(self)

    # An array is compared element by element, as numpy does.
    def __eq__(self, other: object) -> Any:
        return self.value == _plain(other)

    def __ne__(self, other: object) -> Any:
        return self.value != _plain(other)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy as np  # noqa: PLC0415 - only numpy asks for this

        return np.array(self.value, dtype=dtype, copy=True if copy is None else copy)

    def __float__(self) -> float:
        return float(_no_bytes(self.value))

    def __int__(self) -> int:
        return int(_no_bytes(self.value))

    def __complex__(self) -> complex:
        return complex(_no_bytes(self.value))

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.value, digits)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value)

    def __contains__(self, element: object) -> bool:
        return element in self.value

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __bool__(self) -> bool:
        value = self.value
        if isinstance(value, str):
            return value.lower() not in UNTRUE
        return bool(value)

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __bytes__(self) -> bytes:
        value = self.value
        return value.tobytes() if hasattr(value, "tobytes") else str(self).encode()

    def __divmod__(self, other: Any) -> Any:
        return divmod(self.value, _plain(other))

    def __rdivmod__(self, other: Any) -> Any:
        return divmod(other, self.value)


BINARY = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lshift", "rshift"),
)
COMPARISONS = ("lt", "le", "gt", "ge")
UNARY = ("neg", "pos", "abs", "invert")


def _plain(other: Any) -> Any:
    return other.value if isinstance(other, ByValue) else other


def _no_bytes(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("bytes are not a number")
    return value


def _method(name: str) -> Callable[[Any, Any], Any]:
    if name == "truediv":
        return lambda one, other: _number(one) / _number(other)
    return getattr(operator, f"__{name}__")  # type: ignore[no-any-return]


def _number(value: Any) -> Any:
    """Return the number in a text that is divided. ValueError: it has none."""
    return float(value) if isinstance(value, str) else value


def _forward(name: str) -> Callable[[ByValue, Any], Any]:
    act = _method(name)
    return lambda self, other: act(self.value, _plain(other))


def _reflected(name: str) -> Callable[[ByValue, Any], Any]:
    act = _method(name)
    return lambda self, other: act(other, self.value)


def _in_place(name: str) -> Callable[[ByValue, Any], ByValue]:
    act = _method(name)

    def change(self: ByValue, other: Any) -> ByValue:
        self.set(act(self.value, _plain(other)))
        return self

    return change


def _unary(name: str) -> Callable[[ByValue], Any]:
    act: Callable[[Any], Any] = getattr(operator, f"__{name}__")
    return lambda self: act(self.value)


for _name in BINARY:
    setattr(ByValue, f"__{_name}__", _forward(_name))
    setattr(ByValue, f"__r{_name}__", _reflected(_name))
    setattr(ByValue, f"__i{_name}__", _in_place(_name))
for _name in COMPARISONS:
    setattr(ByValue, f"__{_name}__", _forward(_name))
for _name in UNARY:
    setattr(ByValue, f"__{_name}__", _unary(_name))
