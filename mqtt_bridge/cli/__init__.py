"""The commands that a user types. No other package imports this one."""
