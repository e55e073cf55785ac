"""What is counted, how the tasks stand, and what is done about it."""
