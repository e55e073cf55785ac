"""Counters, limits and records: all that is counted, without any I/O. Pure."""
