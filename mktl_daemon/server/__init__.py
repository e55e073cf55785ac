"""What a daemon is made of."""
