"""The printers, their items and the open transactions. Nothing here does I/O."""
