"""The whole chain on one machine, for looking at."""
