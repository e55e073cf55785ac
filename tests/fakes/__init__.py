"""Stand-ins for tests. Not mocks: each does what it stands for, on a smaller scale."""

from .virtual_printer import EXTRA, GEAR, MACHINE, PrinterProcess, VirtualPrinter

__all__ = ["EXTRA", "GEAR", "MACHINE", "PrinterProcess", "VirtualPrinter"]
