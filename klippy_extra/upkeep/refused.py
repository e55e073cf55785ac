"""The error of refused commands. Pure."""

from __future__ import annotations


class RefusedError(Exception):
    """A command is not carried out. *code* is one of the contract's codes."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
