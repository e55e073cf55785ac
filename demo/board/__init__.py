"""A virtual micro-controller: the messages of a printer's board to Klippy.

`wire` has the bytes and `dictionary` the messages; `stepper`, `parts` and `machine`
have the hardware; `commands` and `firmware` have the behaviour. None of them opens
a file or reads a clock: `python -m demo.board` joins them to a pseudo-terminal. Written
from Klipper's documents `Protocol.md` and `MCU_Commands.md`.
"""
