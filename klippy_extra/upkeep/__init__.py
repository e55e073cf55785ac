"""Counting, the status of the tasks, and the commands to them."""
