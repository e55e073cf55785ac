"""A virtual micro-controller: a printer's board, as Klippy knows it from its messages.

`wire` encodes the bytes, `dictionary` the messages. `parts` and `machine` are the
hardware, and `firmware` joins them. None reads a clock: `python -m demo.board` gives
them the time, and a pseudo-terminal. The board was written from Klipper's documents
`Protocol.md` and `MCU_Commands.md`.
"""
