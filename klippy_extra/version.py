"""The version of this software, which the printer publishes."""

VERSION = "0.1.0"
