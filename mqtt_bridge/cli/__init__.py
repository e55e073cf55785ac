"""The commands that a user types. No other room imports this one."""
