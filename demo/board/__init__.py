"""A virtual micro-controller: the messages of a printer's board to Klippy.

`wire` has the bytes, `dictionary` the messages, `parts` and `machine` the hardware, and
`firmware` what joins them. None of them reads a clock:
`python -m demo.board` brings one, and a pseudo-terminal. Written from Klipper's
documents `Protocol.md` and `MCU_Commands.md`.
"""
