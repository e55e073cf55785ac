"""Tells whether the store was written on this machine, or on another one.

A copied card gives two printers one identity, and each would take the other's
connection and topics over. The store remembers the machine: by the serial number of its
processor, its network adapters and the system's id. A new host name says nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, NamedTuple

ROOT = Path("/")
SERIALS = (
    "sys/firmware/devicetree/base/serial-number",
    "sys/class/dmi/id/product_uuid",
)
LONGEST = 200  # characters that are read of a file


class Machine(NamedTuple):
    """The features that identify a machine; "" and () if they are unknown."""

    serial: str = ""
    adapters: tuple[str, ...] = ()  # addresses of network adapters that are hardware
    system: str = ""  # /etc/machine-id, which a copied card has too

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Machine:
        return cls(
            str(document.get("serial") or ""),
            tuple(map(str, document.get("adapters") or ())),
            str(document.get("system") or ""),
        )

    def is_other(self, known: Machine) -> bool:
        """Return whether this is certainly another machine than the *known* one."""
        if self.serial and known.serial:
            return self.serial != known.serial
        if self.adapters and known.adapters:
            return not set(self.adapters) & set(known.adapters)
        return bool(self.system and known.system) and self.system != known.system


def here(root: Path | None = None) -> Machine:
    """Return the features of this machine, from a few small files."""
    root = ROOT if root is None else root
    serials = (_read(root / name) for name in SERIALS)
    return Machine(
        next(filter(None, serials), ""),
        tuple(sorted(_adapters(root / "sys/class/net"))),
        _read(root / "etc/machine-id"),
    )


def _adapters(folder: Path) -> set[str]:
    try:
        # A bridge or a tunnel has no device, and another address after each start.
        cards = [each for each in folder.iterdir() if (each / "device").exists()]
    except OSError:
        return set()
    return {_read(each / "address") for each in cards} - {"", "00:00:00:00:00:00"}


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.replace("\0", "").strip()[:LONGEST]
