"""The numbers: counters, limits and records, and how they are read. Pure."""
