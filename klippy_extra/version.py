"""The version that the printer tells of this software."""

VERSION = "0.1.0"
