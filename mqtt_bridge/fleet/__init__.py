"""The printers, their items and the open transactions. No module here does I/O."""
