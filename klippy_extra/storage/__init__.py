"""What must survive a restart, a power cut and a bad disk."""
