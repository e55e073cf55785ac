"""A demonstration: the whole chain of programs on one machine."""
