"""The whole chain on one machine, as a demonstration."""
