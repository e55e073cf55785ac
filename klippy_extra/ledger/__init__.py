"""Counters, limits and records: the counting itself, without any I/O. Pure."""
