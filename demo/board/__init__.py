"""A virtual micro-controller: what a printer's board says to Klippy, and nothing more.

`wire` has the bytes and `dictionary` the messages; `stepper`, `parts` and `machine` are
what hangs on the board; `commands` and `firmware` are what it does. None of them opens
a file or reads a clock: `python -m demo.board` joins them to a pseudo-terminal. Written
from Klipper's documents `Protocol.md` and `MCU_Commands.md`.
"""
