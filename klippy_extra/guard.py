"""Wraps every function of this extra that Klipper's reactor calls.

An exception that escapes a timer, callback, event handler or endpoint ends the
reactor or shuts the printer down in the middle of a print, so none may escape.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

if TYPE_CHECKING:
    from .klipper_objects import Printer

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])


def guarded(
    function: Function,
    what: str,
    default: Any = None,
    through: tuple[type[BaseException], ...] = (),
) -> Function:
    """Wrap a function that the reactor calls. Only the errors *through* can escape.

    The first fault is logged with its traceback. Repeated faults are only counted until
    the function works again. After a fault, *default* is returned: it is a value, or a
    function of the same arguments (a timer must return when it wakes next).
    """
    faults = 0

    @functools.wraps(function)
    def entry(*args: Any, **kwargs: Any) -> Any:
        nonlocal faults
        try:
            result = function(*args, **kwargs)
        except through:
            raise
        except Exception:
            if not faults:
                logging.exception("maintain: %s failed; printing goes on", what)
            faults += 1
            return default(*args, **kwargs) if callable(default) else default
        if faults > 1:
            logging.info("maintain: %s works again after %d faults", what, faults)
        faults = 0
        return result

    return cast("Function", entry)


class Handlers:
    """Handlers of events. One that fails is a problem until it works again."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._failed: set[str] = set()

    @property
    def failing(self) -> bool:
        """Whether the last call of any handler failed."""
        return bool(self._failed)

    def add(self, event: str, handle: Callable[..., Any]) -> None:
        def handled(*args: Any) -> None:
            handle(*args)
            self._failed.discard(event)

        def failed(*args: Any) -> None:
            self._failed.add(event)

        entry = guarded(handled, event, failed)
        self._printer.register_event_handler(event, entry)


def unharmed(wait: Callable[[], Result]) -> Result | None:
    """Return what *wait* returns, or None if Klipper ends meanwhile.

    When Klipper ends, it raises GreenletExit in each waiting greenlet. A macro that
    lets this exception pass ends in "Internal error" and a shutdown.
    """
    try:
        return wait()
    except Exception:
        raise
    except BaseException:  # noqa: BLE001 - the extra does not import greenlet's classes
        return None
